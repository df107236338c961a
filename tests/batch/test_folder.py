"""What is found in a folder: every photo once, whatever it is called, and nothing else."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from facefill.batch import folder as folder_module
from facefill.batch.folder import LocalFolder, Selection, Unwritable, check_name
from facefill.errors import InputError

NAMES = [
    "plain.jpg",
    "with space.JPG",
    "käse 顔 🙂.png",
    "a" * 251 + ".png",
    "deep/er/x.webp",
    "new\nline.jpg",
    "-o.jpg",
    "%41.jpg",
    "a.jpg",
    "A.jpg",
]


def put(folder: Path, names: list[str]) -> LocalFolder:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode(errors="surrogateescape"))
    return LocalFolder(folder)


def found(folder: LocalFolder, select: Selection | None = None) -> list[str]:
    names = sorted(entry.name for entry in folder.entries(select or Selection()))
    assert sorted(entry.name for entry in folder.entries(select or Selection())) == names
    return names


def test_every_name_is_found_read_and_written(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    folder, out = put(tmp_path / "in", NAMES), LocalFolder(tmp_path / "out")
    assert found(folder) == sorted(NAMES)
    for name in NAMES:
        out.write(name, folder.read(name))
        assert out.has(name)
        assert out.read(name) == name.encode()
    assert found(out) == sorted(NAMES)


@pytest.mark.skipif(sys.platform == "darwin" or sys.platform == "win32", reason="names are text there")
def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"bad \xff.jpg")
    assert found(put(tmp_path, [name])) == [name]
    assert LocalFolder(tmp_path).read(name)


def test_photos_are_known_by_their_suffix_or_by_patterns(tmp_path: Path) -> None:
    folder = put(tmp_path, ["a.jpg", "b.txt", "raw/c.jpg", "raw/d.TIF", "raw/deep/e.png", ".facefill/x.jpg"])
    assert found(folder) == ["a.jpg", "raw/c.jpg", "raw/d.TIF", "raw/deep/e.png"]
    assert found(folder, Selection(exclude=("raw/*",))) == ["a.jpg"]
    assert found(folder, Selection(include=("*.jpg",), exclude=("a*",))) == ["raw/c.jpg"]
    assert found(folder, Selection(include=("*.txt",))) == ["b.txt"]


def test_small_copies_that_other_programs_leave_are_no_photos(tmp_path: Path) -> None:
    folder = put(tmp_path, ["a.jpg", "._a.jpg", "@eaDir/a.jpg/thumb.jpg", "sub/.thumbnails/b.jpg", "sub/b.jpg"])
    assert found(folder) == ["a.jpg", "sub/b.jpg"]
    assert found(folder, Selection(include=("*.jpg",))) == ["a.jpg", "sub/b.jpg"]


def test_files_without_a_suffix_are_counted(tmp_path: Path) -> None:
    folder = put(tmp_path, ["a.jpg", "IMG_0001", "sub/IMG_0002", ".hidden", "notes.txt", "raw/IMG_0003"])

    def missed(select: Selection) -> int:
        calls: list[None] = []
        for _ in folder.entries(select, lambda: calls.append(None)):
            pass
        return len(calls)

    assert missed(Selection()) == 3
    assert missed(Selection(exclude=("raw/*",))) == 2
    assert missed(Selection(include=("*",))) == 0


def test_a_link_in_out_is_never_written_through(tmp_path: Path) -> None:
    photos = put(tmp_path / "in", ["sub/a.jpg"])
    out = put(tmp_path / "out", ["b.jpg"])
    (tmp_path / "out/sub").symlink_to(tmp_path / "in/sub", target_is_directory=True)
    (tmp_path / "out/c.jpg").symlink_to(tmp_path / "in/sub/a.jpg")
    with pytest.raises(InputError, match="sub, a link"):
        out.write("sub/a.jpg", b"new")
    with pytest.raises(InputError, match="sub, a link"):
        out.write("sub/deeper/a.jpg", b"new")
    with pytest.raises(InputError, match="sub, a link"):
        out.remove("sub/a.jpg")
    out.write("c.jpg", b"new")
    assert photos.read("sub/a.jpg") == b"sub/a.jpg"
    assert found(photos) == ["sub/a.jpg"]


def test_links_to_photos_count_and_links_to_folders_do_not_loop(tmp_path: Path) -> None:
    folder = put(tmp_path / "in", ["a.jpg", "sub/b.jpg"])
    (tmp_path / "in/sub/up").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in/sub/self").symlink_to("self")
    (tmp_path / "in/link.jpg").symlink_to("a.jpg")
    assert found(folder) == ["a.jpg", "link.jpg", "sub/b.jpg"]


def test_what_cannot_be_looked_at_is_said(tmp_path: Path) -> None:
    put(tmp_path, ["a.jpg"])
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
    problems = {entry.name: entry.problem for entry in LocalFolder(tmp_path).entries(Selection())}
    assert problems.pop("a.jpg") == ""
    assert all(problems.values())
    assert {"loop.jpg", "gone.jpg"} <= set(problems)


def test_a_folder_that_cannot_be_listed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, ["a.jpg", "closed/b.jpg"])
    listed = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(folder_module.os, "scandir", scandir)  # type: ignore[attr-defined]
    entries = {entry.name: entry.problem for entry in LocalFolder(tmp_path).entries(Selection())}
    assert "Permission denied" in entries.pop("closed/")
    assert entries == {"a.jpg": ""}


@pytest.mark.parametrize("change", ["bytes", "bytes behind its time", "touch"])
def test_a_changed_file_has_another_stamp(tmp_path: Path, change: str) -> None:
    def stamp() -> str:
        return next(iter(folder.entries(Selection()))).stamp

    folder = put(tmp_path, ["a.jpg"])
    before, about = stamp(), (tmp_path / "a.jpg").stat()
    assert stamp() == before
    if change != "touch":
        (tmp_path / "a.jpg").write_bytes(b"A.JPG")
    os.utime(tmp_path / "a.jpg", ns=(about.st_atime_ns, about.st_mtime_ns + (change == "touch")))
    assert stamp() != before


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(tmp_path, ["a.jpg"])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module.os, "fsync", full)  # type: ignore[attr-defined]
    with pytest.raises(Unwritable, match="No space left"):
        folder.write("a.jpg", b"new")
    assert folder.read("a.jpg") == b"a.jpg"
    assert list((tmp_path / ".facefill").iterdir()) == []


def test_a_folder_in_the_way_is_an_error_of_that_photo(tmp_path: Path) -> None:
    folder = put(tmp_path, ["a.jpg/b.jpg"])
    with pytest.raises(InputError, match=r"a\.jpg"):
        folder.write("a.jpg", b"new")


@pytest.mark.parametrize(
    "name", ["../x.jpg", "a/../../x.jpg", "/x.jpg", "a//x.jpg", "", "./x.jpg", "manifest.jsonl", ".facefill/x.jpg"]
)
def test_names_that_lead_out_are_refused(name: str) -> None:
    assert check_name(name)
    assert not check_name("a/b..c.jpg")
