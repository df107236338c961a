"""What `facefill batch` refuses before it begins, and what a dry run prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from facefill.commands import cli
from tests.batch.photos import copy_all, write_photos


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["facefill", "batch", *map(str, words)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path, 4) / "in"


def test_a_dry_run_prints_what_is_left_to_do(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [photos, tmp_path / "out", "-m", "telea", "--dry-run"]
    assert command(monkeypatch, *words, "--exclude", "b/*") == 0
    out, err = capsys.readouterr()
    assert sorted(out.splitlines()) == ["a/photo 0000.png", "a/photo 0002.png"]
    assert err == "2 photos to do\n"
    copy_all(photos, tmp_path / "out")
    (photos / "new.png").write_bytes(b"new")
    assert command(monkeypatch, *words, "--json") == 0
    out, err = capsys.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == [{"photo": "new.png", "problem": ""}]
    assert err == "1 photos to do, 4 done before\n"
    assert command(monkeypatch, *words, "--force") == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_a_run_goes_on_with_the_same_kinds_of_covers_only(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_all(photos, tmp_path / "out")
    words = [photos, tmp_path / "out", "-m", "telea", "--dry-run", "--covers"]
    for covers in ("all", "hand,other,sunglasses,mask"):
        assert command(monkeypatch, *words, covers) == 0
        assert capsys.readouterr().err == "0 photos to do, 4 done before\n"
    assert command(monkeypatch, *words, "mask") == 2
    assert "what OUT was begun with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone", "out"], "expected a folder of photos"),
        (["in", "in"], "OUT apart from IN"),
        (["in", "out", "--workers", "2", "--ray", "auto"], "--workers or --ray"),
        (["in", "out", "--workers", "9", "--threads", "2"], "at most 2 workers"),
        (["in", "out", "-m", "swfit"], "did you mean 'swift'"),
        (["in", "out", "--mask-dir", "gone"], "expected a folder of masks"),
        (["in", "out", "--covers", "mask,sunglases"], "did you mean 'sunglasses'"),
        (["in", "out", "--covers", "mask", "--mask-dir", "in"], "--covers or --mask-dir"),
        (["in", "nope://out"], "a URL that fsspec knows"),
    ],
)
def test_what_cannot_begin_is_one_line_and_writes_nothing(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert command(monkeypatch, *words) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
