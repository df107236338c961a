"""YuNet, a finder that the user brings."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from facefill.errors import InputError
from facefill.runtime.helpers import open_finder
from facefill.runtime.yunet import YuNet, faces_of
from tests.networks import write_cover


def test_rows_are_faces_of_the_photo_the_largest_first() -> None:
    small = [10.0, 20, 40, 60, *np.arange(10), 0.8]
    large = [-4.0, 5, 96, 65, *np.arange(10, 20), 0.9]
    first, second = faces_of(np.array([small, large], np.float32), 2.0, (130, 180, 3))
    assert first.box == (-0.5, 10, 179.5, 129.5)
    assert second.box == (20, 40, 80, 120)
    assert (first.landmarks == np.arange(10, 20).reshape(5, 2) * 2).all()
    assert second.score == pytest.approx(0.8)
    assert faces_of(np.zeros((0, 15), np.float32), 2.0, (9, 9)) == []


def test_what_the_network_says_is_decoded_as_its_authors_do(tmp_path: Path) -> None:
    yunet = object.__new__(YuNet)
    yunet._multiple_px = 32
    yunet._engine = OneFace()
    ((*box, x, y, score),) = yunet.look(np.zeros((60, 90, 3), np.uint8), 0.6)[:, [0, 1, 2, 3, 4, 5, 14]]
    assert box == pytest.approx([32.0, 24, 48, 40])  # column 4, row 3 of stride 8, half a cell aside, 16 pixels wide
    assert (x, y) == pytest.approx((40.0, 32.0))
    assert score == pytest.approx(np.sqrt(0.9 * 0.8))


class OneFace:
    """One face in a canvas of 96 x 64, and one below the threshold."""

    metadata: ClassVar[dict[str, str]] = {}

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert inputs["input"].shape == (1, 3, 64, 96)
        said = {}
        for stride in (8, 16, 32):
            count = (64 // stride) * (96 // stride)
            for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
                said[f"{name}_{stride}"] = np.zeros((1, count, width), np.float32)
        place = 3 * 12 + 4
        said["cls_8"][0, place], said["obj_8"][0, place] = 0.9, 0.8
        said["bbox_8"][0, place] = 1, 1, np.log(2), np.log(2)
        said["kps_8"][0, place] = 1
        said["cls_16"][0, 0], said["obj_16"][0, 0] = 0.5, 0.5
        return said


@pytest.mark.parametrize("made", [True, False])
def test_a_file_that_is_no_yunet_is_refused_with_what_to_take(tmp_path: Path, made: bool) -> None:
    path = tmp_path / "other.onnx"
    if made:
        write_cover(path)
    with pytest.raises(InputError, match="YuNet"):
        open_finder(path)
    with pytest.raises(InputError, match=r"other\.onnx"):
        YuNet(path)
