"""Finders that the user brings: YuNet through OpenCV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facefill.errors import InputError
from facefill.runtime.helpers import YuNet, faces_of, open_finder
from tests.networks import write_cover


def test_rows_of_yunet_are_faces_of_the_photo_the_largest_first() -> None:
    small = [10.0, 20, 30, 40, *np.arange(10), 0.8]
    large = [-4.0, 5, 100, 60, *np.arange(10, 20), 0.9]
    first, second = faces_of(np.array([small, large], np.float32), 2.0, (130, 180, 3))
    assert first.box == (-0.5, 10, 179.5, 129.5)
    assert second.box == (20, 40, 80, 120)
    assert (first.landmarks == np.arange(10, 20).reshape(5, 2) * 2).all()
    assert second.score == pytest.approx(0.8)
    assert faces_of([], 2.0, (9, 9)) == []


@pytest.mark.parametrize("made", [True, False])
def test_a_file_that_is_no_yunet_is_refused_with_what_to_take(tmp_path: Path, made: bool) -> None:
    path = tmp_path / "other.onnx"
    if made:
        write_cover(path)
    with pytest.raises(InputError, match="YuNet"):
        open_finder(path)
    with pytest.raises(InputError, match=r"other\.onnx"):
        YuNet(path)
