"""The demo's photos before and after, side by side in one picture: python examples/sheet.py BEFORE AFTER SHEET."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

from PIL import Image, ImageChops

SIDE_PX, GAP_PX = 384, 8


def look_at(before: Image.Image, after: Image.Image) -> tuple[int, int, int, int]:
    """The square around what changed, of three times its longer side, as far as it lies in the photo."""
    changed = ImageChops.difference(before, after).convert("L").point(lambda level: 255 if level > 16 else 0).getbbox()
    left, top, right, bottom = changed or (0, 0, *before.size)
    side = min(3 * max(right - left, bottom - top), *before.size)
    x = min(max((left + right - side) // 2, 0), before.width - side)
    y = min(max((top + bottom - side) // 2, 0), before.height - side)
    return x, y, x + side, y + side


def draw(before: Path, after: Path) -> Image.Image:
    """A column for each photo that is in both folders, with its completion below it."""
    names = sorted(path.name for path in before.glob("*.jpg") if (after / path.name).exists())
    pitch = SIDE_PX + GAP_PX
    sheet = Image.new("RGB", (len(names) * pitch + GAP_PX, 2 * pitch + GAP_PX), "white")
    for column, name in enumerate(names):
        pair = [Image.open(folder / name).convert("RGB") for folder in (before, after)]
        box = look_at(*pair)
        for row, photo in enumerate(pair):
            small = photo.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS, box)
            sheet.paste(small, (GAP_PX + column * pitch, GAP_PX + row * pitch))
    return sheet


if __name__ == "__main__":
    path = Path(sys.argv[3])
    draw(Path(sys.argv[1]), Path(sys.argv[2])).save(path, quality=92)
    print(f"Before and after: {path}")
    if sys.stdout.isatty():
        webbrowser.open(path.resolve().as_uri())
