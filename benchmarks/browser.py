"""Speed of the live camera in Chromium, through `facefill serve`: frames per second, and the server's time per frame.

    python benchmarks/browser.py [--seconds 10] [--threads 2] [--frames DIR]

Chromium's fake camera shows a film of the example portrait, 640 × 480, moving. Needs the extras `serve` and `soak`, and
Chromium. --frames: also write what was shown once a second.
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from facefill.files.photo import read_photo
from tests.server.browser import EXAMPLE, browser, served, write_camera


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "camera.y4m"
        write_camera(path, draw_camera(90))
        with (
            served("--threads", str(options.threads)) as url,
            browser(f"--use-file-for-fake-video-capture={path}") as chromium,
        ):
            page = chromium.new_context(permissions=["camera"]).new_page()
            page.goto(url)
            page.click("#go-live")
            page.wait_for_selector("#rate:has-text('frames per second')", timeout=60_000)
            page.wait_for_timeout(3000)
            rates = []
            for second in range(round(options.seconds)):
                page.wait_for_timeout(1000)
                rates.append(int(page.text_content("#rate").split()[0]))
                if options.frames:
                    options.frames.mkdir(parents=True, exist_ok=True)
                    shown = page.evaluate("document.querySelector('#live-sheet').toDataURL('image/png').split(',')[1]")
                    (options.frames / f"{second:02d}.png").write_bytes(base64.b64decode(shown))
            print(
                f"live camera, 640 x 480, one face, {options.threads} threads: {np.median(rates):.0f} frames/s "
                f"({min(rates)} to {max(rates)} over {len(rates)} s)"
            )


if __name__ == "__main__":
    main()
