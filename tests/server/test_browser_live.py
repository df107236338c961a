"""The live camera in a real Chromium, whose camera shows a film of the example portrait: by both engines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from facefill.files.photo import read_photo
from tests.server.browser import (
    AXE,
    EXAMPLE,
    FLICKER,
    PHONE,
    add_noise,
    browser,
    find_chromium,
    wait_for_faces,
    wait_for_threads,
    write_camera,
)
from tests.server.conftest import watched

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed: pip install playwright"),
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM"),
]


@pytest.fixture(scope="module")
def seen() -> np.ndarray:
    """What the camera sees, (480, 640, 3): the portrait's face in the middle."""
    portrait = read_photo(EXAMPLE).pixels
    view = cv2.resize(portrait, (1000, 1000), interpolation=cv2.INTER_CUBIC)[60:540, 120:760]
    return np.ascontiguousarray(view)


@pytest.fixture(scope="module")
def camera(seen: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = tmp_path_factory.mktemp("camera") / "camera.y4m"
    write_camera(path, add_noise(seen, 30))
    with browser(f"--use-file-for-fake-video-capture={path}") as opened:
        yield opened


@pytest.fixture(params=["url", "site"], ids=["server", "browser"], scope="module")
def address(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=[("desktop", "light"), ("phone", "dark")], ids=lambda param: "-".join(param))
def live(camera: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    size = PHONE if request.param[0] == "phone" else {"width": 1200, "height": 800}
    context = camera.new_context(viewport=size, color_scheme=request.param[1], permissions=["camera"])
    for page in watched(context.new_page(), address):
        if page.get_attribute("html", "data-engine") == "browser":
            wait_for_threads(page)
        page.click("#go-live")
        page.wait_for_selector("#live-faces:has-text('1 completed')", timeout=300_000)
        page.wait_for_selector("#rate:has-text('frames per second')", timeout=60_000)
        page.wait_for_timeout(1500)
        yield page
    context.close()


def frame_of(page: Any, folder: Path) -> np.ndarray:
    with page.expect_download() as coming:
        page.click("#still")
        page.click("#clips li:last-child a")
    coming.value.save_as(folder / "still.png")
    return read_photo(folder / "still.png").pixels.astype(int)


def carries_mark(shown: np.ndarray, seen: np.ndarray) -> bool:
    """Whether "invented" stands in the corner."""
    return bool((np.abs(shown.astype(int) - seen)[-40:, :150].max(-1) > 40).mean() > 0.2)


def test_the_camera_runs_with_the_cover_off_and_every_frame_says_invented(
    live: Any, seen: np.ndarray, tmp_path: Path
) -> None:
    assert "1 face, 1 completed" in live.text_content("#live-faces")
    assert "invented" in live.text_content("#live-honest")
    shown = frame_of(live, tmp_path)
    changed = np.abs(shown - seen).max(-1) > 40
    assert 0.01 < changed.mean() < 0.25
    assert carries_mark(shown, seen)
    assert live.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: npm ci in web/")
def test_axe_finds_nothing_serious_in_the_live_camera(live: Any) -> None:
    live.evaluate(AXE.read_text(encoding="utf-8"))
    bad = [one["id"] for one in live.evaluate("axe.run()")["violations"] if one["impact"] in ("serious", "critical")]
    assert bad == []


def test_a_still_face_does_not_flicker(live: Any) -> None:
    before = int(live.get_attribute("#rate", "data-frames"))
    changes = live.evaluate(FLICKER, 8)
    assert len(changes) == 8, "frames differ"
    assert max(changes) <= 1.5
    assert int(live.get_attribute("#rate", "data-frames")) >= before + 8
    assert int(re.match(r"\d+", live.text_content("#rate"))[0]) >= 1


def test_a_clip_is_recorded_with_its_mark_and_the_end_lets_the_camera_go(
    live: Any, seen: np.ndarray, tmp_path: Path
) -> None:
    live.click("#record")
    assert live.text_content("#record") == "Stop"
    live.wait_for_timeout(6000)
    with live.expect_download() as coming:
        live.click("#record")
        live.click("#clips li:last-child a")
    coming.value.save_as(tmp_path / "clip.webm")
    with av.open(str(tmp_path / "clip.webm")) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    assert len(frames) >= 2
    assert carries_mark(frames[0], seen)
    assert carries_mark(frames[-1], seen)
    live.click("#live-end")
    live.wait_for_selector('body[data-mode="empty"]')
    assert live.evaluate("document.querySelector('#live-source').srcObject") is None
    assert live.is_visible("#pick")


def test_a_photo_that_is_opened_meanwhile_ends_the_camera(live: Any) -> None:
    live.set_input_files("#file", EXAMPLE)
    wait_for_faces(live)
    assert live.get_attribute("body", "data-mode") == "edit"
    assert live.evaluate("document.querySelector('#live-source').srcObject") is None


def test_the_camera_s_network_comes_with_it_and_then_nobody_is_asked_and_it_works_offline(
    camera: Any, site: str
) -> None:
    context = camera.new_context(permissions=["camera"])
    page = context.new_page()

    def start() -> None:
        page.click("#go-live")
        page.wait_for_selector("#live-faces:has-text('1 completed')", timeout=300_000)

    page.goto(site)
    wait_for_threads(page)
    kept = (
        "caches.keys().then((names) => caches.open(names[0])).then((cache) => cache.keys())"
        ".then((all) => all.map((request) => request.url))"
    )
    assert not any("camera.onnx" in url for url in page.evaluate(kept))
    start()
    assert f"{site}weights/camera.onnx" in page.evaluate(kept)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    frames = int(page.get_attribute("#rate", "data-frames"))
    page.click("#record")
    page.wait_for_timeout(3000)
    page.click("#record")
    page.click("#still")
    page.wait_for_selector("#clips li:nth-child(2)")
    assert int(page.get_attribute("#rate", "data-frames")) > frames
    assert [url for url in asked if not url.startswith(("blob:", "data:"))] == []
    context.set_offline(True)
    page.reload()
    start()
    context.close()
