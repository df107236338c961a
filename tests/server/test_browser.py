"""The page in a real Chromium: what somebody does with it, by mouse, by finger and by keys; and who it talks to."""

from __future__ import annotations

import base64
import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facefill.catalog import METHODS
from facefill.files.photo import read_photo
from tests.server.browser import EXAMPLE, complete, find_chromium, wait_for_faces
from tests.server.service import PNG, Gate, listening, service
from tests.server.test_rest import Varied

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed: pip install playwright"),
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM"),
]


def drop(page: Any, data: bytes, name: str, kind: str) -> None:
    page.evaluate(
        """([text, name, type]) => {
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], name, { type }));
        document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }""",
        [base64.b64encode(data).decode(), name, kind],
    )


def sheet(page: Any) -> np.ndarray:
    data = page.evaluate("document.querySelector('figure canvas').toDataURL().split(',')[1]")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)


def download(page: Any, folder: Path) -> Path:
    with page.expect_download() as coming:
        page.click("#notes .download")
    path = folder / coming.value.suggested_filename
    coming.value.save_as(path)
    return path


def test_drop_brush_undo_complete_slide_and_download(page: Any, png: Path, tmp_path: Path) -> None:
    drop(page, png.read_bytes(), png.name, "image/png")
    wait_for_faces(page)
    assert page.text_content("#status") == "1 faces found, 1 covered"
    assert page.is_checked("#face-0")
    found = sheet(page)
    box = page.locator("figure canvas").bounding_box()
    page.keyboard.press("b")
    page.mouse.move(box["x"] + 300, box["y"] + 560)
    page.mouse.down()
    page.mouse.move(box["x"] + 380, box["y"] + 580, steps=6)
    page.mouse.up()
    page.keyboard.press("h")
    page.wait_for_timeout(100)
    brushed = sheet(page)
    assert (np.abs(brushed - found).max(-1) > 20).sum() > 500
    page.keyboard.press("Control+z")
    page.wait_for_timeout(100)
    assert (sheet(page) == found).all()
    page.keyboard.press("Control+Shift+z")
    page.wait_for_timeout(100)
    assert (sheet(page) == brushed).all()
    with page.expect_response("**/v1/complete") as coming:
        complete(page)
    mask = read_photo(base64.b64decode(coming.value.json()["mask"])).pixels[..., 0] > 127
    assert "invented" in page.text_content("#honest")
    path = download(page, tmp_path)
    assert path.name == "holiday-unmasked.png"
    source, result = read_photo(png).pixels, read_photo(path).pixels
    assert mask.any()
    assert (result[~mask] == source[~mask]).all()
    assert (result[mask] != source[mask]).any()
    assert Image.open(path).info["dpi"] == Image.open(png).info["dpi"]


def settled(page: Any) -> np.ndarray:
    page.wait_for_timeout(120)
    return sheet(page)


def changed(one: np.ndarray, other: np.ndarray) -> int:
    return int((np.abs(one - other).max(-1) > 20).sum())


def test_the_slider_shows_the_result_at_after_and_the_original_at_before(page: Any) -> None:
    page.set_input_files("#file", EXAMPLE)
    wait_for_faces(page)
    complete(page)
    ends = page.locator("#compare > span").all_text_contents()
    assert ends == ["Before", "After"]
    page.locator("#slider").fill("0")
    before = settled(page)
    page.locator("#slider").fill("100")
    after = settled(page)
    assert changed(before, after) > 500
    assert page.get_attribute("#slider", "aria-valuetext") == "100 % of the result"
    for hold, release in (
        (page.mouse.down, page.mouse.up),
        (lambda: page.keyboard.down("o"), lambda: page.keyboard.up("o")),
    ):
        page.hover("#peek")
        hold()
        held = settled(page)
        assert page.get_attribute("#peek", "aria-pressed") == "true"
        release()
        assert changed(settled(page), after) == 0, "let go: the result again"
        assert changed(held, after) > 500, "held: the original"
    page.locator("#slider").fill("0")
    middle = np.s_[:, sheet(page).shape[1] // 3 : -sheet(page).shape[1] // 3]
    assert changed(settled(page)[middle], held[middle]) == 0, "the line stands at the photo's edge"


def test_brushing_the_result_completes_it_again_and_another_try_draws_another(
    page: Any, png: Path, tmp_path: Path
) -> None:
    page.set_input_files("#file", png)
    wait_for_faces(page)
    complete(page)
    first = read_photo(download(page, tmp_path)).pixels
    assert page.is_hidden("#again")
    page.click('[data-tool="brush"]')
    box = page.locator("figure canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2 - 100, box["y"] + box["height"] / 2 + 150
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 20, steps=5)
    page.mouse.up()
    with page.expect_response("**/v1/complete") as coming:
        page.click("#again")
    page.wait_for_selector("body:not([data-busy])")
    mask = read_photo(base64.b64decode(coming.value.json()["mask"])).pixels[..., 0] > 127
    page.wait_for_timeout(300)
    second = read_photo(download(page, tmp_path)).pixels
    assert page.is_hidden("#again")
    assert mask.any()
    assert (second[~mask] == first[~mask]).all()
    assert (second[mask] != first[mask]).any()
    with page.expect_response("**/v1/complete") as coming:
        page.click("#retry")
    page.wait_for_selector("body:not([data-busy])")
    assert (read_photo(base64.b64decode(coming.value.json()["mask"])).pixels[..., 0] > 127).sum() == mask.sum()
    page.wait_for_timeout(300)
    third = read_photo(download(page, tmp_path)).pixels
    assert (third[~mask] == first[~mask]).all()
    assert (third[mask] != second[mask]).any(), "another sample"


def test_a_sample_photo_can_be_tried(page: Any) -> None:
    assert page.locator("#samples-here button").all_text_contents() == ["Surgical mask", "Cloth mask", "Sunglasses"]
    page.click("#samples-here button")
    wait_for_faces(page)
    assert page.is_checked("#face-0")


def test_tools_have_words_and_the_recommended_method_stands_first(page: Any, phone: Any) -> None:
    for one in (page, phone):
        one.set_input_files("#file", EXAMPLE)
        wait_for_faces(one)
        (one.tap if one is phone else one.click)('[data-tool="brush"]')
        said = [text.strip() for text in one.locator("#tools button").all_inner_texts()]
        assert said == ["Move", "Brush", "Eraser", "Lasso", "Grow", "Shrink", "Clear", "Open mask", "Undo", "Redo"]
        assert one.locator("#recommended input").input_value() == "swift"
        assert one.locator("#recommended img").evaluate("(image) => image.naturalWidth") > 40
        assert not one.is_visible("#how li >> nth=0"), "the others are folded away"
    page.click("#how summary")
    names = page.locator("#methods input").evaluate_all("(all) => all.map((one) => one.value)")
    assert names[:3] == ["context_encoder", "contextual_attention", "masked_gan"]


def test_kinds_of_covers_are_chosen(page: Any) -> None:
    page.set_input_files("#file", EXAMPLE)
    wait_for_faces(page)
    assert page.text_content("#faces li small") == "face mask"
    page.uncheck('input[value="mask"]')
    page.wait_for_selector("#faces li small:has-text('stays on: face mask')")
    page.check('input[value="mask"]')
    page.wait_for_selector("#faces li small:has-text('face mask')")
    page.uncheck('input[value="mask"]')
    page.uncheck('input[value="other"]')
    page.uncheck('input[value="hand"]')
    page.click('input[value="sunglasses"]')
    assert page.is_checked('input[value="sunglasses"]'), "something has to be taken off"


def test_waiting_says_what_for_and_how_long(page: Any) -> None:
    said = {"stage": "waiting", "ahead": 2, "wait_s": 7.9}
    page.set_input_files("#file", EXAMPLE)
    wait_for_faces(page)
    page.click("#how summary")
    page.check('#methods input[value="latent_search"]')
    page.uncheck("#recommended input")
    page.route("**/v1/progress/*", lambda route: route.fulfill(json=said))
    page.click("#complete")
    page.wait_for_selector("#doing:has-text('Waiting: 2 photos before yours, about 8 s')")
    page.click("#cancel")


def test_one_button_completes_a_jpeg_in_its_own_format(page: Any, tmp_path: Path) -> None:
    page.set_input_files("#file", EXAMPLE)
    wait_for_faces(page)
    complete(page)
    path = download(page, tmp_path)
    assert read_photo(path).format == "JPEG"
    assert b"compositeWithTrainedAlgorithmicMedia" in path.read_bytes()


def test_a_face_is_switched_off_and_the_mask_follows(page: Any) -> None:
    page.set_input_files("#file", EXAMPLE)
    wait_for_faces(page)
    on = sheet(page)
    page.uncheck("#face-0")
    page.wait_for_timeout(100)
    assert (np.abs(sheet(page) - on).max(-1) > 20).sum() > 500
    page.click("#complete")
    assert "Nothing is marked yet" in page.text_content("#trouble")
    page.click("#trouble-close")
    page.click("#undo")
    page.wait_for_timeout(100)
    assert page.is_checked("#face-0")
    assert (sheet(page) == on).all()


def test_a_mask_grows_shrinks_is_drawn_by_lasso_opened_and_cleared(page: Any, tmp_path: Path) -> None:
    def marked() -> int:
        return int((np.abs(sheet(page) - bare).max(-1) > 20).sum())

    page.set_input_files("#file", EXAMPLE)
    wait_for_faces(page)
    page.click("#clear")
    page.wait_for_timeout(100)
    bare = sheet(page)
    page.click('[data-tool="lasso"]')
    box = page.locator("figure canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for dx, dy in ((80, 0), (80, 80), (0, 80), (0, 4)):
        page.mouse.move(x + dx, y + dy, steps=5)
    page.mouse.up()
    page.keyboard.press("h")
    page.wait_for_timeout(100)
    drawn = marked()
    assert drawn > 3000
    page.click("#grow")
    page.wait_for_timeout(150)
    grown = marked()
    assert grown > drawn
    page.click("#shrink")
    page.click("#shrink")
    page.wait_for_timeout(150)
    assert marked() < drawn
    left = marked()
    page.keyboard.press("e")
    page.mouse.move(x - 20, y + 40)
    page.mouse.down()
    page.mouse.move(x + 100, y + 40, steps=6)
    page.mouse.up()
    page.keyboard.press("h")
    page.wait_for_timeout(100)
    assert 0 < marked() < left
    width, height = Image.open(EXAMPLE).size
    hole = np.zeros((height, width), np.uint8)
    hole[100:200, 50:150] = 255
    path = tmp_path / "mask.png"
    Image.fromarray(hole).save(path)
    page.set_input_files("#mask-input", path)
    page.wait_for_timeout(200)
    with page.expect_response("**/v1/complete") as coming:
        complete(page)
    done = read_photo(base64.b64decode(coming.value.json()["mask"])).pixels[..., 0]
    assert (done == hole).all()
    Image.fromarray(hole[:50]).save(path)
    page.click("#edit")
    page.set_input_files("#mask-input", path)
    page.wait_for_selector("#trouble:not([hidden])")
    assert "never resized" in page.text_content("#trouble")


def test_the_result_is_zoomed_into_down_to_its_pixels_and_moved(page: Any, tmp_path: Path) -> None:
    photo = np.asarray(Image.open(EXAMPLE).convert("RGB").resize((2000, 2000))).copy()
    photo[:300] = np.indices((300, 2000)).sum(0)[..., None] % 2 * 255
    path = tmp_path / "large.png"
    Image.fromarray(photo).save(path)
    page.set_input_files("#file", path)
    wait_for_faces(page)
    complete(page)
    whole = sheet(page)
    box = page.locator("figure canvas").bounding_box()
    top = (box["height"] - 2000 * float(page.text_content("#scale").split()[0]) / 100) / 2
    x, y = box["width"] / 4, top + 40
    page.mouse.move(box["x"] + x, box["y"] + y)
    for _ in range(12):
        page.mouse.wheel(0, -240)
    page.wait_for_timeout(200)
    assert float(page.text_content("#scale").split()[0]) > 600
    seen = sheet(page)[int(y) - 30 : int(y) + 30, int(x) - 30 : int(x) + 30]
    assert ((seen < 8) | (seen > 247)).mean() > 0.9, "black and white pixels, not their mean"
    assert 0.3 < (seen > 247).mean() < 0.7
    page.keyboard.press("0")
    page.wait_for_timeout(100)
    assert (sheet(page) == whole).all()
    page.mouse.down()
    page.mouse.move(box["x"] + x + 60, box["y"] + y + 30, steps=4)
    page.mouse.up()
    page.wait_for_timeout(100)
    moved = sheet(page)
    assert (np.abs(moved - whole).max(-1) > 20).sum() > 5000
    page.click("#fit")
    page.click("#in")
    page.wait_for_timeout(100)
    assert (np.abs(sheet(page) - whole).max(-1) > 20).sum() > 5000


def test_several_methods_stand_side_by_side_with_one_mask(page: Any) -> None:
    page.set_input_files("#file", EXAMPLE)
    wait_for_faces(page)
    page.click("#how summary")
    page.check('#how input[value="telea"]')
    masks = []
    page.on("response", lambda answer: masks.append(answer.json()["mask"]) if "complete" in answer.url else None)
    complete(page)
    assert page.locator("figure").count() == 2
    assert page.locator("figcaption").all_text_contents() == ["swift", "telea"]
    assert page.locator("#notes .download").count() == 2
    assert len(masks) == 2
    assert masks[0] == masks[1]


def test_samples_stand_side_by_side_with_the_map_of_their_spread(
    chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = METHODS["swift"].model_copy(update={"inputs": ("image", "mask", "seed"), "blend": "paste"})
    monkeypatch.setitem(METHODS, "swift", record)
    with listening(service(tmp_path, Gate(), model=Varied(record, None))) as (port, _):
        page = chromium.new_page()
        page.goto(f"http://127.0.0.1:{port}")
        drop(page, PNG, "drawn.png", "image/png")
        wait_for_faces(page)
        page.click("#how summary")
        page.fill("#samples", "3")
        complete(page)
        assert page.locator("figcaption").all_text_contents() == [
            "swift 1",
            "swift 2",
            "swift 3",
            "swift: where they differ",
        ]
        assert page.locator("#notes .download").count() == 3
        assert "differ by" in page.text_content("#notes")
        page.close()


def test_a_shipped_method_that_draws_noise_shows_samples_and_their_spread(phone: Any, png: Path) -> None:
    phone.set_input_files("#file", png)
    wait_for_faces(phone)
    phone.click("#how summary")
    phone.check('#methods input[value="masked_gan"]')
    phone.uncheck("#recommended input")
    phone.fill("#samples", "3")
    complete(phone)
    assert phone.evaluate("document.querySelector('.scroll').scrollTop") == 0, "the results are seen from their start"
    assert phone.locator("figcaption").all_text_contents() == [
        "masked gan 1",
        "masked gan 2",
        "masked gan 3",
        "masked gan: where they differ",
    ]
    assert phone.locator("#notes .download").count() == 3
    assert "differ by" in phone.text_content("#notes")
