"""Tables between marks are exchanged, and those that are older than what they speak of are told."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from facefill.catalog import shipped_weights
from facefill.errors import InputError
from facefill.evaluation.benchmark import EvaluationSettings, prepare
from facefill.evaluation.marks import CLOSE, DIGITS, Written, hash_files, put_table, read_tables
from facefill.evaluation.report import speaks_of
from tests.toy_datasets import write_dataset

ROOT = Path(__file__).parents[2]
TABLE = Written("centre", "| a |\n|---|\n| 1 |", "facefill methods", "abc", {"swift": "0123456789ab"})


def test_a_table_is_exchanged_and_the_rest_kept() -> None:
    first = put_table("# Results\n\nMine.\n", TABLE)
    both = put_table(first + "\nBelow.\n", replace(TABLE, name="worn", body="other"))
    new = put_table(both, replace(TABLE, body="new \\1 $ {}"))
    assert [(table.name, table.body) for table in read_tables(new)] == [("centre", "new \\1 $ {}"), ("worn", "other")]
    assert new.startswith("# Results\n\nMine.\n\n<!-- table centre: {")
    assert new.split(CLOSE.format("centre"))[1].startswith("\n\nBelow.\n\n<!-- table worn: {")
    assert put_table(new, replace(TABLE, body="new \\1 $ {}")) == new


def test_half_a_mark_is_one_clear_line() -> None:
    page = put_table("", TABLE)
    for spoiled in (page.replace(CLOSE.format("centre"), ""), page + page, page[page.index("| a |") :]):
        with pytest.raises(InputError, match="both marks of the table centre"):
            read_tables(spoiled)


def test_a_table_is_outdated_when_its_weights_changed_or_somebody_edited_it() -> None:
    (table,) = read_tables(put_table("", TABLE))
    assert table.outdated(lambda name: "0123456789abcdef") == []
    assert table.outdated(lambda name: "other") == ["swift changed"]
    (edited,) = read_tables(put_table("", TABLE).replace("| 1 |", "| 2 |"))
    assert edited.outdated(lambda name: "0123456789ab") == ["edited by hand"]


def test_a_table_speaks_of_the_code_of_its_holes_and_methods(tmp_path: Path) -> None:
    """A network's own, what draws covers where some are worn, and rules; what no row needs is left out."""
    write_dataset(tmp_path / "faces", 2)

    def code(methods: str, holes: str) -> set[str]:
        names, drawn = tuple(methods.split(",")), tuple(holes.split(","))
        bench = prepare(EvaluationSettings(tmp_path / "faces", tmp_path / "report", methods=names, holes=drawn))
        of = speaks_of(bench)
        assert all(of.values()), "each is there"
        assert of == {name: digest[:DIGITS] for name in of if (digest := hash_now(name))}
        return {name.removeprefix("src/facefill/") for name in of}

    def hash_now(name: str) -> str:
        shipped = shipped_weights().get(name)
        return shipped.sha256 if shipped else hash_files(ROOT, name)

    search, rule = code("dip", "random20@64"), code("telea", "random20@64")
    assert {"methods/latent_search.py", "nets/descent.py", "nets/dcgan.py", "nets/layers.py", "latent_search"} <= search
    assert search - rule == {name for name in search if name.startswith(("methods/", "nets/", "latent_search"))}
    assert rule - search == {"imaging/classical.py"}
    assert {"imaging/masks.py", "imaging/crop.py", "imaging/biharmonic.py", "runtime/draw.py"} <= rule & search


def test_a_pattern_has_the_hash_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.py").write_text("1")
    before = hash_files(tmp_path, "a/*.py")
    assert hash_files(tmp_path, "a/one.py") != before
    (tmp_path / "a" / "two.py").write_text("2")
    assert len({before, hash_files(tmp_path, "a/*.py"), hash_files(tmp_path, "a/none.py")}) == 3
    assert hash_files(tmp_path, "a/none.py") == hash_files(tmp_path, "b/*.py") == ""


def test_the_tool_writes_a_table_and_sees_that_its_code_changed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n| by | hand |\n|---|---|\n")
    source = "src/facefill/errors.py"

    def tables(*words: object) -> subprocess.CompletedProcess[str]:
        code = (
            f"import sys; sys.path.insert(0, {str(ROOT / 'benchmarks')!r}); import pathlib, tables; "
            f"tables.ROOT = pathlib.Path({str(tmp_path)!r}); tables.commit = lambda: 'abc'; tables.main()"
        )
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False
        )

    (tmp_path / "src" / "facefill").mkdir(parents=True)
    (tmp_path / source).write_text("first")
    made = tables("write", page, "t", "--of", source, "--by", r"printf '| a |\n|---|\n| %s |\n' 7")
    assert made.returncode == 0, made.stderr
    (table,) = read_tables(page.read_text())
    assert table.body.endswith("| 7 |")
    assert list(table.of) == [source]
    fine = tables("check", page)
    assert (fine.returncode, "1 written by commands, 1 by hand" in fine.stdout) == (0, True), fine.stderr
    (tmp_path / source).write_text("second")
    old = tables("check", page)
    assert old.returncode == 1
    assert f"page.md t: {source} changed since abc" in old.stdout
    assert tables("again", page).returncode == tables("check", page).returncode == 0
    assert json.loads(page.read_text().split("<!-- table t: ")[1].split(" -->")[0])["commit"] == "abc"


def test_words_in_capitals_are_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACES", "/data/faces")
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'benchmarks')!r}); import tables; "
        "print(tables.run(['printf', '|---%s', '|FACES', "
        "*'FACES data.folder=FACES a=bFACES OTHER'.split()]))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.split("|---")[1:] == ["|FACES", "/data/faces", "data.folder=/data/faces", "a=bFACES", "OTHER\n"]
