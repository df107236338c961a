"""The page without a server where networks run by WebGPU, as on a machine with a graphics processor."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facefill.files.photo import read_photo
from facefill.runtime.inpainter import open_inpainter
from tests.server.browser import browser, find_chromium, hosted, wait_for_threads
from tests.server.test_browser_alone import complete, example, look

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed: pip install playwright"),
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM"),
]
WEBGPU = [
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--ignore-gpu-blocklist",
]
COUNT_ORDERS = """
const told = new BroadcastChannel("orders"), { submit } = GPUQueue.prototype;
GPUQueue.prototype.submit = function (...orders) { told.postMessage(1); return submit.apply(this, orders); };
"""
HEAR_ORDERS = """() => {
    window.orders = 0;
    window.heard = new BroadcastChannel("orders");
    window.heard.onmessage = () => { window.orders++; };
}"""


def take_any_adapter(folder: Path) -> None:
    """Let the page take the graphics processor that a processor plays, and its worker tell of each order to that."""
    for script in (folder / "assets").glob("worker-*.js"):
        script.write_text(COUNT_ORDERS + script.read_text().replace("isFallbackAdapter", "isNoAdapter"))


def test_webgpu_draws_the_picture_of_the_command(tmp_path: Path) -> None:
    """By SwiftShader, Chromium's software for it: slow, but the way of every graphics processor."""
    path = tmp_path / "photo.png"
    Image.fromarray(example("surgical")).save(path)
    inpainter = open_inpainter(exact=True)
    plan = inpainter.plan_unmask(read_photo(path))
    with hosted(take_any_adapter) as address, browser("--enable-gpu", *WEBGPU) as opened:
        page = opened.new_page()
        page.goto(address)
        wait_for_threads(page)
        if page.evaluate("(async () => !await navigator.gpu?.requestAdapter())()"):
            pytest.skip("this Chromium has no SwiftShader")
        assert look(page, path) == "1 faces found, 1 covered"
        page.evaluate(HEAR_ORDERS)
        found = np.asarray(Image.open(complete(page, tmp_path)).convert("RGB"))
        assert page.evaluate("window.orders") > 10, "the completion itself is drawn there"
    assert np.array_equal(found[~plan.mask], plan.photo.pixels[~plan.mask])
    assert np.abs(found.astype(int) - inpainter.complete(plan).photo)[plan.mask].max() <= 2
