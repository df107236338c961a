"""`facefill video` as somebody calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import Run
from tests.commands.running import refused

pytest.importorskip("av", reason="pip install av")

from facefill.commands.video import _tell as tell
from facefill.video.run import Second
from tests.video.clips import write_clip


def test_the_command_prints_a_line_of_json_for_each_second(run: Run, tmp_path: Path) -> None:
    write_clip(tmp_path / "in.mp4", frames=30)
    code, out, err = run("video", tmp_path / "in.mp4", tmp_path / "out.mp4", "--json")
    assert code == 0, err
    lines: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert [(line["second"], line["frames"]) for line in lines] == [(0, 25), (1, 5)]
    assert "30 frames" in err
    assert "invented" in err
    assert "exists" in refused(run, tmp_path, "video", tmp_path / "in.mp4", tmp_path / "out.mp4")


def test_progress_is_a_line_for_every_ten_seconds_of_the_film_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for second in range(25):
        tell(Second(second, frames=25, faces=1, completed=24), 25.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"{at} of 25 s: 1 faces, 24 of 25 frames completed" for at in (10, 20)]
