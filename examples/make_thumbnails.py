"""Make the page's samples and the thumbnails of its methods, in web/src, from the example photos.

    python examples/make_thumbnails.py [METHOD...]      # default: all that are usable; then: make page

Every usable method completes one example; its thumbnail is the face.
"""

import sys
from pathlib import Path

from PIL import Image

from facefill import unmask
from facefill.catalog import usable

HERE = Path(__file__).parent
PAGE = HERE.parent / "web" / "src"
SAMPLES = ("astronaut-cloth", "astronaut-sunglasses", "astronaut-surgical")
SAMPLE_PX, THUMBNAIL_PX = 512, 96


def main() -> None:
    for folder in ("samples", "thumbnails"):
        (PAGE / folder).mkdir(exist_ok=True)
    for name in SAMPLES:
        photo = Image.open(HERE / f"{name}.jpg")
        photo.thumbnail((SAMPLE_PX, SAMPLE_PX))
        photo.save(PAGE / "samples" / f"{name}.jpg", quality=85)
    for method in sys.argv[1:] or usable():
        result = unmask(HERE / "astronaut-surgical.jpg", method=method)
        x0, y0, x1, y1 = result.faces[0].box
        half, x, y = 0.58 * max(x1 - x0, y1 - y0), (x0 + x1) / 2, (y0 + y1) / 2
        face = Image.fromarray(result.photo).crop((round(x - half), round(y - half), round(x + half), round(y + half)))
        face.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS).save(
            PAGE / "thumbnails" / f"{method}.jpg", quality=85
        )


if __name__ == "__main__":
    main()
