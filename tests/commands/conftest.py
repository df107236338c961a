"""What the tests of commands share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.faces import draw_face


@pytest.fixture
def face(tmp_path: Path) -> Path:
    Image.fromarray(draw_face(128, 1)[0]).save(tmp_path / "face.png")
    return tmp_path / "face.png"


@pytest.fixture
def hole(tmp_path: Path) -> Path:
    mask = np.zeros((128, 128), np.uint8)
    mask[70:110, 40:90] = 255
    Image.fromarray(mask).save(tmp_path / "hole.png")
    return tmp_path / "hole.png"
