"""The command line: what it prints, what it writes, how it exits, and one line for every kind of bad input."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facefill
from facefill.commands import cli
from facefill.errors import InputError
from facefill.files import photo as photo_module
from facefill.runtime.cover import KINDS, Cover, FoundCover
from facefill.runtime.finder import Face, Finder
from tests.command import Run
from tests.commands.running import lower_half, refused
from tests.faces import draw_face
from tests.runtime.test_inpainter import covered


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["unmask"], "Missing argument 'PHOTO...'; see facefill unmask --help"),
        (["unmask", "a.jpg", "--bogus"], "No such option: --bogus"),
        (["unmask", "a.jpg", "--seed", "-1"], "Invalid value for '--seed'"),
        (["unmaks", "a.jpg"], "No such command 'unmaks'"),
    ],
)
def test_a_wrong_command_line_takes_one_line_too(run: Run, words: list[str], said: str) -> None:
    code, out, err = run(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert "--help" in err


@pytest.mark.parametrize("name", ["photo.jpg", "photo.tif"])
def test_a_damaged_photo_is_one_line_and_nothing_of_the_libraries(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / name, **({"compression": "tiff_lzw"} if name.endswith("tif") else {}))
    damaged = bytearray((tmp_path / name).read_bytes())
    damaged[2000:3000:7] = bytes(143)
    (tmp_path / name).write_bytes(damaged)
    monkeypatch.setattr(sys, "argv", ["facefill", "unmask", str(tmp_path / name)])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1), (out, err)
    assert err.startswith("facefill: expected")


def test_no_words_at_all_ask_for_help(run: Run) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    assert "unmask" in out


def test_complete_fills_the_hole_and_nothing_else(run: Run, face: Path, hole: Path, tmp_path: Path) -> None:
    code, out, _ = run("complete", face, "--mask", hole, "-o", tmp_path / "out.png", "-m", "telea", "--aligned")
    assert code == 0
    assert "invented" in out
    before, after = np.asarray(Image.open(face)), np.asarray(Image.open(tmp_path / "out.png"))
    missing = np.asarray(Image.open(hole)) > 127
    assert (before[~missing] == after[~missing]).all()
    assert (before[missing] != after[missing]).any()


def test_json_is_one_object_per_photo(run: Run, face: Path, hole: Path, tmp_path: Path) -> None:
    _, out, _ = run("complete", face, "--mask", hole, "-o", tmp_path / "o.png", "-m", "telea", "--aligned", "--json")
    assert json.loads(out)["completed_px"] == 40 * 50
    assert "no evidence" in json.loads(out)["invented"]


def test_the_same_command_writes_the_same_bytes(run: Run, face: Path, hole: Path, tmp_path: Path) -> None:
    words = ["complete", face, "--mask", hole, "-m", "telea", "--aligned", "-o"]
    assert run(*words, tmp_path / "a.png")[0] == run(*words, tmp_path / "b.png")[0] == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_methods_lists_every_method(run: Run) -> None:
    code, out, _ = run("methods", "--json")
    rows = json.loads(out)
    assert code == 0
    assert {"swift", "telea"} <= {row["name"] for row in rows}
    keys = {"name", "kind", "needs", "paper", "size_px", "params", "ms", "scores", "paper_share", "licences"}
    assert all(keys <= set(row) for row in rows)
    assert "swift" in run("methods")[1]


def bomb(path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def spoil(face: Path, how: str) -> Path:
    path = face.with_name(f"{how}.png")
    if how == "truncated":
        path.write_bytes(face.read_bytes()[:300])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("not a picture\n" * 50)
    elif how == "folder":
        path.mkdir()
    elif how == "bomb":
        bomb(path)
    return path


def test_a_photo_without_a_face(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, face: Path) -> None:
    monkeypatch.setattr(Finder, "find", lambda self, photo: [])
    assert "a photo with a face, got none in it" in refused(run, tmp_path, "unmask", face)


def test_a_face_that_is_too_small(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, face: Path) -> None:
    small = Face((10, 10, 30, 34), draw_face(24, 1)[1] + 8, 0.9)
    monkeypatch.setattr(Finder, "find", lambda self, photo: [small])
    assert "32" in refused(run, tmp_path, "unmask", face)


def test_a_face_that_nothing_covers(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, face: Path, hole: Path
) -> None:
    bare = Face((20, 20, 100, 120), draw_face(128, 1)[1], 0.9)
    monkeypatch.setattr(Finder, "find", lambda self, photo: [bare])
    nothing = [covered(np.zeros((128, 128, 3), np.uint8), bare, slice(0))]
    monkeypatch.setattr(Cover, "find", lambda self, photo, faces, kinds: nothing)
    assert "nothing covers it" in refused(run, tmp_path, "unmask", face)
    assert "did you mean 'sunglasses'" in refused(run, tmp_path, "unmask", face, "--covers", "mask,sunglases")
    for words in (["unmask", face], ["complete", face, "--mask", hole, "-o", tmp_path / "o.png"]):
        assert "the file of a finder" in refused(run, tmp_path, *words, "--finder", tmp_path / "none.onnx")


def test_only_the_kinds_that_are_asked_for_come_off_and_are_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, face: Path
) -> None:
    asked: list[tuple[str, ...]] = []

    def find(cover: Cover, photo: np.ndarray, faces: list[Face], kinds: tuple[str, ...]) -> list[FoundCover]:
        asked.append(kinds)
        said = {"kinds": kinds[:1], "left_on": tuple(kind for kind in KINDS if kind not in kinds)}
        return [replace(covered(photo, one, slice(128, 200)), **said) for one in faces]

    monkeypatch.setattr(Finder, "find", lambda self, photo: [Face((20, 20, 100, 120), draw_face(128, 1)[1], 0.9)])
    monkeypatch.setattr(Cover, "find", find)
    for covers, kinds in (("mask", ("mask",)), ("all", KINDS)):
        target = tmp_path / f"{covers}.png"
        code, out, _ = run("unmask", face, "-o", target, "-m", "telea", "--covers", covers, "--json")
        assert code == 0
        (told,) = json.loads(out)["faces"]
        assert told["covers"] == ["mask"]
        assert told["left_on"] == [kind for kind in KINDS if kind not in kinds]
        assert asked[-1] == kinds


@pytest.mark.parametrize("how", ["truncated", "empty", "text", "folder", "bomb", "missing"])
def test_a_photo_that_is_none(run: Run, face: Path, hole: Path, tmp_path: Path, how: str) -> None:
    refused(run, tmp_path, "complete", spoil(face, how), "--mask", hole, "-o", tmp_path / "o.png", "-m", "telea")


def test_a_kind_of_file_that_is_no_photo_is_named_and_not_its_suffix(run: Run, face: Path, tmp_path: Path) -> None:
    Image.open(face).save(tmp_path / "moving.gif")
    assert "got a GIF in moving.gif" in refused(run, tmp_path, "unmask", tmp_path / "moving.gif", "-m", "telea")
    (tmp_path / "notes.txt").write_text("dear diary")
    assert "got text in notes.txt" in refused(run, tmp_path, "unmask", tmp_path / "notes.txt", "-m", "telea")


@pytest.mark.parametrize("how", ["truncated", "empty", "text", "folder", "bomb", "missing"])
def test_a_mask_that_is_none(run: Run, face: Path, tmp_path: Path, how: str) -> None:
    refused(
        run,
        tmp_path,
        "complete",
        face,
        "--mask",
        spoil(face, how),
        "-o",
        tmp_path / "o.png",
        "-m",
        "telea",
        "--aligned",
    )


@pytest.mark.parametrize(("shape", "value"), [((64, 128), 255), ((128, 128), 0), ((128, 128), 255)])
def test_a_mask_of_another_size_or_empty_or_full(
    run: Run, face: Path, tmp_path: Path, shape: tuple[int, int], value: int
) -> None:
    mask = tmp_path / "mask.png"
    Image.fromarray(np.full(shape, value, np.uint8)).save(mask)
    refused(run, tmp_path, "complete", face, "--mask", mask, "-o", tmp_path / "o.png", "-m", "telea", "--aligned")


@pytest.mark.parametrize("mode", ["1", "RGBA", "jpeg"])
def test_masks_of_every_kind_say_the_same(run: Run, face: Path, hole: Path, tmp_path: Path, mode: str) -> None:
    mask = Image.open(hole)
    path = tmp_path / ("m.jpg" if mode == "jpeg" else "m.png")
    mask.convert("L" if mode == "jpeg" else mode).save(path, **({"quality": 90} if mode == "jpeg" else {}))
    words = ["-m", "telea", "--aligned", "--json", "-o"]
    _, out, _ = run("complete", face, "--mask", path, *words, tmp_path / "o.png")
    assert abs(json.loads(out)["completed_px"] - 40 * 50) <= (40 if mode == "jpeg" else 0)


def test_outputs_that_cannot_be(run: Run, face: Path, hole: Path, tmp_path: Path) -> None:
    words = ["complete", face, "--mask", hole, "-m", "telea", "--aligned", "-o"]
    (tmp_path / "old.png").write_bytes(b"keep me")
    assert "--overwrite" in refused(run, tmp_path, *words, tmp_path / "old.png")
    refused(run, tmp_path, *words, face)
    refused(run, tmp_path, *words, face, "--overwrite")
    refused(run, tmp_path, *words, tmp_path / "gone" / "out.png")
    refused(run, tmp_path, *words, tmp_path / "out.xyz")
    assert run(*words, tmp_path / "old.png", "--overwrite")[0] == 0


def test_what_is_read_is_never_written_whatever_is_allowed(
    run: Run, face: Path, hole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["complete", face, "--mask", hole, "-m", "telea", "--aligned", "--overwrite", "-o"]
    assert "the input itself" in refused(run, tmp_path, *words, face)
    assert "the input itself" in refused(run, tmp_path, *words, hole)
    assert "the input itself" in refused(run, tmp_path, *words, tmp_path / "o.png", "--show-steps", face)
    monkeypatch.setattr(Finder, "find", lambda self, photo: [Face((20, 20, 100, 120), draw_face(128, 1)[1], 0.9)])
    monkeypatch.setattr(Cover, "find", lower_half)
    worn = tmp_path / "o-mask.png"
    worn.write_bytes(face.read_bytes())
    unmask = ["unmask", worn, "-m", "telea", "--overwrite", "--save-mask"]
    assert "the input itself" in refused(run, tmp_path, *unmask, "-o", tmp_path / "o.png")
    (tmp_path / "face-unmasked.png").write_bytes(face.read_bytes())
    code, _, err = run("unmask", face, tmp_path / "face-unmasked.png", "-m", "telea", "--overwrite")
    assert (code, err.count("the input itself")) == (3, 1)
    assert (tmp_path / "face-unmasked.png").read_bytes() == face.read_bytes()


def test_all_files_of_a_photo_are_written_or_none(
    run: Run, face: Path, hole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Finder, "find", lambda self, photo: [Face((20, 20, 100, 120), draw_face(128, 1)[1], 0.9)])
    (tmp_path / "face-unmasked-mask.png").write_bytes(b"keep me")
    refused(run, tmp_path, "unmask", face, "-m", "telea", "--save-mask")
    words = ["complete", face, "--mask", hole, "-m", "telea", "--aligned", "-o", tmp_path / "o.png", "--show-steps"]
    refused(run, tmp_path, *words, tmp_path / "gone" / "steps.png")
    refused(run, tmp_path, *words, tmp_path / "steps.xyz")
    refused(run, tmp_path, *words, tmp_path / "o.png")


def test_of_several_photos_each_goes_to_the_folder_under_its_name_and_one_that_fails_stops_no_other(
    run: Run, face: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Finder, "find", lambda self, photo: [Face((20, 20, 100, 120), draw_face(128, 1)[1], 0.9)])
    monkeypatch.setattr(Cover, "find", lower_half)
    (tmp_path / "bad.png").write_bytes(b"")
    photos = [face, tmp_path / "bad.png", tmp_path / "a b\N{SNOWMAN}.png"]
    photos[2].write_bytes(face.read_bytes())
    folder = tmp_path / "new" / "folder"
    code, out, err = run("unmask", *photos, "-o", folder, "-m", "telea", "--save-mask", "--json")
    assert code == 3
    rows = [json.loads(line) for line in out.splitlines()]
    assert [("out" in row, "error" in row) for row in rows] == [(True, False), (False, True), (True, False)]
    assert err.count("an empty file") == 1
    names = {path.name for path in (face, photos[2])} | {f"{path.stem}-mask.png" for path in (face, photos[2])}
    assert {path.name for path in folder.iterdir()} == names


def test_no_folder_is_left_behind_where_nothing_was_written(run: Run, face: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    words = ["unmask", tmp_path / "none.png", tmp_path / "gone.png", "-o", folder]
    assert run(*words, "-m", "telea")[0] == run(*words, "-m", "swfit")[0] == 2
    assert not folder.exists()
    folder.mkdir()
    assert run(*words, "-m", "telea")[0] == 2
    assert folder.is_dir(), "it was the user's"


def test_a_hole_beside_the_faces_of_a_photo_is_not_called_no_face(
    run: Run, face: Path, hole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Face((0, 0, 30, 36), draw_face(36, 1)[1] * 0.5, 0.9)
    monkeypatch.setattr(Finder, "find", lambda self, photo: [elsewhere])
    _, out, _ = run("complete", face, "--mask", hole, "-o", tmp_path / "o.png", "-m", "telea")
    assert "completed the hole" in out


def test_seeds_below_0_are_refused(run: Run, face: Path, hole: Path, tmp_path: Path) -> None:
    words = ["complete", face, "--mask", hole, "-o", tmp_path / "o.png", "-m", "telea", "--seed", "-1"]
    assert run(*words)[0] == 2
    with pytest.raises(InputError, match="a whole number of 0 or more as the seed"):
        facefill.complete(face, hole, method="telea", aligned=True, seed=-1)


def test_what_pillow_warns_of_is_not_printed_beside_the_one_line(face: Path, tmp_path: Path) -> None:
    Image.open(face).save(tmp_path / "face.tif")
    data = (tmp_path / "face.tif").read_bytes()
    (tmp_path / "face.tif").write_bytes(data[:40])
    words = [sys.executable, "-m", "facefill", "unmask", str(tmp_path / "face.tif"), "-m", "telea"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


def test_an_unknown_method_is_guessed(run: Run, face: Path, hole: Path, tmp_path: Path) -> None:
    words = ["complete", face, "--mask", hole, "-o", tmp_path / "o.png", "-m", "swfit"]
    assert "did you mean 'swift'" in refused(run, tmp_path, *words)


def test_a_full_disk_leaves_nothing_half_written(
    run: Run, face: Path, hole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(photo_module.os, "fsync", full)  # type: ignore[attr-defined]
    words = ["complete", face, "--mask", hole, "-o", tmp_path / "o.png", "-m", "telea", "--aligned"]
    assert "No space left" in refused(run, tmp_path, *words)


def test_samples_of_a_method_that_has_one(run: Run, face: Path, hole: Path, tmp_path: Path) -> None:
    refused(
        run,
        tmp_path,
        "complete",
        face,
        "--mask",
        hole,
        "-o",
        tmp_path / "o.png",
        "-m",
        "telea",
        "--aligned",
        "--samples",
        3,
    )
