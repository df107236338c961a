"""Grades of blind contact sheets are counted by version and view."""

from __future__ import annotations

import hashlib
import importlib
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from facefill.errors import InputError

ROOT = Path(__file__).parents[2]
KEY = """face,place,method,turn
a#0,A,new,0.05
a#0,B,old,0.05
b#0,A,old,0.15
b#0,B,new,0.15
c#0,A,new,0.31
c#0,B,old,0.31
"""


@pytest.fixture
def contact_sheet(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("contact_sheet")


def test_photos_come_in_the_order_of_their_hashes(contact_sheet: Any, tmp_path: Path) -> None:
    """Any first ones are a fair sample, whatever they are called."""
    (tmp_path / "folder").mkdir()
    names = [f"{number}.jpg" for number in range(8)]
    for name in names:
        (tmp_path / name).touch()
    found = [path.name for path in contact_sheet.photos_in(tmp_path)]
    assert found == sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert found != names


def graded(folder: Path, rows: str) -> Namespace:
    (folder / "key.csv").write_text(KEY)
    (folder / "grades.csv").write_text(rows)
    return Namespace(folder=folder)


def test_what_was_kept_is_counted_by_version_and_view(
    contact_sheet: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "face,place,grade,kept\na#0,A,GOOD,A\na#0,B,BAD,A\nb#0,A,BAD,\nb#0,B,USABLE,B\nc#0,A,BAD,none\nc#0,B,BAD,\n"
    contact_sheet.grades(graded(tmp_path, rows))
    assert capsys.readouterr().out.splitlines() == [
        "| method | view | n | kept | GOOD | GOOD or USABLE | others |",
        "|---|---|---|---|---|---|---|",
        "| new | frontal | 1 | 1 | 1 | 1 |  |",
        "| new | turned | 1 | 1 | 0 | 1 |  |",
        "| new | half profile and more | 1 | 0 | 0 | 0 | BAD 1 |",
        "| old | frontal | 1 | 0 | 0 | 0 | BAD 1 |",
        "| old | turned | 1 | 0 | 0 | 0 | BAD 1 |",
        "| old | half profile and more | 1 | 0 | 0 | 0 | BAD 1 |",
        "",
        "Kept: new 2; none 1.",
    ]


def test_grades_without_a_choice_are_counted_as_before(
    contact_sheet: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contact_sheet.grades(graded(tmp_path, "face,place,grade\na#0,A,GOOD\nb#0,B,GOOD\n"))
    assert capsys.readouterr().out.splitlines() == [
        "| method | view | n | GOOD | GOOD or USABLE | others |",
        "|---|---|---|---|---|---|",
        "| new | frontal | 1 | 1 | 1 |  |",
        "| new | turned | 1 | 1 | 1 |  |",
    ]


@pytest.mark.parametrize(
    ("rows", "said"),
    [("a#0,A,GOOD,A\na#0,B,BAD,B\n", "one kept place of each face"), ("a#0,A,GOOD,C\n", "places of key.csv")],
)
def test_a_choice_that_cannot_be_is_refused(contact_sheet: Any, tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        contact_sheet.grades(graded(tmp_path, f"face,place,grade,kept\n{rows}"))
