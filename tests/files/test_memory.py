"""Memory is bounded by what is held of a photo: so many bytes per pixel, as docs/files.md says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facefill.errors import InputError
from facefill.files.photo import read_photo
from facefill.files.samples import use_heif

from . import photo_files as files

ROOT = Path(__file__).parents[2]
MEASURE = """
import sys
import numpy as np
from tests.files import photo_files as files
from facefill.files.photo import Provenance, encode_photo, read_photo

made = Provenance("swift", "ab", 7)
for name in ("JPEG", "PNG", "TIFF"):
    small = read_photo(files.coded(files.picture(64, 64), name))
    encode_photo(small, small.pixels, np.eye(64, dtype=bool), provenance=made)
data = open(sys.argv[1], "rb").read()
before = files.memory("VmHWM")
photo = read_photo(data)
read = files.memory("VmHWM")
mask = np.ones(photo.pixels.shape[:2], bool)
mask[0, 0] = False
encode_photo(photo, 255 - photo.pixels, mask, provenance=made)
print(*(1024 * (held - before) / mask.size for held in (read, files.memory("VmHWM"))))
"""
SIDES = 1600, 2000


def tall(channels: int, bits: int = 8) -> np.ndarray:
    return np.tile(files.picture(16, SIDES[1], channels, bits=bits), (SIDES[0] // 16, 1, 1))


KINDS = {
    "JPEG 4:4:4": lambda: files.coded(tall(3), "JPEG", subsampling=0),
    "JPEG CMYK": lambda: files.coded(files.image("CMYK", *SIDES), "JPEG"),
    "PNG of 16 bits and alpha": lambda: files.png(tall(4, 16), 6, 16),
    "PNG of 16-bit grey and alpha": lambda: files.png(tall(2, 16), 4, 16),
    "TIFF with alpha": lambda: files.coded(tall(4), "TIFF", compression="tiff_lzw"),
    "TIFF of 16 bits that alpha is multiplied into": lambda: files.tiff(tall(4, 16), extrasamples=[1]),
    "AVIF with alpha": lambda: files.coded(tall(4), "AVIF", speed=10),
    "HEIC with alpha": lambda: files.coded(tall(4), "HEIF", quality=50),
}
SLOW = "AVIF with alpha", "HEIC with alpha"


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read in /proc")
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.soak] * (kind in SLOW)) for kind in KINDS])
def test_reading_and_writing_take_so_many_bytes_per_pixel(kind: str, tmp_path: Path) -> None:
    if "HEIC" in kind:
        pytest.importorskip("pillow_heif")
        use_heif()
    (tmp_path / "photo").write_bytes(KINDS[kind]())
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "photo")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    read, both = map(float, done.stdout.split())
    assert 1 <= read <= 36, "the view alone takes 3, of which some was there before"
    assert read < both <= 68


def test_the_limit_counts_bytes_of_samples_and_says_so() -> None:
    header_only = files.png(np.zeros((1, 1, 4), np.uint16), 6, 16, size=(10_000, 10_000))
    with pytest.raises(InputError, match="at most 400,000,000 bytes of samples, got 800,000,000"):
        read_photo(header_only)
    with pytest.raises(InputError, match="cut off"):
        read_photo(files.png(np.zeros((1, 1, 3), np.uint8), 2, 8, size=(10_000, 10_000)))
