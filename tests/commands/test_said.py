"""The command line as people meet it: odd names, standard streams, and what it says of its work."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import facefill
from facefill.catalog import shipped_weights
from facefill.commands import output
from facefill.runtime.cover import Cover
from facefill.runtime.finder import Face, Finder
from tests.command import Run
from tests.commands.running import command, lower_half, refused
from tests.faces import draw_face


@pytest.fixture
def covered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every photo has one face whose lower half is covered."""
    monkeypatch.setattr(Finder, "find", lambda self, photo: [Face((20, 20, 100, 120), draw_face(128, 1)[1], 0.9)])
    monkeypatch.setattr(Cover, "find", lower_half)


@pytest.mark.parametrize("name", ["", ".", "..", "/"])
def test_a_name_that_no_photo_has_takes_one_line(run: Run, tmp_path: Path, name: str) -> None:
    said = refused(run, tmp_path, "unmask", name, "-m", "telea")
    empty_or_folder = "an empty name" if not name else f"the folder {name}"
    assert empty_or_folder in said
    words = ("-o", tmp_path / "o.png", "-m", "telea")
    assert empty_or_folder in refused(run, tmp_path, "complete", name, "--mask", tmp_path, *words)


@pytest.mark.parametrize(("name", "said"), [("", "a mask file, got an empty name"), (".", ", which is a folder")])
def test_a_name_that_no_mask_has_takes_one_line(run: Run, face: Path, tmp_path: Path, name: str, said: str) -> None:
    assert said in refused(run, tmp_path, "complete", face, "--mask", name, "-o", tmp_path / "o.png", "-m", "telea")


def test_a_folder_is_told_of_batch(run: Run, tmp_path: Path) -> None:
    assert f"facefill batch {tmp_path} OUT" in refused(run, tmp_path, "unmask", tmp_path, "-m", "telea")


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version") == (0, f"facefill {facefill.__version__}\n", "")


def test_a_suffix_of_no_photo_is_not_guessed(run: Run, face: Path, tmp_path: Path) -> None:
    said = refused(run, tmp_path, "complete", face, "--mask", face, "-o", tmp_path / "x.gif", "-m", "telea")
    assert "did you mean" not in said
    assert ".tif" in said


def test_several_photos_make_no_folder_with_the_name_of_a_file(run: Run, face: Path, tmp_path: Path) -> None:
    said = refused(run, tmp_path, "unmask", face, tmp_path / "b.png", "-o", tmp_path / "one.jpg", "-m", "telea")
    assert "a folder for several photos" in said
    assert not (tmp_path / "one.jpg").exists()


@pytest.mark.usefixtures("covered")
def test_a_folder_may_be_called_like_a_photo_where_the_user_means_it(run: Run, face: Path, tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(face.read_bytes())
    assert run("unmask", face, tmp_path / "b.png", "-o", f"{tmp_path}/one.jpg/", "-m", "telea")[0] == 0
    assert sorted(path.name for path in (tmp_path / "one.jpg").iterdir()) == ["b.png", "face.png"]
    assert "an empty name" in refused(run, tmp_path, "unmask", face, "-o", "", "-m", "telea")


@pytest.mark.usefixtures("covered")
def test_json_of_unmask_carries_what_made_the_picture(run: Run, face: Path, tmp_path: Path) -> None:
    _, out, _ = run("unmask", face, "-o", tmp_path / "o.png", "-m", "telea", "--seed", "7", "--json")
    said = json.loads(out)
    assert {key: said[key] for key in ("method", "seed", "weights_sha256", "width", "height", "format")} == {
        "method": "telea",
        "seed": 7,
        "weights_sha256": "",
        "width": 128,
        "height": 128,
        "format": "PNG",
    }
    assert isinstance(said["warnings"], list)


def test_complete_says_what_was_completed_and_what_was_not(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = np.full((128, 400, 3), 128, np.uint8)
    photo[:, :128] = draw_face(128, 1)[0]
    Image.fromarray(photo).save(tmp_path / "p.png")
    monkeypatch.setattr(Finder, "find", lambda self, photo: [Face((20, 20, 100, 120), draw_face(128, 1)[1], 0.9)])

    def said(*holes: tuple[slice, slice]) -> str:
        mask = np.zeros((128, 400), np.uint8)
        for hole in holes:
            mask[hole] = 255
        Image.fromarray(mask).save(tmp_path / "m.png")
        code, out, _ = run(
            "complete",
            tmp_path / "p.png",
            "--mask",
            tmp_path / "m.png",
            "-o",
            tmp_path / "o.png",
            "-m",
            "telea",
            "--overwrite",
        )
        assert code == 0
        return out.splitlines()[0].partition(": ")[2]

    on_face, beside, whole_face = np.s_[70:100, 50:80], np.s_[40:60, 330:360], np.s_[:, :128]
    assert said(on_face) == "completed the hole (on 1 face)"
    assert said(on_face, beside) == "completed the hole (on 1 face and beside the faces)"
    assert said(beside) == "completed the hole (beside the faces)"
    done, left = re.findall(r"(\d+)%", (partly := said(whole_face, beside)))
    assert int(done) + int(left) == 100
    assert re.sub(r"\d+", "N", partly) == "completed N% of the hole (beside the faces); left N% as it is"


def test_the_photo_comes_from_standard_input_and_goes_to_standard_output(
    face: Path, hole: Path, tmp_path: Path
) -> None:
    words = ["complete", "-", "--mask", hole, "-m", "telea", "--aligned", "-o"]
    piped = command(*words, "-", data=face.read_bytes())
    assert piped.returncode == 0, piped.stderr
    assert b"completed the hole" in piped.stderr
    assert command(*words, tmp_path / "o.png", data=face.read_bytes()).returncode == 0
    assert piped.stdout == (tmp_path / "o.png").read_bytes()


def test_a_mask_comes_from_standard_input_where_the_photo_is_a_file(
    run: Run, face: Path, hole: Path, tmp_path: Path
) -> None:
    words = ["complete", face, "-m", "telea", "--aligned", "--mask"]
    piped = command(*words, "-", "-o", "-", data=hole.read_bytes())
    assert piped.returncode == 0, piped.stderr
    assert command(*words, hole, "-o", tmp_path / "o.png").returncode == 0
    assert piped.stdout == (tmp_path / "o.png").read_bytes()
    said = refused(run, tmp_path, "complete", "-", "--mask", "-", "-o", tmp_path / "p.png", "-m", "telea")
    assert "one picture from standard input, got photo and mask" in said


def test_unmask_takes_standard_streams_for_one_photo(run: Run, face: Path, tmp_path: Path) -> None:
    photo = next((Path(__file__).parents[2] / "examples").glob("*.jpg"))
    piped = command("unmask", "-", data=photo.read_bytes())
    assert (piped.returncode, piped.stdout[:3]) == (0, b"\xff\xd8\xff"), piped.stderr
    named = command("unmask", photo, "-o", tmp_path / "o.jpg", "--json")
    assert named.returncode == 0
    assert json.loads(named.stdout)["weights_sha256"] == shipped_weights()["swift"].sha256
    assert piped.stdout == (tmp_path / "o.jpg").read_bytes()
    assert "one photo with -" in refused(run, tmp_path, "unmask", "-", face, "-m", "telea")
    assert "--save-mask" in refused(run, tmp_path, "unmask", face, "-o", "-", "--save-mask", "-m", "telea")


def test_a_photo_is_not_printed_onto_a_terminal(
    run: Run, face: Path, hole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "sys", SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: True)))
    assert "got a terminal" in refused(run, tmp_path, "complete", face, "--mask", hole, "-o", "-", "-m", "telea")


def test_a_console_that_cannot_hold_a_name_does_not_end_the_run(face: Path, hole: Path, tmp_path: Path) -> None:
    snowman = tmp_path / "a\N{SNOWMAN}.png"
    snowman.write_bytes(face.read_bytes())
    for encoding in ("cp1252", "ascii"):
        done = command(
            "complete",
            snowman,
            "--mask",
            hole,
            "-m",
            "telea",
            "--aligned",
            "--overwrite",
            "-o",
            tmp_path / "\N{SNOWMAN}o.png",
            PYTHONIOENCODING=encoding,
            PYTHONUTF8="0",
        )
        assert done.returncode == 0, done.stderr
        assert rb"a\u2603.png" in done.stdout
        assert command("unmask", tmp_path / "none\N{SNOWMAN}.png", PYTHONIOENCODING=encoding).returncode == 2
