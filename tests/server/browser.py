"""A real server and a real browser: for the tests of the page, and for its screenshots.

    python -m tests.server.browser FOLDER [PHOTO...]     # writes screenshots of the page into FOLDER

Needs the extra `dev`, and Chromium: where CHROMIUM says, else where the system or `playwright install` has it.
"""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facefill.server.static import write_page

ROOT = Path(__file__).parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
EXAMPLE = ROOT / "examples" / "astronaut-surgical.jpg"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP photos.example 127.0.0.1",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
PHONE = {"width": 360, "height": 740}
SIZES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1360, "height": 860}},
    "phone": {"viewport": PHONE, "has_touch": True, "is_mobile": True, "device_scale_factor": 2},
}


def find_chromium() -> str | None:
    """The browser's program, None for none."""
    given = os.environ.get("CHROMIUM")
    return given or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def served(*options: str) -> Iterator[str]:
    """A server in a process of its own, with the shipped weights: its address."""
    command = [sys.executable, "-m", "facefill", "serve", "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"running on (http://\S+)", line):
                yield found[1]
                break
        else:
            raise RuntimeError(f"the server did not start: {said}")
    finally:
        process.terminate()
        process.communicate(timeout=60)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: Any) -> None:
        pass


@contextmanager
def hosted(change: Callable[[Path], None] | None = None) -> Iterator[str]:
    """The page without a server of ours, on a plain web server that adds no header, below a path: its address.
    change: what is done to its folder before."""
    with tempfile.TemporaryDirectory() as name:
        write_page(Path(name) / "below")
        if change:
            change(Path(name) / "below")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=name))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/below/"
        server.shutdown()
        server.server_close()


def wait_for_threads(page: Any) -> None:
    """Wait until the page without a server was loaded again by its service worker, so that it may use threads."""
    wait_until(page, "crossOriginIsolated && navigator.serviceWorker.controller !== null")
    page.wait_for_load_state()


def write_camera(path: Path, frames: list[np.ndarray]) -> None:
    """A film of (H, W, 3) RGB frames as YUV4MPEG2, which Chromium's fake camera shows again and again."""
    height, width = frames[0].shape[:2]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420\n".encode())
        for frame in frames:
            file.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes())


def add_noise(face: np.ndarray, count: int) -> list[np.ndarray]:
    """So many frames of a still (H, W, 3) picture, each under camera noise of its own, of 2 grey levels."""
    rng = np.random.default_rng(0)
    return [np.clip(face + rng.normal(0, 2, face.shape), 0, 255).astype(np.uint8) for _ in range(count)]


FLICKER = """async (frames) => {
    const sheet = document.querySelector('#live-sheet'), ink = sheet.getContext('2d'), changes = [];
    const end = performance.now() + 60000;
    const hole = () => ink.getImageData(290, 200, 70, 70).data;
    const taken = () => new Promise((resolve) => requestAnimationFrame(() => resolve(hole())));
    for (let last = await taken(); changes.length < frames && performance.now() < end;) {
        const next = await taken();
        if (next.every((value, at) => value === last[at])) continue; // the same frame
        let sum = 0;
        next.forEach((value, at) => { sum += Math.abs(value - last[at]); });
        changes.push(sum / (70 * 70 * 3));
        last = next;
    }
    return changes;
}"""
"""Mean absolute differences in the hole between so many frames in a row that differ; fewer after a minute."""


@contextmanager
def browser(*flags: str) -> Iterator[Any]:
    """A Playwright browser, without a window. flags: beside `FLAGS`, and instead of those that they contradict."""
    from playwright.sync_api import sync_playwright

    usual = [flag for flag in FLAGS if flag.replace("--disable-", "--enable-") not in flags]
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=find_chromium(), args=[*usual, *flags])
        yield opened
        opened.close()


def wait_until(page: Any, expression: str, most_s: float = 600) -> None:
    """Wait until an expression is true in the page; its own waiting would break a policy without eval."""
    end = time.monotonic() + most_s
    while not _holds(page, expression):
        if time.monotonic() > end:
            raise TimeoutError(expression)
        page.wait_for_timeout(200)


def _holds(page: Any, expression: str) -> bool:
    from playwright.sync_api import Error

    try:
        return bool(page.evaluate(expression))
    except Error as error:
        if "context was destroyed" in str(error):  # the page is being loaded again
            return False
        raise


def wait_for_faces(page: Any) -> None:
    page.wait_for_selector("#faces li", timeout=60_000)
    page.wait_for_selector("body:not([data-busy])", timeout=60_000)
    page.wait_for_timeout(200)


def complete(page: Any) -> None:
    page.click("#complete")
    page.wait_for_selector('body[data-mode="result"]', timeout=120_000)
    page.wait_for_timeout(300)


def take_screenshots(folder: Path, photos: list[Path]) -> None:
    """Every state of the page in both sizes and both schemes; prints how long the outlines took."""
    folder.mkdir(parents=True, exist_ok=True)
    with served() as url, browser() as chromium:
        for scheme in ("light", "dark"):
            for name, size in SIZES.items():
                page = chromium.new_context(**size, color_scheme=scheme).new_page()
                page.goto(url)

                def shoot(state: str, page: Any = page, stem: str = f"{name}-{scheme}") -> None:
                    page.screenshot(path=folder / f"{stem}-{state}.png")

                shoot("1-empty")
                for index, photo in enumerate(photos):
                    start = time.perf_counter()
                    page.set_input_files("#file", photo)
                    page.wait_for_selector("#faces li", timeout=60_000)
                    print(f"{name}, {scheme}: {photo.name} outlined after {time.perf_counter() - start:.2f} s")
                    wait_for_faces(page)
                    shoot(f"2-found{index or ''}")
                    complete(page)
                    shoot(f"3-completed{index or ''}")
                page.click('[data-tool="brush"]')
                box = page.locator("figure canvas").bounding_box()
                page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
                page.mouse.down()
                page.mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2 + 10, steps=5)
                page.mouse.up()
                page.wait_for_timeout(200)
                shoot("3-brushed")
                page.click("#edit")
                page.click("#how summary")
                page.check('#how input[value="telea"]')
                page.wait_for_timeout(200)
                shoot("4-methods")
                complete(page)
                shoot("5-side-by-side")
                page.goto(f"{url}/docs")
                page.wait_for_selector("details")
                page.click("main > details:nth-of-type(2) > summary")
                page.screenshot(path=folder / f"{name}-{scheme}-6-docs.png", full_page=name == "desktop")
                page.context.close()


if __name__ == "__main__":
    take_screenshots(Path(sys.argv[1]), [Path(photo) for photo in sys.argv[2:]] or [EXAMPLE])
