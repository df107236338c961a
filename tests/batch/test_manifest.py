"""The manifest after a kill at any byte, after a repair, and after photos were done again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from facefill.batch.folder import LocalFolder, Unwritable
from facefill.batch.manifest import FileJournal, Manifest, Outcome

FIRST = [
    Outcome("a.jpg", "completed", stamp="1", source_sha256="aa", recipe="r", warnings=("ä",)),
    Outcome("b/c.jpg", "refused", "no face", stamp="2", recipe="r"),
]


def opened(folder: Path, recipe: str = "r") -> Manifest:
    return Manifest(LocalFolder(folder), recipe)


def write(folder: Path, lines: list[Outcome], *, ends: bool = True) -> None:
    manifest = opened(folder)
    for line in lines:
        manifest.add(line)
    manifest.close() if ends else manifest.abandon()


def test_a_line_survives_its_way_through_the_file(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    assert [Outcome.decode(line) for line in FileJournal(tmp_path / "manifest.jsonl").lines()] == FIRST


def test_kinds_of_covers_are_kept_and_lines_without_them_are_read(tmp_path: Path) -> None:
    told = Outcome("a.jpg", "completed", recipe="r", covers=(("mask",), ()), left_on=(("sunglasses", "hand"), ()))
    line = told.encode()
    assert Outcome.decode(line) == told
    old = {key: value for key, value in json.loads(line).items() if key not in ("covers", "left_on")}
    assert Outcome.decode(json.dumps(old).encode()) == replace(told, covers=(), left_on=())
    (tmp_path / "manifest.jsonl").write_text(json.dumps(old) + "\n", encoding="utf-8")
    manifest = opened(tmp_path)
    assert (manifest.known("a.jpg") is not None, manifest.damaged, manifest.other) == (True, 0, None)
    manifest.close()


def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    line = Outcome("bad \udcff.jpg", "completed", stamp="1", recipe="r")
    for _ in range(2):
        write(tmp_path, [line])
    assert [Outcome.decode(line) for line in FileJournal(tmp_path / "manifest.jsonl").lines()] == [line]


def test_cut_at_any_byte_it_loses_the_torn_line_only(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    path = tmp_path / "manifest.jsonl"
    data = path.read_bytes()
    second = data.index(b"\n") + 1
    for length in {*range(0, len(data), 7), *range(second - 3, second + 3), *range(len(data) - 3, len(data))}:
        path.write_bytes(data[:length])
        manifest = opened(tmp_path)
        assert (manifest.known("a.jpg") is not None) == (length >= second)
        assert manifest.known("b/c.jpg") is None
        manifest.add(FIRST[1])
        manifest.close()
        assert json.loads(path.read_bytes().splitlines()[-1])["photo"] == "b/c.jpg"
        assert manifest.damaged == 0


def test_the_latest_line_of_a_photo_counts_and_stays(tmp_path: Path) -> None:
    again = Outcome("a.jpg", "failed", "gone", stamp="3", recipe="r")
    write(tmp_path, [*FIRST, again], ends=False)
    manifest = opened(tmp_path)
    known = manifest.known("a.jpg")
    assert known is not None
    assert known.status == "failed"
    assert manifest.is_stamp(known, "3")
    assert not manifest.is_stamp(known, "1")
    manifest.add(FIRST[0])
    manifest.close()
    kept = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_bytes().splitlines()]
    assert [(line["photo"], line["status"]) for line in kept] == [("b/c.jpg", "refused"), ("a.jpg", "completed")]


def test_a_damaged_line_counts_as_not_done(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    path = tmp_path / "manifest.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first[:20] + b"\0\0\n" + second + b"[]\n{}\n")
    manifest = opened(tmp_path)
    assert manifest.damaged == 3
    assert manifest.known("a.jpg") is None
    assert manifest.known("b/c.jpg") is not None
    manifest.close()
    assert path.read_bytes() == second


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, FIRST[:1])
    journal = FileJournal(tmp_path / "manifest.jsonl")

    class Full:
        def __init__(self, file: object) -> None:
            self.file = file

        def write(self, line: bytes) -> int:
            return int(self.file.write(line[:10]))  # type: ignore[attr-defined]

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

    monkeypatch.setattr(journal, "_file", Full(journal._file))
    with pytest.raises(Unwritable):
        journal.append(FIRST[1].encode())
    assert [Outcome.decode(line) for line in (tmp_path / "manifest.jsonl").read_bytes().splitlines()] == FIRST[:1]


def test_another_recipe_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    manifest = opened(tmp_path, "other")
    assert manifest.other is not None
    known = manifest.known("a.jpg")
    assert known is not None
    assert not manifest.is_stamp(known, "1")
