"""The demo's photos before and after, side by side in one picture: python examples/sheet.py BEFORE AFTER SHEET."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

from PIL import Image

SIDE_PX, GAP_PX = 384, 8


def draw(before: Path, after: Path) -> Image.Image:
    """A column for each photo that is in both folders, with its completion below it."""
    names = sorted(path.name for path in before.glob("*.jpg") if (after / path.name).exists())
    pitch = SIDE_PX + GAP_PX
    sheet = Image.new("RGB", (len(names) * pitch + GAP_PX, 2 * pitch + GAP_PX), "white")
    for column, name in enumerate(names):
        for row, folder in enumerate((before, after)):
            with Image.open(folder / name) as photo:
                small = photo.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
            sheet.paste(small, (GAP_PX + column * pitch, GAP_PX + row * pitch))
    return sheet


if __name__ == "__main__":
    path = Path(sys.argv[3])
    draw(Path(sys.argv[1]), Path(sys.argv[2])).save(path, quality=92)
    print(f"Before and after: {path}")
    if sys.stdout.isatty():
        webbrowser.open(path.resolve().as_uri())
