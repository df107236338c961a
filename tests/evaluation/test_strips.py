"""A picture for every completed face: three tiles and a foot, named after the face."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from facefill.commands import cli
from facefill.datasets.faces import read_dataset
from facefill.evaluation.protocols import Case
from facefill.evaluation.strips import FOOT_PX, draw_strip
from facefill.files.photo import read_photo
from tests.faces import draw_face
from tests.toy_datasets import write_dataset


def test_a_strip_is_what_was_seen_the_truth_and_the_completion() -> None:
    truth = draw_face(64, 1)[0]
    mask = np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True
    completed = np.where(mask[..., None], np.uint8(90), truth)
    grey = np.where(mask[..., None], np.uint8(127), truth)
    strip = draw_strip(grey, Case("a.png", truth, truth, mask, mask), completed)
    assert strip.shape == (256 + FOOT_PX, 3 * 256 + 8, 3)
    for place, tile in enumerate((grey, truth, completed)):
        left = place * (256 + 4)
        assert (strip[:256:4, left : left + 256 : 4] == tile).all()
        assert strip[256:, left : left + 256].min() < 100, "values stand underneath"
    other = draw_strip(grey, Case("a.png", truth, truth, mask, mask), truth)
    assert (other[256:] != strip[256:]).any()


def test_the_command_draws_every_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = write_dataset(tmp_path / "faces", 3, split="test", side=64)
    words = [
        "evaluate",
        faces,
        "--methods",
        "telea",
        "--holes",
        "random60@64",
        "--report",
        tmp_path / "report",
        "--limit",
        2,
        "--no-timings",
        "--per-picture",
    ]
    monkeypatch.setattr(sys, "argv", ["facefill", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    drawn = sorted((tmp_path / "report/per-picture").rglob("*.png"))
    assert [path.name for path in drawn] == sorted(face.file for face in read_dataset(faces, limit=2).faces)
    assert drawn[0].parent.parts[-2:] == ("random60@64", "telea")
    assert read_photo(drawn[0]).pixels.shape == (256 + FOOT_PX, 3 * 256 + 8, 3)
