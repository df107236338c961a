"""What the tests of commands share."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facefill.commands import cli
from tests.commands.running import Run
from tests.faces import draw_face


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process: exit code, stdout, stderr."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["facefill", *map(str, words)])
        capsys.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return int(code or 0), out, err  # type: ignore[call-overload]

    return call


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
