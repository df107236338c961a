"""How tests run the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import numpy as np

from facefill.runtime.cover import KINDS, Cover, FoundCover
from facefill.runtime.finder import Face
from tests.command import Run
from tests.runtime.test_inpainter import covered


def refused(run: Run, folder: Path, *words: object) -> str:
    """Run a command that the user has to mend: exit 2, one line of three parts, nothing new in the folder."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, out, err = run(*words)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert code == 2, (code, out, err)
    assert err.count("\n") == 1, err
    assert "expected" in err
    assert ", got " in err
    assert after == before
    return err


def lower_half(cover: Cover, photo: np.ndarray, faces: list[Face], kinds: Collection[str] = KINDS) -> list[FoundCover]:
    """A cover over the lower half of each face."""
    return [covered(photo, face, slice(128, 256)) for face in faces]


def command(*words: object, data: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "facefill", *map(str, words)],
        input=data,
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
    )
