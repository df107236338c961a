"""The page without a server in a real Chromium: the same picture as the command, offline, and not a word to anybody."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, features

from facefill.files.orientation import as_stored
from facefill.files.photo import read_photo
from facefill.runtime.inpainter import Inpainter, open_inpainter
from tests.server.browser import AXE, EXAMPLE, PHONE, find_chromium, wait_for_threads, wait_until

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed: pip install playwright"),
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM"),
]
PATIENCE_MS = 600_000
ELSEWHERE = "http://127.0.0.2:9/"
"""Another origin, which one test asks for on purpose."""

WATCH_PROGRESS = """() => {
    const bar = document.querySelector('#progress progress'), doing = document.querySelector('#doing');
    window.shares = [];
    new MutationObserver(() => {
        if (doing.textContent.startsWith('Loading the networks')) window.shares.push(bar.value);
    }).observe(bar, { attributes: true });
}"""


@pytest.fixture(scope="module")
def inpainter() -> Inpainter:
    return open_inpainter(exact=True)


@pytest.fixture(scope="module")
def alone(chromium: Any, site: str) -> Iterator[Any]:
    """The page with its networks loaded. Whatever the tests do: no script fails, and no other host is asked."""
    context = chromium.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    asked: list[str] = []
    bad: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: bad.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: bad.append(str(error)))
    page.goto(site)
    wait_for_threads(page)
    page.evaluate(WATCH_PROGRESS)
    look(page, EXAMPLE)
    yield page
    hosts = {urlsplit(one).netloc for one in asked if not one.startswith("blob:")}
    assert hosts == {urlsplit(site).netloc}
    assert [text for text in bad if ELSEWHERE not in text] == []
    context.close()


def look(page: Any, path: Path) -> str:
    """Open a photo and wait until its faces are found: what the page says."""
    page.evaluate("document.querySelector('#status').textContent = ''")
    page.set_input_files("#file", str(path))
    wait_until(
        page,
        "/faces found/.test(document.querySelector('#status').textContent)"
        " || !document.querySelector('#trouble').hidden",
    )
    return str(page.text_content("#status")) + str(page.text_content("#trouble-what"))


def complete(page: Any, folder: Path) -> Path:
    """Complete what was found, and download it."""
    page.click("#complete")
    page.wait_for_selector('body[data-mode="result"]', timeout=PATIENCE_MS)
    return download(page, folder)


def download(page: Any, folder: Path) -> Path:
    with page.expect_download() as coming:
        page.click("#notes .download")
    path = folder / coming.value.suggested_filename
    coming.value.save_as(path)
    return path


def example(name: str) -> np.ndarray:
    return np.asarray(Image.open(EXAMPLE.with_name(f"astronaut-{name}.jpg")).convert("RGB"))


def noisy(photo: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.clip(photo + rng.normal(0, 4, photo.shape), 0, 255).astype(np.uint8)


def turned(photo: np.ndarray) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((256, 256), 17, 0.62)
    return cv2.warpAffine(photo, matrix, (512, 512), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


def scarfed(photo: np.ndarray, bottom: int = 293) -> np.ndarray:
    """The face of `turned` in a scarf that goes on below what is looked at first, and then again."""
    outline = np.array([[185, 184], [211, 173], [239, 171], [251, 209], [252, bottom - 7], [226, bottom], [191, 224]])
    return cv2.GaussianBlur(cv2.fillPoly(photo.copy(), [outline], (40, 60, 130)), (0, 0), 0.7)


PHOTOS = {
    "usual": lambda: example("surgical"),
    "small": lambda: cv2.resize(example("cloth"), None, fx=0.35, fy=0.35, interpolation=cv2.INTER_AREA),
    "large, with grain": lambda: noisy(cv2.resize(example("cloth"), None, fx=2.6, fy=2.6)),
    "three faces": lambda: np.hstack([example("surgical"), turned(example("sunglasses")), example("respirator")]),
    "tall, a long scarf": lambda: scarfed(np.vstack([turned(example("cloth")), np.full((700, 512, 3), 90, np.uint8)])),
    "a scarf that is cut": lambda: scarfed(
        np.vstack([turned(example("cloth")), np.full((700, 512, 3), 90, np.uint8)]), 420
    ),
    "24 megapixels": lambda: cv2.copyMakeBorder(
        cv2.resize(example("surgical"), None, fx=4, fy=4), 976, 976, 1976, 1976, cv2.BORDER_REFLECT
    )[:, :6000],
}


@pytest.mark.parametrize("name", PHOTOS)
def test_the_browser_draws_the_picture_of_the_command(
    name: str, alone: Any, inpainter: Inpainter, tmp_path: Path
) -> None:
    path = tmp_path / "photo.png"
    photo = np.ascontiguousarray(PHOTOS[name]())
    Image.fromarray(photo).save(path)
    plan = inpainter.plan_unmask(read_photo(path))
    wanted = inpainter.complete(plan).photo
    assert look(alone, path).startswith(f"{len(plan.faces)} faces found")
    assert len(plan.faces) == (3 if name in ("three faces", "24 megapixels") else 1)
    cut = any(face.cut for face in plan.faces)
    assert cut == ("that is cut" in name)
    assert ("goes on where the hole ends" in alone.text_content("#faces")) == cut
    found = np.asarray(Image.open(complete(alone, tmp_path)).convert("RGB"))
    assert ("goes on where the hole ends" in alone.text_content("#notes")) == cut
    assert np.array_equal(found[~plan.mask], photo[~plan.mask])
    far = np.abs(found.astype(int) - wanted)[plan.mask]
    assert far.max() <= 2
    assert (found[plan.mask] != photo[plan.mask]).any()


def test_the_networks_come_with_their_progress(alone: Any) -> None:
    shares = alone.evaluate("window.shares")
    assert len(shares) > 10
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.5
    assert shares[-1] == pytest.approx(1)


def test_once_they_are_there_nothing_is_asked_for_even_of_its_own_server(alone: Any, site: str, tmp_path: Path) -> None:
    asked: list[str] = []
    note = lambda request: asked.append(request.url)  # noqa: E731 -- the same one is to be taken away again
    alone.context.on("request", note)
    try:
        path = tmp_path / "photo.png"
        Image.fromarray(example("respirator")).save(path)
        assert look(alone, path) == "1 faces found, 1 covered"
        complete(alone, tmp_path)
        assert [url for url in asked if not url.startswith(("blob:", "data:"))] == []
        hands = [worker for worker in alone.workers if worker.url.startswith("blob:")]
        for one in (alone, hands[0]):
            one.evaluate(f"fetch('{site}page.json').then((answer) => answer.ok)")
        assert asked.count(f"{site}page.json") >= 2, "requests of the page and of its worker are seen here"
    finally:
        alone.context.remove_listener("request", note)


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_jpeg_comes_back_upright_with_its_profile_and_harmless_exif_and_says_what_it_lost(
    orientation: int, alone: Any, inpainter: Inpainter, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Canon"
    exif[0x8769] = {0x829A: 0.01, 0x927C: b"a maker's notes"}
    exif[0x8825] = {1: "N"}
    stored = Image.open(EXAMPLE).transpose({3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[orientation])
    path = tmp_path / "photo.jpg"
    stored.save(path, exif=exif, icc_profile=b"a profile", quality=95, subsampling=0)
    assert look(alone, path) == "1 faces found, 1 covered"
    made = Image.open(complete(alone, tmp_path))
    assert made.format == "JPEG"
    kept = made.getexif()
    assert dict(kept) | {0x8769: 0, 0x8825: 0} == {0x010F: "Canon", 0x8769: 0, 0x8825: 0}
    assert dict(kept.get_ifd(0x8769)) == {0x829A: 0.01}
    assert dict(kept.get_ifd(0x8825)) == {1: "N"}
    assert made.info["icc_profile"] == b"a profile"
    assert b"compositeWithTrainedAlgorithmicMedia" in made.info["xmp"]
    before, after = read_photo(path).pixels.astype(int), np.asarray(made.convert("RGB")).astype(int)
    assert before.shape == after.shape
    plan = inpainter.plan_unmask(read_photo(path))
    far = np.abs(inpainter.complete(plan).photo.astype(int) - after)
    assert far[~plan.mask].mean() < 2
    assert far[plan.mask].mean() < 2
    assert np.abs(before - after)[plan.mask].mean() > 10
    assert "the maker's notes" in alone.text_content("#notes")


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_what_is_stored_turned_equals_the_command_s(
    kind: str, alone: Any, inpainter: Inpainter, tmp_path: Path
) -> None:
    photo, path = PHOTOS["small"](), tmp_path / f"photo.{kind}"
    for orientation in (2, 3, 4, 5, 6, 7, 8) if kind == "webp" else (5, 6, 7, 8):
        exif = Image.Exif()
        exif[0x010F], exif[0x0112] = "Canon", orientation
        Image.fromarray(np.ascontiguousarray(as_stored(photo, orientation))).save(path, exif=exif, lossless=True)
        plan = inpainter.plan_unmask(read_photo(path))
        assert np.array_equal(plan.photo.pixels, photo)
        assert look(alone, path) == "1 faces found, 1 covered"
        made = Image.open(complete(alone, tmp_path))
        assert dict(made.getexif()) == {0x010F: "Canon"}
        found = np.asarray(made.convert("RGB"))
        assert np.array_equal(found[~plan.mask], photo[~plan.mask])
        assert np.abs(found.astype(int) - inpainter.complete(plan).photo)[plan.mask].max() <= 2


def test_an_avif_that_is_stored_turned_stands_upright(alone: Any, tmp_path: Path) -> None:
    if not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    photo, path = example("surgical"), tmp_path / "photo.avif"
    for orientation in (3, 6, 7):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.ascontiguousarray(as_stored(photo, orientation))).save(path, exif=exif, quality=100)
        assert look(alone, path) == "1 faces found, 1 covered"
        far = np.abs(np.asarray(Image.open(complete(alone, tmp_path)).convert("RGB")).astype(int) - photo).max(-1)
        assert (far <= 12).mean() > 0.8, "all but the hole"


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_colours_of_a_profile_that_is_not_kept_become_srgb(kind: str, alone: Any, tmp_path: Path) -> None:
    if not features.check(kind.lower()):
        pytest.skip(f"this Pillow writes no {kind}")
    photo, path = example("surgical"), tmp_path / f"photo.{kind.lower()}"
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, other in ((b"rXYZ", b"----"), (b"gXYZ", b"rXYZ"), (b"----", b"gXYZ")):
        swapped = swapped.replace(name, other)  # red lights are green, and green ones red
    Image.fromarray(photo[..., [1, 0, 2]]).save(path, lossless=True, quality=100, icc_profile=swapped)
    assert look(alone, path) == "1 faces found, 1 covered"
    made = Image.open(complete(alone, tmp_path))
    assert made.format == "PNG"
    assert "icc_profile" not in made.info
    assert "PNG in sRGB" in alone.text_content("#notes")
    far = np.abs(np.asarray(made.convert("RGB")).astype(int) - photo).max(-1)
    assert (far <= 4).mean() > 0.8, "all but the hole"


def test_what_is_known_of_a_png_stays_and_it_says_that_it_is_invented(alone: Any, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(example("surgical")).save(path, dpi=(300, 300))
    look(alone, path)
    made = Image.open(complete(alone, tmp_path))
    assert made.info["dpi"] == Image.open(path).info["dpi"]
    assert "compositeWithTrainedAlgorithmicMedia" in made.info["XML:com.adobe.xmp"]
    assert "invented" in alone.text_content("#honest")


def test_a_drawn_hole_is_completed_too(alone: Any, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(example("surgical")[:, ::-1].copy()).save(path)
    look(alone, path)
    hole = np.zeros((512, 512), np.uint8)
    hole[400:430, 60:110] = 255
    data = io.BytesIO()
    Image.fromarray(hole).save(data, "PNG")
    mask = tmp_path / "mask.png"
    mask.write_bytes(data.getvalue())
    alone.set_input_files("#mask-input", str(mask))
    alone.wait_for_timeout(500)
    found = np.asarray(Image.open(complete(alone, tmp_path)).convert("RGB")).astype(int)
    changed = np.abs(found - read_photo(path).pixels.astype(int)).max(-1) > 0
    assert changed[hole > 0].mean() > 0.5
    assert not changed[hole == 0].any()


def test_another_try_draws_another_sample(alone: Any, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(example("surgical")).save(path)
    look(alone, path)
    best = read_photo(complete(alone, tmp_path)).pixels
    alone.click("#retry")
    alone.wait_for_selector("body:not([data-busy])", timeout=PATIENCE_MS)
    alone.wait_for_timeout(300)
    other = read_photo(download(alone, tmp_path)).pixels
    hole = (best != read_photo(path).pixels).any(-1)
    assert np.abs(best.astype(int) - other)[hole].mean() > 1
    assert (best != other).any(-1)[~hole].mean() < 1e-3, "a pixel of the hole may come out as it was"


def test_transparent_photos_and_no_photos_are_refused_in_one_line(alone: Any, tmp_path: Path) -> None:
    clear = tmp_path / "clear.png"
    Image.fromarray(np.dstack([example("surgical"), np.full((512, 512), 200, np.uint8)])).save(clear)
    assert "transparent" in look(alone, clear)
    alone.click("#trouble-close")
    letter = tmp_path / "letter.png"
    letter.write_text("no picture")
    assert "a photo that this browser can read" in look(alone, letter)
    alone.click("#trouble-close")


def test_the_page_and_its_worker_may_ask_nobody_else(alone: Any) -> None:
    ask = f"fetch('{ELSEWHERE}').then(() => 'answered', (error) => String(error))"
    with alone.expect_console_message(lambda message: "Content Security Policy" in message.text):
        assert "Failed to fetch" in alone.evaluate(ask)
    hands = [worker for worker in alone.workers if worker.url.startswith("blob:")]
    assert len(hands) == 1
    assert "Failed to fetch" in hands[0].evaluate(ask)
    assert (
        hands[0].evaluate(
            "new Promise((done) => {"
            " addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));"
            f" fetch('{ELSEWHERE}').catch(() => undefined); }})"
        )
        == "connect-src"
    )


def test_it_works_without_a_network_and_stores_nothing_but_itself(alone: Any, site: str, tmp_path: Path) -> None:
    alone.context.set_offline(True)
    try:
        alone.reload()
        path = tmp_path / "photo.png"
        Image.fromarray(example("cloth")).save(path)
        assert look(alone, path) == "1 faces found, 1 covered"
        complete(alone, tmp_path)
    finally:
        alone.context.set_offline(False)
    kept = alone.evaluate(
        "caches.keys().then((names) => Promise.all(names.map((name) => caches.open(name))))"
        ".then((all) => Promise.all(all.map((cache) => cache.keys())))"
        ".then((all) => all.flat().map((request) => request.url))"
    )
    assert kept
    assert all(url.startswith(site) for url in kept)
    assert not any("blob" in url or "photo" in url for url in kept)
    assert not any("camera.onnx" in url for url in kept), "photos do without it"
    assert alone.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    assert alone.evaluate("indexedDB.databases().then((all) => all.length)") == 0
    files = "navigator.storage.getDirectory().then(async (all) => (await Array.fromAsync(all.keys())).length)"
    assert alone.evaluate(files) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{"width": 1200, "height": 800}, PHONE], ids=["wide", "phone"])
def test_anybody_can_use_it(scheme: str, size: dict[str, int], chromium: Any, site: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is missing: npm ci in web/")
    context = chromium.new_context(viewport=size, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(site)
    wait_for_threads(page)
    page.add_script_tag(path=str(AXE))
    assert page.evaluate("axe.run().then((found) => found.violations.map((one) => one.id))") == []
    assert page.is_visible("#go-live")
    if scheme == "dark" and size == PHONE:
        look(page, EXAMPLE)
        page.click("#complete")
        page.wait_for_selector('body[data-mode="result"]', timeout=PATIENCE_MS)
        page.wait_for_timeout(500)
        assert page.evaluate("axe.run().then((found) => found.violations.map((one) => one.id))") == []
        assert page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0
    context.close()
