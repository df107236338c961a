"""Photos become a dataset whatever their order and whoever is killed, with a reason for each face that is dropped."""

from __future__ import annotations

import hashlib
import io
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facefill.arrays import U8, Points
from facefill.commands import options
from facefill.datasets.faces import read_dataset
from facefill.datasets.looking import Look, Rules, look_at
from facefill.datasets.manifest import COLUMNS, read_manifest
from facefill.datasets.prepare import LOG, prepare
from facefill.errors import InputError
from facefill.files.photo import encode_picture, read_photo
from facefill.runtime import helpers
from facefill.runtime.cover import FoundCover
from facefill.runtime.finder import Face
from tests.command import Run
from tests.faces import ALIGNED, draw_face, draw_photo
from tests.toy_datasets import KnownPhotos, rows_of, save

RULES = Rules(min_side_px=60)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], KnownPhotos]:
    """Eight photos of two faces each, and a copy of the first, smaller and coded with loss."""
    folder, known, photos = tmp_path_factory.mktemp("photos"), KnownPhotos(), []
    for seed in range(8):
        pixels, landmarks = draw_photo(300, 160, 2, seed)
        photos.append(save(known, folder / ("a" if seed < 4 else "b") / f"p{seed}.png", pixels, landmarks))
    pixels, landmarks = draw_photo(300, 160, 2, 0)
    small = cv2.resize(pixels, (240, 128), interpolation=cv2.INTER_AREA)
    shrunk = [(points + 0.5) * 0.8 - 0.5 for points in landmarks]
    photos.append(save(known, folder / "c" / "again.jpg", np.asarray(small, np.uint8), shrunk, 60))
    return photos, known


def looks(known: KnownPhotos, rules: Rules = RULES) -> Callable[[Path], Look]:
    return partial(look_at, finder=known, rules=rules)


def contents(dataset: Path) -> dict[str, bytes]:
    return {
        path.relative_to(dataset).as_posix(): path.read_bytes()
        for path in sorted(dataset.rglob("*"))
        if path.is_file() and path.name != LOG
    }


@pytest.fixture(scope="module")
def whole(world: tuple[list[Path], KnownPhotos], tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = tmp_path_factory.mktemp("whole")
    prepare(world[0], dataset, looks(world[1]), RULES)
    return dataset


def test_a_dataset_says_what_it_holds(world: tuple[list[Path], KnownPhotos], whole: Path) -> None:
    rows = rows_of(whole / "manifest.csv")
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 16
    assert {row["source"] for row in rows} == {"a", "b"}
    for row in rows:
        picture = whole / row["file"]
        assert hashlib.sha256(picture.read_bytes()).hexdigest() == row["sha256"]
        assert read_photo(picture).pixels.shape == (256, 256, 3)
        points = np.array([float(row[name]) for name in COLUMNS[5:15]]).reshape(5, 2)
        assert np.abs(points - (ALIGNED * 256 - 0.5)).max() < 12
    about = json.loads((whole / "dataset.json").read_text())
    assert about["sha256"] == hashlib.sha256((whole / "manifest.csv").read_bytes()).hexdigest()
    assert sum(about["kept"].values()) == 16
    assert sum(len(read_dataset(whole, split).faces) for split in about["kept"]) == 16


def test_a_copy_of_a_photo_is_dropped_and_the_larger_stays(whole: Path) -> None:
    dropped = rows_of(whole / "dropped.csv")
    assert [row["reason"] for row in dropped] == ["duplicate"] * 2
    kept = {row["file"]: row for row in rows_of(whole / "manifest.csv")}
    for row in dropped:
        assert int(kept[row["detail"]]["native_side_px"]) > int(row["native_side_px"])
        assert (whole / row["file"]).exists()  # to be looked at


def test_neither_the_order_of_the_photos_nor_of_the_looks_matters(
    world: tuple[list[Path], KnownPhotos], whole: Path, tmp_path: Path
) -> None:
    def backwards(look: Callable[[Path], Look], photos: Iterable[Path]) -> list[Look]:
        return [look(photo) for photo in reversed(list(photos))]

    prepare(random.Random(1).sample(world[0], 9), tmp_path, looks(world[1]), RULES, each=backwards)
    assert contents(tmp_path) == contents(whole)


@pytest.fixture(scope="module")
def shared_look(world: tuple[list[Path], KnownPhotos]) -> Callable[[Path], Look]:
    """Looks that were made once: the log's tests are about the log."""
    made = {photo: looks(world[1])(photo) for photo in world[0]}
    return made.__getitem__


@given(cut=st.floats(0, 1), manifest=st.booleans())
@settings(max_examples=8, deadline=None)
def test_a_log_that_was_cut_anywhere_goes_on(
    world: tuple[list[Path], KnownPhotos],
    whole: Path,
    shared_look: Callable[[Path], Look],
    tmp_path_factory: pytest.TempPathFactory,
    cut: float,
    manifest: bool,
) -> None:
    dataset = tmp_path_factory.mktemp("cut")
    log = (whole / LOG).read_bytes()
    part = log[: round(cut * len(log))]
    (dataset / LOG).write_bytes(part)
    lines = [json.loads(line) for line in part.splitlines(keepends=True)[1:] if line.endswith(b"\n")]
    seen = [line["photo"] for line in lines if "photo" in line]
    for photo in seen:
        for file, data in shared_look(Path(photo)).pictures.items():
            (dataset / file).parent.mkdir(parents=True, exist_ok=True)
            (dataset / file).write_bytes(data)
    asked: list[str] = []

    def look(photo: Path) -> Look:
        asked.append(str(photo))
        return shared_look(photo)

    prepare(world[0], dataset, look, RULES)
    assert sorted(asked + seen) == sorted(map(str, world[0]))
    assert contents(dataset) == contents(whole)
    assert sorted((dataset / LOG).read_bytes().splitlines()) == sorted(log.splitlines())


KILLED = """
import os, signal, sys
from pathlib import Path
from functools import partial
from facefill.runtime.finder import Face
from facefill.datasets.looking import Rules, look_at
from facefill.datasets.prepare import prepare
from tests.faces import draw_photo

class FindsUntilKilled:
    def __init__(self): self.count = 0
    def find(self, photo):
        self.count += 1
        if self.count > int(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)
        return [Face((0, 0, 1, 1), points, 1.0) for points in draw_photo(300, 160, 2, 0)[1]]

rules = Rules(min_side_px=60)
prepare(map(Path, sys.argv[3:]), Path(sys.argv[1]), partial(look_at, finder=FindsUntilKilled(), rules=rules), rules)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_process_loses_nothing(
    world: tuple[list[Path], KnownPhotos], tmp_path: Path, shared_look: Callable[[Path], Look]
) -> None:
    first = world[0][:3]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, "2", *first], cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == -9
    known = [json.loads(line)["photo"] for line in (tmp_path / LOG).read_text().splitlines()[1:]]
    assert known == [str(photo) for photo in first[:2]]
    assert not (tmp_path / "manifest.csv").exists()
    asked: list[Path] = []

    def look(photo: Path) -> Look:
        asked.append(photo)
        return shared_look(photo)

    prepare(first, tmp_path, look, RULES)
    assert asked == first[2:]
    assert (tmp_path / "manifest.csv").exists()


def test_a_grown_dataset_keeps_its_faces_and_their_splits(
    world: tuple[list[Path], KnownPhotos], shared_look: Callable[[Path], Look], tmp_path: Path
) -> None:
    rules = RULES.model_copy(update={"test": 0.3, "validation": 0.3})
    photos = world[0][::-1]
    prepare(photos[:5], tmp_path, shared_look, rules)
    before = {row["file"]: row["split"] for row in rows_of(tmp_path / "manifest.csv")}
    assert len(set(before.values())) > 1
    prepare(photos, tmp_path, shared_look, rules)
    after = {row["file"]: row["split"] for row in rows_of(tmp_path / "manifest.csv")}
    assert len(after) == 16
    # also the small copy, though the larger photo came later
    assert before.items() <= after.items()


def test_a_few_faces_still_make_three_splits(
    world: tuple[list[Path], KnownPhotos], shared_look: Callable[[Path], Look], tmp_path: Path
) -> None:
    prepare(world[0][:4], tmp_path, shared_look, RULES)
    rows = {row["file"]: row["split"] for row in rows_of(tmp_path / "manifest.csv")}
    assert Counter(rows.values()) == {"train": 6, "validation": 1, "test": 1}
    prepare(world[0][:6], tmp_path, shared_look, RULES)
    grown = {row["file"]: row["split"] for row in rows_of(tmp_path / "manifest.csv")}
    assert rows.items() <= grown.items()
    prepare(world[0][:1], tmp_path / "two", shared_look, RULES)
    assert Counter(row["split"] for row in rows_of(tmp_path / "two" / "manifest.csv"))["train"] == 1


def test_a_dataset_with_hashes_of_an_earlier_version_is_refused_and_left_as_it_is(
    world: tuple[list[Path], KnownPhotos], shared_look: Callable[[Path], Look], tmp_path: Path
) -> None:
    prepare(world[0][:4], tmp_path, shared_look, RULES)
    log = tmp_path / LOG
    first, *others = log.read_text().splitlines(keepends=True)
    log.write_text(json.dumps({"rules": json.loads(first)["rules"]}) + "\n" + "".join(others))
    before = contents(tmp_path)
    with pytest.raises(InputError, match="those of an earlier version: make the dataset anew in another folder"):
        prepare(world[0], tmp_path, shared_look, RULES)
    assert contents(tmp_path) == before


def test_one_person_stays_in_one_split(
    world: tuple[list[Path], KnownPhotos], shared_look: Callable[[Path], Look], tmp_path: Path
) -> None:
    table = tmp_path / "people.csv"
    photos = world[0][:8]
    lines = [f"{photo.parent.name}/{photo.name},{number // 2}" for number, photo in enumerate(photos[:6])]
    table.write_text("photo,identity\n" + "\n".join([*lines, f"{photos[6]},ann"]) + "\n")
    rules = RULES.model_copy(update={"test": 0.3, "validation": 0.3})
    prepare(photos, tmp_path / "set", shared_look, rules, identities=table)
    rows = rows_of(tmp_path / "set" / "manifest.csv")
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row["identity"], set()).add(row["split"])
    assert set(splits) == {"0", "1", "2", "ann", ""}
    assert all(len(found) == 1 for identity, found in splits.items() if identity)
    with pytest.raises(InputError, match="columns photo and identity"):
        prepare(photos, tmp_path / "set", shared_look, rules, identities=tmp_path / "set" / "dropped.csv")


def reason_of(known: KnownPhotos, path: Path, rules: Rules = RULES, **words: object) -> str:
    seen = look_at(path, known, rules, **words).faces
    assert all(face.detail for face in seen if face.reason)
    return " ".join(face.reason for face in seen)


def test_every_reason_to_drop_a_face(tmp_path: Path) -> None:
    known = KnownPhotos()
    pixels, (points,) = draw_photo(200, 200, 1, 5)

    def photo(name: str, picture: U8, landmarks: Points) -> Path:
        return save(known, tmp_path / f"{name}.png", np.ascontiguousarray(picture), [landmarks])

    fine = photo("fine", pixels, points)
    assert reason_of(known, fine) == ""
    blurred = cv2.GaussianBlur(pixels, (0, 0), 4)
    assert reason_of(known, photo("blurred", np.asarray(blurred, np.uint8), points)) == "blurred"
    assert reason_of(known, fine, RULES.model_copy(update={"min_side_px": 300})) == "tiny"
    assert reason_of(known, fine, RULES.model_copy(update={"min_score": 1.1})) == "uncertain"
    nose = round(float(points[2, 0]))
    assert reason_of(known, photo("half", pixels[:, nose:], points - [nose, 0])) == "outside"
    near = round(float(points[:, 0].min())) - 2
    cut = photo("cut", pixels[:, near:], points - [near, 0])
    assert reason_of(known, cut, RULES.model_copy(update={"min_inside": 0.99})) == "outside"
    assert reason_of(known, photo("swapped", pixels.copy()[::-1], points[[1, 0, 2, 3, 4]])) == "implausible"
    assert reason_of(known, photo("point", pixels[:, ::-1], np.full((5, 2), 9.0))) == "implausible"

    class CoversToEyes:
        def find(self, photo: U8, faces: Sequence[Face]) -> list[FoundCover]:
            middle = round(float(faces[0].landmarks[0, 1]))
            return [FoundCover((slice(0, middle), slice(0, photo.shape[1])), np.ones((middle, photo.shape[1]), bool))]

    strict = RULES.model_copy(update={"max_covered": 0.1})
    assert reason_of(known, fine, strict, cover=CoversToEyes()) == "covered"
    assert reason_of(known, fine, strict.model_copy(update={"max_covered": 0.6}), cover=CoversToEyes()) == ""


def test_photos_without_faces_and_broken_ones_are_listed(tmp_path: Path) -> None:
    known = KnownPhotos()
    pixels, points = draw_photo(200, 200, 1, 5)
    good = save(known, tmp_path / "in" / "good.png", pixels, points)
    bare = save(known, tmp_path / "in" / "bare.png", pixels[:20].copy(), [])
    (tmp_path / "in" / "cut.png").write_bytes(good.read_bytes()[:500])
    photos = [good, bare, tmp_path / "in" / "cut.png"]
    report = prepare(photos, tmp_path / "set", looks(known), RULES)
    assert report.dropped == {"no face": 1, "unreadable": 1}
    assert len(report.unreadable) == 1
    assert "cut.png" in report.unreadable[0]
    rows = {row["reason"]: row for row in rows_of(tmp_path / "set" / "dropped.csv")}
    assert rows["no face"]["file"] == str(bare)
    (tmp_path / "in" / "cut.png").write_bytes(good.read_bytes())
    again = prepare(photos, tmp_path / "set", looks(known), RULES)  # what could not be read is tried again
    assert (again.dropped, again.unreadable, again.photos) == ({"no face": 1, "duplicate": 1}, (), 3)
    with pytest.raises(InputError, match=r"faces to keep.*1 no face"):
        prepare([bare], tmp_path / "none", looks(known), RULES)


def test_a_dataset_that_is_in_use_or_has_other_rules_is_left_alone(
    world: tuple[list[Path], KnownPhotos], shared_look: Callable[[Path], Look], tmp_path: Path
) -> None:
    def twice(photo: Path) -> Look:
        with pytest.raises(InputError, match="another process"):
            prepare([], tmp_path, shared_look, RULES)
        return shared_look(photo)

    prepare(world[0][:1], tmp_path, twice if sys.platform != "win32" else shared_look, RULES)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"max_blur = 0\.58"):
        prepare(world[0], tmp_path, shared_look, RULES.model_copy(update={"max_blur": 0.7}))
    assert contents(tmp_path) == before
    (tmp_path / LOG).write_bytes(b"no json\n")
    with pytest.raises(InputError, match="whole lines"):
        prepare(world[0], tmp_path, shared_look, RULES)


# --- near-duplicates


def test_the_commands(
    world: tuple[list[Path], KnownPhotos], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(helpers, "open_finder", lambda device, threads: world[1])
    photos = world[0]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    words = ["prepare", photos[0].parent, photos[5], broken, tmp_path / "set", "--min-side", 60, "--shards", 4]
    code, out, err = run(*words)
    assert code == 3
    assert "10 faces" in out
    assert "broken.png" in err
    assert {path.suffix for path in (tmp_path / "set" / "shards").iterdir()} == {".tar", ".json"}
    asked = world[1].asked
    assert run(*words)[1] == out
    assert world[1].asked == asked
    code, out, _ = run("wear", tmp_path / "set", tmp_path / "worn", "--seed", 1)
    assert code == 0
    assert "10 covered faces, 0 refused" in out
    assert len(read_manifest(tmp_path / "worn")) == 10
    for wrong in (
        ["prepare", tmp_path / "gone", tmp_path / "x"],
        ["prepare", photos[0], tmp_path / "x", "--size", 300],
        ["prepare", photos[0], tmp_path / "x", "--embedder", "e.onnx"],
        ["prepare", photos[0], tmp_path / "x", "--against", tmp_path / "gone"],
        ["wear", tmp_path / "gone", tmp_path / "x"],
        ["wear", tmp_path / "set", tmp_path / "worn"],
    ):
        code, _, err = run(*wrong)
        assert code == 2
        assert err.count("\n") == 1
        assert ", got " in err
    assert not (tmp_path / "x").exists()


def test_without_imagehash_prepare_says_what_to_install_and_writes_nothing(
    world: tuple[list[Path], KnownPhotos], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    code, _, err = run("prepare", world[0][0], tmp_path / "set")
    assert code == 2
    assert err.count("\n") == 1
    assert "pip install 'facefill[prepare]'" in err
    assert not (tmp_path / "set").exists()


def test_pictures_from_nowhere_are_encoded_without_loss_unless_asked() -> None:
    face = draw_face(64, 0)[0]
    for name in ("PNG", "WEBP"):
        assert (read_photo(encode_picture(face, name)).pixels == face).all()
    assert len(encode_picture(face, "WEBP", 50)) < len(encode_picture(face, "WEBP"))
    grey = np.asarray(Image.open(io.BytesIO(encode_picture(face[..., 0]))))
    assert (grey == face[..., 0]).all()
    with pytest.raises(InputError, match="did you mean 'WEBP'"):
        encode_picture(face, "WEPB")
