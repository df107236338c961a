"""The page in a real browser by other ways: keys alone, a phone, the clipboard, a camera, another format."""

from __future__ import annotations

import base64
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facefill.files.photo import read_photo
from tests.server.browser import EXAMPLE, complete, find_chromium, wait_for_faces
from tests.server.test_browser import download, drop, sheet

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed: pip install playwright"),
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM"),
]


def test_with_keys_alone(page: Any, png: Path, tmp_path: Path) -> None:
    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    page.bring_to_front()
    page.on("filechooser", lambda chooser: chooser.set_files(png))
    tab_to("#pick")
    page.wait_for_timeout(500)
    page.keyboard.press("Enter")
    wait_for_faces(page)
    tab_to("#face-0")
    page.keyboard.press("Space")
    assert not page.is_checked("#face-0")
    page.keyboard.press("Space")
    page.keyboard.press("b")
    tab_to("figure canvas")
    before = sheet(page)
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert page.text_content("#status") == "Painted"
    page.keyboard.press("h")
    page.wait_for_timeout(100)
    assert (np.abs(sheet(page) - before).max(-1) > 20).sum() > 50
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector('body[data-mode="result"]', timeout=60_000)
    tab_to("#slider")
    start = float(page.input_value("#slider"))
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert float(page.input_value("#slider")) > start
    tab_to("#notes .download")
    with page.expect_download() as coming:
        page.keyboard.press("Enter")
    coming.value.save_as(tmp_path / "done.png")
    assert read_photo(tmp_path / "done.png").pixels.shape == read_photo(png).pixels.shape
    tab_to("#keys")
    page.keyboard.press("Enter")
    assert page.is_visible("#key-help")
    page.keyboard.press("Escape")
    assert not page.is_visible("#key-help")


def test_a_phone_shows_everything_without_scrolling_sideways(phone: Any, tmp_path: Path) -> None:
    def overflow() -> int:
        return int(phone.evaluate("document.scrollingElement.scrollWidth - innerWidth"))

    assert overflow() <= 0
    phone.set_input_files("#file", EXAMPLE)
    wait_for_faces(phone)
    assert overflow() <= 0
    for selector in ("#complete", "#undo", '[data-tool="lasso"]'):
        assert phone.locator(selector).evaluate("""(one) => { const box = one.getBoundingClientRect();
            return box.left >= 0 && box.right <= innerWidth && box.bottom <= innerHeight && box.height >= 36 }""")
    phone.tap('[data-tool="brush"]')
    assert phone.is_visible("#grow")
    phone.wait_for_timeout(150)  # the tool brings its settings, and the picture makes room for them
    before = sheet(phone)
    box = phone.locator("figure canvas").bounding_box()
    phone.touchscreen.tap(box["x"] + box["width"] * 0.65, box["y"] + box["height"] * 0.2)
    phone.wait_for_timeout(150)
    assert (np.abs(sheet(phone) - before).max(-1) > 20).sum() > 50
    phone.tap("#complete")
    phone.wait_for_selector('body[data-mode="result"]', timeout=60_000)
    assert overflow() <= 0
    assert phone.is_visible("#honest")
    assert read_photo(download(phone, tmp_path)).format == "JPEG"


def test_long_work_can_be_cancelled_and_errors_are_plain(page: Any) -> None:
    drop(page, b"this is no picture", "note.txt", "text/plain")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "Expected a photo" in page.text_content("#trouble-what")
    assert page.text_content("#trouble-fix") == "Convert it to PNG first."
    page.click("#trouble-close")
    page.set_input_files("#file", EXAMPLE)
    wait_for_faces(page)
    page.route("**/v1/complete", lambda route: None)
    page.click("#complete")
    assert page.is_visible("#progress progress")
    assert page.text_content("#doing")
    page.click("#cancel")
    page.wait_for_selector("#complete", state="visible")
    assert page.is_hidden("#progress")
    assert page.text_content("#status") == "Cancelled"
    assert page.is_hidden("#trouble")
    assert page.get_attribute("body", "data-mode") == "edit"


def test_a_photo_is_pasted_and_photographed(page: Any) -> None:
    page.evaluate(
        """(text) => {
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], 'pasted.jpg', { type: 'image/jpeg' }));
        document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true }));
    }""",
        base64.b64encode(EXAMPLE.read_bytes()).decode(),
    )
    wait_for_faces(page)
    page.reload()
    page.click("#photograph")
    while not page.evaluate("document.querySelector('#camera video').videoWidth"):
        page.wait_for_timeout(100)
    page.click("#shoot")
    page.wait_for_selector('body[data-mode="edit"]')
    page.wait_for_selector("body:not([data-busy])", timeout=60_000)


def test_a_tiff_is_shown_although_the_browser_cannot(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    Image.open(EXAMPLE).save(path)
    page.set_input_files("#file", path)
    wait_for_faces(page)
    complete(page)
    assert read_photo(download(page, tmp_path)).format == "TIFF"
