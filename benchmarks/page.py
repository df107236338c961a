"""The page of `facefill page` in Chromium beside the Python package: seconds for one photo.

    python benchmarks/page.py [--photo FILE] [--rounds 3]

Each round completes the photo in the page (networks loaded), then by the package in float32 in this process, on
as many threads; the shortest of the rounds is shown. Needs the extra `soak` and Chromium.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from facefill.files.photo import read_photo
from facefill.runtime.inpainter import open_inpainter
from tests.server.browser import EXAMPLE, browser, hosted, wait_for_threads, wait_until

WAIT_MS = 600_000


def open_page(chromium: Any, url: str) -> Any:
    page = chromium.new_page()
    page.goto(url)
    wait_for_threads(page)
    return page


def look(page: Any, photo: Path) -> float:
    """Seconds until the faces of a photo are found."""
    page.evaluate("document.querySelector('#status').textContent = ''")
    start = time.perf_counter()
    page.set_input_files("#file", str(photo))
    wait_until(page, "/faces found/.test(document.querySelector('#status').textContent)")
    return time.perf_counter() - start


def complete(page: Any) -> float:
    start = time.perf_counter()
    page.click("#complete")
    page.wait_for_selector('body[data-mode="result"]', timeout=WAIT_MS)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, default=EXAMPLE)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, hosted() as url, browser() as chromium:
        page = open_page(chromium, url)
        threads = min(4, page.evaluate("navigator.hardwareConcurrency"))
        inpainter = open_inpainter(exact=True, threads=threads)
        first = look(page, given.photo)
        plan = inpainter.plan_unmask(read_photo(given.photo))
        inpainter.complete(plan)
        rows = []
        other = Path(folder) / "other.jpg"
        for _ in range(given.rounds):
            other.write_bytes(given.photo.read_bytes() + b"\0" * (len(rows) + 1))  # the page knows the last one
            looked, completed = look(page, other), complete(page)
            start = time.perf_counter()
            plan = inpainter.plan_unmask(read_photo(given.photo))
            middle = time.perf_counter()
            inpainter.complete(plan)
            rows.append((looked, completed, middle - start, time.perf_counter() - middle))
    best = [min(column) for column in zip(*rows, strict=True)]
    print(f"{threads} threads; the first photo's faces, with loading: {first:.1f} s")
    print("| step | page | package | ratio |\n| --- | --- | --- | --- |")
    for name, ours, theirs in (("look", best[0], best[2]), ("complete", best[1], best[3])):
        print(f"| {name} | {ours:.2f} s | {theirs:.2f} s | {ours / theirs:.1f} |")


if __name__ == "__main__":
    main()
