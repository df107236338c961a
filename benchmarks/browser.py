"""The live camera in Chromium, completed by `facefill serve` or by the browser itself: speed and flicker.

    python benchmarks/browser.py [--engine browser] [--seconds 10] [--threads 2] [--frames DIR]

Chromium's fake camera shows a film of the example portrait, 640 × 480: moving for the frames per second; for flicker a
still face under camera noise of 2 grey levels, of whose hole two frames in a row are compared. Needs the extras `serve`
and `soak`, and Chromium. --threads: of the server. --frames: also write what was shown once a second.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from facefill.files.photo import read_photo
from tests.server.browser import EXAMPLE, FLICKER, add_noise, browser, hosted, served, wait_for_threads, write_camera


def draw_camera(count: int) -> list[np.ndarray]:
    """The portrait's face in the middle of 640 × 480, moving as a sitting person does."""
    portrait = cv2.resize(read_photo(EXAMPLE).pixels, (1000, 1000), interpolation=cv2.INTER_CUBIC)
    frames = []
    for index in range(count):
        turn = 2 * np.pi * index / count
        matrix = cv2.getRotationMatrix2D((440, 300), 3 * np.sin(turn), 1 + 0.03 * np.sin(2 * turn))
        matrix[:, 2] += -120 + 20 * np.sin(turn), -60 + 8 * np.sin(2 * turn)
        frames.append(cv2.warpAffine(portrait, matrix, (640, 480), flags=cv2.INTER_CUBIC))
    return frames


@contextmanager
def filmed(url: str, frames: list[np.ndarray]) -> Iterator[Any]:
    """The page's live camera, once a face is completed."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "camera.y4m"
        write_camera(path, frames)
        with browser(f"--use-file-for-fake-video-capture={path}") as chromium:
            page = chromium.new_context(permissions=["camera"]).new_page()
            page.goto(url)
            if page.get_attribute("html", "data-engine") == "browser":
                wait_for_threads(page)
            page.click("#go-live")
            page.wait_for_selector("#live-faces:has-text('1 completed')", timeout=300_000)
            page.wait_for_timeout(3000)
            yield page


def counted(page: Any) -> tuple[int, int]:
    """Frames shown so far, and those in which networks drew."""
    return tuple(int(page.get_attribute("#rate", f"data-{name}")) for name in ("frames", "drawn"))


def processor_s() -> float:
    """Processor time of all processes that this one began and that still run (Linux)."""
    ours, ticks = {os.getpid()}, 0
    for pid in sorted(int(path.name) for path in Path("/proc").glob("[0-9]*")):  # children come after their parents
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(stat[1]) in ours:
            ours.add(pid)
            ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["server", "browser"], default="server")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=Path)
    options = parser.parse_args()
    serving = served("--threads", str(options.threads)) if options.engine == "server" else hosted()
    with serving as url:
        rates, counts = [], []
        with filmed(url, draw_camera(90)) as page:
            counts.append(counted(page))
            start, before = time.perf_counter(), processor_s()
            for second in range(round(options.seconds)):
                page.wait_for_timeout(1000)
                rates.append(int(page.text_content("#rate").split()[0]))
                if options.frames:
                    options.frames.mkdir(parents=True, exist_ok=True)
                    shown = page.evaluate("document.querySelector('#live-sheet').toDataURL('image/png').split(',')[1]")
                    (options.frames / f"{second:02d}.png").write_bytes(base64.b64decode(shown))
            counts.append(counted(page))
            cores = (processor_s() - before) / (time.perf_counter() - start)
        with filmed(url, add_noise(draw_camera(1)[0], 30)) as page:
            changes = page.evaluate(FLICKER, 40)
    print(
        f"live camera, 640 x 480, one face, engine {options.engine}: {np.median(rates):.0f} frames/s "
        f"({min(rates)} to {max(rates)} over {len(rates)} s), {cores:.2f} processors busy"
    )
    frames, drawn = (after - before for before, after in zip(*counts, strict=True))
    print(f"{drawn} of {frames} frames showed a new drawing; the others carried the last one along")
    print(f"flicker of a still face: {np.mean(changes):.2f} grey levels, at most {max(changes):.2f}")


if __name__ == "__main__":
    main()
