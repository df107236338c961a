"""Memory is bounded by what is held of a photo: so many bytes per pixel, as docs/files.md says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facefill.errors import InputError
from facefill.files.photo import read_photo

from . import photo_files as files

ROOT = Path(__file__).parents[2]
MEASURE = """
import resource, sys
import numpy as np
from tests.files import photo_files as files
from facefill.files.photo import Provenance, encode_photo, read_photo

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

made = Provenance("swift", "ab", 7)
for name in ("JPEG", "PNG", "TIFF"):
    small = read_photo(files.coded(files.picture(64, 64), name))
    encode_photo(small, small.pixels, np.eye(64, dtype=bool), provenance=made)
data = open(sys.argv[1], "rb").read()
before = peak()
photo = read_photo(data)
read = peak()
mask = np.ones(photo.pixels.shape[:2], bool)
mask[0, 0] = False
encode_photo(photo, 255 - photo.pixels, mask, provenance=made)
print((read - before) / mask.size, (peak() - before) / mask.size)
"""
SIDES = 1600, 2000


def tall(channels: int, bits: int = 8) -> np.ndarray:
    return np.tile(files.picture(16, SIDES[1], channels, bits=bits), (SIDES[0] // 16, 1, 1))


KINDS = {
    "JPEG 4:4:4": lambda: files.coded(tall(3), "JPEG", subsampling=0),
    "JPEG CMYK": lambda: files.coded(files.image("CMYK", *SIDES), "JPEG"),
    "PNG of 16 bits and alpha": lambda: files.png(tall(4, 16), 6, 16),
    "TIFF with alpha": lambda: files.coded(tall(4), "TIFF", compression="tiff_lzw"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is counted in other units")
@pytest.mark.parametrize("kind", KINDS)
def test_reading_and_writing_take_so_many_bytes_per_pixel(kind: str, tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(KINDS[kind]())
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "photo")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    read, both = map(float, done.stdout.split())
    assert read <= 24
    assert both <= 60


def test_the_limit_counts_bytes_of_samples_and_says_so() -> None:
    header_only = files.png(np.zeros((1, 1, 4), np.uint16), 6, 16, size=(10_000, 10_000))
    with pytest.raises(InputError, match="at most 400,000,000 bytes of samples, got 800,000,000"):
        read_photo(header_only)
    with pytest.raises(InputError, match="cut off"):
        read_photo(files.png(np.zeros((1, 1, 3), np.uint8), 2, 8, size=(10_000, 10_000)))
