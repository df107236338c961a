"""What a run does and leaves alone, with a stand-in for the workers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from facefill.batch.folder import LocalFolder, Selection, Unwritable
from facefill.batch.job import BatchJob, make_job
from facefill.batch.lock import lock
from facefill.batch.run import preview
from facefill.errors import InputError
from tests.batch.photos import copy_all, lines_of, tree_of, write_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path, 6) / "in"


def test_the_tree_is_kept_and_each_photo_has_a_line(photos: Path, tmp_path: Path) -> None:
    tally, done = copy_all(photos, tmp_path / "out")
    names = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    assert done == names == sorted(tree_of(tmp_path / "out")) == sorted(lines_of(tmp_path / "out"))
    assert tally.done == {"completed": 6}
    assert tally.faces == 6


def test_the_same_command_does_nothing_twice(photos: Path, tmp_path: Path) -> None:
    copy_all(photos, tmp_path / "out")
    before = (tmp_path / "out/manifest.jsonl").read_bytes()
    tally, done = copy_all(photos, tmp_path / "out")
    assert done == []
    assert tally.before == {"completed": 6}
    assert (tmp_path / "out/manifest.jsonl").read_bytes() == before
    assert len(copy_all(photos, tmp_path / "out", force=True)[1]) == 6
    assert len(lines_of(tmp_path / "out")) == 6


def test_an_interrupted_run_goes_on(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        copy_all(photos, tmp_path / "out", dies_after=2)
    assert len(lines_of(tmp_path / "out")) == 2
    assert len(copy_all(photos, tmp_path / "out")[1]) == 4
    assert len(tree_of(tmp_path / "out")) == 6


def test_a_changed_source_and_a_lost_result_are_done_again(photos: Path, tmp_path: Path) -> None:
    copy_all(photos, tmp_path / "out")
    changed, lost, new = "a/photo 0000.png", "b/photo 0001.png", "a/new.png"
    about = (photos / changed).stat()
    data = bytearray((photos / changed).read_bytes())
    data[-1] ^= 1
    (photos / changed).write_bytes(data)
    os.utime(photos / changed, ns=(about.st_atime_ns, about.st_mtime_ns))
    (tmp_path / "out" / lost).unlink()
    (photos / new).write_bytes(b"new")
    assert copy_all(photos, tmp_path / "out")[1] == sorted([changed, lost, new])
    assert tree_of(tmp_path / "out")[changed].startswith(bytes(data))
    assert len(lines_of(tmp_path / "out")) == 7


def test_what_failed_is_tried_again(photos: Path, tmp_path: Path) -> None:
    bad = "a/photo 0002.png"
    tally, _ = copy_all(photos, tmp_path / "out", fails=(bad,))
    assert (tally.done["completed"], tally.done["failed"], tally.left_out) == (5, 1, 1)
    assert copy_all(photos, tmp_path / "out")[1] == [bad]
    assert lines_of(tmp_path / "out")[bad]["status"] == "completed"


@pytest.mark.parametrize("fails", [(), ("a/photo 0002.png",)])
def test_a_photo_that_fails_later_leaves_no_old_result(photos: Path, tmp_path: Path, fails: tuple[str, ...]) -> None:
    changed = "a/photo 0002.png"
    copy_all(photos, tmp_path / "out")
    (photos / changed).write_bytes(b"another photo")
    copy_all(photos, tmp_path / "out", fails=fails)
    assert (changed in tree_of(tmp_path / "out")) == (not fails)
    assert lines_of(tmp_path / "out")[changed]["status"] == ("failed" if fails else "completed")
    assert len(tree_of(tmp_path / "out")) == 6 - len(fails)


def test_an_out_with_a_link_into_in_changes_no_photo(photos: Path, tmp_path: Path) -> None:
    before = tree_of(photos)
    copy_all(photos, tmp_path / "out", select=Selection(include=("b/*",)))
    (tmp_path / "out/a").symlink_to(photos / "a", target_is_directory=True)
    with pytest.raises(InputError, match="a, a link"):
        copy_all(photos, tmp_path / "out")
    assert tree_of(photos) == before


@pytest.mark.parametrize("name", ["manifest.jsonl", ".facefill", ".facefill/lock"])
def test_a_link_in_place_of_a_file_of_facefills_own_is_refused(photos: Path, tmp_path: Path, name: str) -> None:
    copy_all(photos, tmp_path / "out")
    (tmp_path / "out" / name).rename(tmp_path / "theirs")
    (tmp_path / "out" / name).symlink_to(tmp_path / "theirs")
    theirs = tmp_path / "theirs" / "lock" if name == ".facefill" else tmp_path / "theirs"
    theirs.write_bytes(b"keep\n")
    job = make_job(str(photos), str(tmp_path / "out"), method="telea")
    for what in (lambda: copy_all(photos, tmp_path / "out", force=True), lambda: preview(job, select=Selection())):
        with pytest.raises(InputError, match=f"{name} of its own in OUT, got a link"):
            what()
    assert theirs.read_bytes() == b"keep\n"


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "some results"])
def test_a_removed_out_ends_the_run_and_the_next_one_repairs(
    photos: Path, tmp_path: Path, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, write = tmp_path / "out", LocalFolder.write

    def remove_then_write(folder: LocalFolder, name: str, data: bytes) -> None:
        if left == "some results":
            (out / "manifest.jsonl").unlink()
        else:
            shutil.rmtree(out)
        if left == "an empty folder":
            out.mkdir()
        monkeypatch.setattr(LocalFolder, "write", write)
        folder.write(name, data)

    copy_all(photos, out, select=Selection(include=("a/*",)))
    monkeypatch.setattr(LocalFolder, "write", remove_then_write)
    with pytest.raises(Unwritable):
        copy_all(photos, out)
    assert len(copy_all(photos, out)[1]) == 6
    assert len(tree_of(out)) == len(lines_of(out)) == 6


def test_files_without_a_suffix_are_told(photos: Path, tmp_path: Path) -> None:
    (photos / "IMG_0001").write_bytes(b"a photo?")
    assert "1 files without a suffix left out" in str(copy_all(photos, tmp_path / "out")[0])


def test_damaged_lines_are_said_and_their_photos_done_again(photos: Path, tmp_path: Path) -> None:
    copy_all(photos, tmp_path / "out")
    path = tmp_path / "out/manifest.jsonl"
    path.write_bytes(b"\0" * 9 + path.read_bytes())
    tally, done = copy_all(photos, tmp_path / "out")
    assert len(done) == 1
    assert "1 damaged lines of the manifest" in str(tally)
    assert len(lines_of(tmp_path / "out")) == 6


def test_other_options_are_refused_unless_forced(photos: Path, tmp_path: Path) -> None:
    copy_all(photos, tmp_path / "out")
    with pytest.raises(InputError, match=r"seed 0.*now.*seed 1"):
        copy_all(photos, tmp_path / "out", seed=1)
    with pytest.raises(KeyboardInterrupt):
        copy_all(photos, tmp_path / "out", seed=1, force=True, dies_after=2)
    with pytest.raises(InputError, match="begun with"):
        copy_all(photos, tmp_path / "out", seed=1)
    assert len(copy_all(photos, tmp_path / "out", seed=1, force=True)[1]) == 6
    assert copy_all(photos, tmp_path / "out", seed=1)[1] == []


def test_folders_that_are_not_ours_are_left_alone(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/photo.png").write_bytes(b"keep")
    with pytest.raises(InputError, match=r"photo\.png"):
        copy_all(photos, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["photo.png"]
    for out in (photos, photos.parent):
        with pytest.raises(InputError, match="apart"):
            copy_all(photos, out)


def test_out_may_lie_in_the_folder_of_photos(photos: Path) -> None:
    assert len(copy_all(photos, photos / "done")[1]) == 6
    assert copy_all(photos, photos / "done")[1] == []
    assert len(tree_of(photos / "done")) == 6


def test_errors_have_a_limit(photos: Path, tmp_path: Path) -> None:
    names = tuple(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    tally, done = copy_all(photos, tmp_path / "out", fails=names, max_errors=3)
    assert len(done) == 3
    assert "3 photos failed" in tally.stopped
    assert "stopped" in str(tally)


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(photos: Path, tmp_path: Path) -> None:
    job = make_job(str(photos), str(tmp_path / "out"), method="telea")
    assert len(list(preview(job, select=Selection())[1])) == 6
    assert not (tmp_path / "out").exists()
    copy_all(photos, tmp_path / "out", select=Selection(include=("a/*",)))
    tally, items = preview(job, select=Selection())
    assert sorted(item.name for item in items) == [f"b/photo 000{index}.png" for index in (1, 3, 5)]
    assert tally.before == {"completed": 3}


def test_names_that_clash_where_case_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    for name in ("A.jpg", "a.jpg", "\u00e9.jpg", "e\u0301.jpg"):
        (tmp_path / "in" / name).write_bytes(name.encode())
    tally, _ = copy_all(tmp_path / "in", tmp_path / "both")
    assert tally.done == {"completed": 4}
    monkeypatch.setattr(LocalFolder, "ignores_case", lambda folder: True)
    tally, _ = copy_all(tmp_path / "in", tmp_path / "one")
    assert tally.done == {"completed": 2, "failed": 2}


def test_two_runs_at_once_refuse_with_a_clear_message(photos: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    code = (
        "import sys, time; from pathlib import Path; from facefill.batch.folder import LocalFolder\n"
        "from facefill.batch.lock import lock\n"
        "with lock(LocalFolder(Path(sys.argv[1]))): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {other.pid} on .* which writes there now: wait"):
            copy_all(photos, target)
        other.kill()
    assert len(copy_all(photos, target)[1]) == 6


def test_what_a_killed_run_left_half_written_goes(photos: Path, tmp_path: Path) -> None:
    copy_all(photos, tmp_path / "out", select=Selection(include=("a/*",)))
    (tmp_path / "out/.facefill/0123.part").write_bytes(b"half")
    copy_all(photos, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out/.facefill").iterdir()] == ["lock"]


def test_a_lock_is_let_go_when_the_run_fails(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), lock(LocalFolder(tmp_path)):
        raise KeyboardInterrupt
    with lock(LocalFolder(tmp_path)):
        assert (tmp_path / ".facefill/lock").exists()


def test_a_folder_without_photos_is_refused_and_nothing_is_written(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="photos, got none"):
        copy_all(photos, tmp_path / "out", select=Selection(include=("*.gif",)))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "method", "word"), [("gone", "telea", "folder of photos"), ("in", "tela", "did you mean 'telea'")]
)
def test_jobs_that_cannot_be(photos: Path, tmp_path: Path, source: str, method: str, word: str) -> None:
    with pytest.raises(InputError, match=word):
        make_job(str(tmp_path / source), str(tmp_path / "out"), method=method)


def test_an_empty_name_is_not_the_folder_one_is_in(photos: Path, tmp_path: Path) -> None:
    for places in (("", str(tmp_path / "out")), (str(photos), "")):
        with pytest.raises(InputError, match="got an empty name"):
            make_job(*places, method="telea")


def test_a_recipe_names_everything_that_results_depend_on(photos: Path, tmp_path: Path) -> None:
    def job(**options: object) -> BatchJob:
        return make_job(str(photos), str(tmp_path / "out"), **options)

    every = [job(), job(method="telea"), job(seed=1), job(large_hole=True), job(exact=True), job(masks=str(photos))]
    every += [job(covers="mask"), job(covers="mask,hand")]
    assert len({one.recipe for one in every}) == len(every)
    assert job().recipe == job().recipe == job(covers="all").recipe
    assert job(covers="hand,mask").recipe == every[-1].recipe
