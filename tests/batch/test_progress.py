"""What a run shows while it lasts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from facefill.batch import progress
from facefill.batch.folder import LocalFolder, Selection
from facefill.batch.progress import Display, Tally
from tests.batch.photos import write_photos


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(write_photos(tmp_path, 10) / "in")


def test_it_says_how_far_how_fast_how_long_still_and_what_failed(folder: LocalFolder) -> None:
    tally = Tally()
    display = Display(folder, Selection(), tally)
    until = time.monotonic() + 10
    while not display._counted:
        assert time.monotonic() < until
        time.sleep(0.001)
    tally.done.update(completed=3, failed=1)
    tally.before.update(completed=1)
    assert display.text(display._began + 2.0) == "5 of 10 photos, 2.0/s, 2 s left, 1 failed"


def test_before_all_are_counted_no_time_is_promised(folder: LocalFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Display, "_count", lambda self, source, select: None)
    tally = Tally()
    display = Display(folder, Selection(), tally)
    tally.done.update(completed=4)
    assert display.text(display._began + 2.0) == "4 of 4 or more photos, 2.0/s"


def test_elsewhere_than_on_a_terminal_it_writes_a_line_now_and_then(
    folder: LocalFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Display(folder, Selection(), Tally()) as display:
        display.show()
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
        display.show()
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("0 of ")
