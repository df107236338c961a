"""Photos become a dataset whatever their order and whoever is killed, with a reason for each face that is dropped."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from facefill import cli, cli_research
from facefill.errors import InputError
from facefill.evaluation.dataset import read_dataset
from facefill.imaging.photo import encode_picture, read_photo
from facefill.runtime.finder import Face
from facefill.training.dataset import COLUMNS, implausible, read_manifest
from facefill.training.duplicates import (
    ALIKE,
    NEAR_BITS,
    group_pairs,
    hash_face,
    likeness,
    mirror_hash,
    near_pairs,
    thumb_of,
)
from facefill.training.looking import Look, Rules, look_at, measure_blur
from facefill.training.prepare import LOG, prepare
from facefill.training.worn import wear_faces
from tests.datasets import write_dataset
from tests.faces import ALIGNED, Pixels, Points, draw_face, draw_photo

RULES = Rules(min_side_px=60)


class Known:
    """Stands in for the finder: it knows the photos by their pixels."""

    def __init__(self) -> None:
        self.faces: dict[str, list[Face]] = {}
        self.asked = 0

    def learn(self, pixels: Pixels, landmarks: list[Points]) -> None:
        self.faces[hashlib.sha256(pixels.tobytes()).hexdigest()] = [Face((0, 0, 1, 1), points, 1.0)
                                                                    for points in landmarks]

    def find(self, photo: Pixels) -> list[Face]:
        self.asked += 1
        return self.faces.get(hashlib.sha256(photo.tobytes()).hexdigest(), [])


def save(known: Known, path: Path, pixels: Pixels, landmarks: list[Points], quality: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_picture(pixels, "JPEG" if path.suffix == ".jpg" else "PNG", quality))
    known.learn(read_photo(path).pixels, landmarks)
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Known]:
    """Eight photos of two faces each, and a copy of the first, smaller and coded with loss."""
    folder, known, photos = tmp_path_factory.mktemp("photos"), Known(), []
    for seed in range(8):
        pixels, landmarks = draw_photo(300, 160, 2, seed)
        photos.append(save(known, folder / ("a" if seed < 4 else "b") / f"p{seed}.png", pixels, landmarks))
    pixels, landmarks = draw_photo(300, 160, 2, 0)
    small = cv2.resize(pixels, (240, 128), interpolation=cv2.INTER_AREA)
    shrunk = [(points + 0.5) * 0.8 - 0.5 for points in landmarks]
    photos.append(save(known, folder / "c" / "again.jpg", np.asarray(small, np.uint8), shrunk, 60))
    return photos, known


def looks(known: Known, rules: Rules = RULES) -> Callable[[Path], Look]:
    return partial(look_at, finder=known, rules=rules)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(dataset: Path) -> dict[str, bytes]:
    return {path.relative_to(dataset).as_posix(): path.read_bytes() for path in sorted(dataset.rglob("*"))
            if path.is_file() and path.name != LOG}


@pytest.fixture(scope="module")
def whole(world: tuple[list[Path], Known], tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = tmp_path_factory.mktemp("whole")
    prepare(world[0], dataset, looks(world[1]), RULES)
    return dataset


def test_a_dataset_says_what_it_holds(world: tuple[list[Path], Known], whole: Path) -> None:
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
    world: tuple[list[Path], Known], whole: Path, tmp_path: Path
) -> None:
    def backwards(look: Callable[[Path], Look], photos: Iterable[Path]) -> list[Look]:
        return [look(photo) for photo in reversed(list(photos))]

    prepare(random.Random(1).sample(world[0], 9), tmp_path, looks(world[1]), RULES, each=backwards)
    assert contents(tmp_path) == contents(whole)


@pytest.fixture(scope="module")
def shared_look(world: tuple[list[Path], Known]) -> Callable[[Path], Look]:
    """Looks that were made once: the log's tests are about the log."""
    made = {photo: looks(world[1])(photo) for photo in world[0]}
    return made.__getitem__


@given(cut=st.floats(0, 1), manifest=st.booleans())
@settings(max_examples=8, deadline=None)
def test_a_log_that_was_cut_anywhere_goes_on(
    world: tuple[list[Path], Known], whole: Path, shared_look: Callable[[Path], Look],
    tmp_path_factory: pytest.TempPathFactory, cut: float, manifest: bool
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
from facefill.training.looking import Rules, look_at
from facefill.training.prepare import prepare
from tests.faces import draw_photo

class Drawn:
    def __init__(self): self.count = 0
    def find(self, photo):
        self.count += 1
        if self.count > int(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)
        return [Face((0, 0, 1, 1), points, 1.0) for points in draw_photo(300, 160, 2, 0)[1]]

rules = Rules(min_side_px=60)
prepare(map(Path, sys.argv[3:]), Path(sys.argv[1]), partial(look_at, finder=Drawn(), rules=rules), rules)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_process_loses_nothing(
    world: tuple[list[Path], Known], tmp_path: Path, shared_look: Callable[[Path], Look]
) -> None:
    first = world[0][:3]
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path, "2", *first], cwd=Path(__file__).parents[2],
                          check=False)
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
    world: tuple[list[Path], Known], shared_look: Callable[[Path], Look], tmp_path: Path
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


def test_one_person_stays_in_one_split(
    world: tuple[list[Path], Known], shared_look: Callable[[Path], Look], tmp_path: Path
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


def reason_of(known: Known, path: Path, rules: Rules = RULES, **words: object) -> str:
    seen = look_at(path, known, rules, **words).faces  # type: ignore[arg-type]
    assert all(face.detail for face in seen if face.reason)
    return " ".join(face.reason for face in seen)


def test_every_reason_to_drop_a_face(tmp_path: Path) -> None:
    known = Known()
    pixels, (points,) = draw_photo(200, 200, 1, 5)

    def photo(name: str, picture: Pixels, landmarks: Points) -> Path:
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

    class Half:
        def find(self, faces: Pixels) -> np.ndarray:
            return np.indices(faces.shape[:3])[1] < faces.shape[1] // 2

    strict = RULES.model_copy(update={"max_covered": 0.1})
    assert reason_of(known, fine, strict, cover=Half()) == "covered"
    assert reason_of(known, fine, strict.model_copy(update={"max_covered": 0.6}), cover=Half()) == ""


def test_photos_without_faces_and_broken_ones_are_listed(tmp_path: Path) -> None:
    known = Known()
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
    world: tuple[list[Path], Known], shared_look: Callable[[Path], Look], tmp_path: Path
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


def test_near_pairs_are_those_that_comparing_all_finds() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(256) < 0.5
    bits = base ^ (rng.random((150, 256)) < 0.25)
    for place in range(0, 120, 3):
        flips = rng.choice(256, int(rng.integers(0, 40)), replace=False)
        bits[place + 1] = bits[place]
        bits[place + 1, flips] ^= True
    hashes = np.packbits(bits, axis=1)
    hashes[2::3] = mirror_hash(hashes[2::3])
    for limit in (0, 15, NEAR_BITS):
        naive = set()
        for mirrored, other in enumerate((hashes, mirror_hash(hashes))):
            differ = np.unpackbits(hashes[:, None] ^ other[None], axis=2).sum(2)
            naive |= {(i, j, mirrored) for i, j in zip(*np.nonzero(differ <= limit), strict=True) if i < j}
        assert {tuple(row) for row in near_pairs(hashes, limit).tolist()} == naive
    assert near_pairs(hashes[:0]).shape == (0, 3)


def test_a_face_coded_shrunk_toned_moved_or_mirrored_is_near_and_alike_and_another_is_not() -> None:
    faces = [draw_face(256, seed)[0] for seed in range(4)]
    face = faces[0]
    turn = cv2.getRotationMatrix2D((127.5, 127.5), 2, 1.02)
    turn[:, 2] += (3, -3)
    variants = {
        "coded": read_photo(encode_picture(face, "JPEG", 30)).pixels,
        "shrunk": cv2.resize(cv2.resize(face, (90, 90), interpolation=cv2.INTER_AREA), (256, 256)),
        "toned": np.clip(face.astype(float) ** 1.1 * 0.7, 0, 255).astype(np.uint8),
        "moved": cv2.warpAffine(face, turn, (256, 256), borderMode=cv2.BORDER_REFLECT),
        "mirrored": np.ascontiguousarray(face[:, ::-1]),
    }
    for name, picture in variants.items():
        picture = np.asarray(picture, np.uint8)
        assert len(near_pairs(np.stack([hash_face(face), hash_face(picture)]))) == 1, name
        straight = picture[:, ::-1] if name == "mirrored" else picture
        assert likeness(thumb_of(face), thumb_of(np.ascontiguousarray(straight))) > ALIKE, name
    for other in faces[1:]:
        assert likeness(thumb_of(face), thumb_of(other)) < ALIKE
    flat = np.full((64, 64), 128, np.uint8)
    assert likeness(flat, thumb_of(face)) == 0
    mirrored = hash_face(np.ascontiguousarray(face[:, ::-1]))
    assert np.unpackbits(mirror_hash(hash_face(face)) ^ mirrored).sum() <= 2


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40))
def test_groups_are_connected_components(count: int, pairs: list[tuple[int, int]]) -> None:
    inside = np.array([pair for pair in pairs if max(pair) < count], np.int64).reshape(-1, 2)
    groups = group_pairs(count, inside)
    graph = coo_matrix((np.ones(len(inside)), (inside[:, 0], inside[:, 1])), (count, count))
    labels = connected_components(graph, directed=False)[1]
    first = [int(np.flatnonzero(labels == label)[0]) for label in labels]
    assert groups.tolist() == first


def test_blur_grows_with_the_blur_and_not_with_the_contrast() -> None:
    face = draw_face(256, 3)[0]
    blurs = [measure_blur(np.asarray(cv2.GaussianBlur(face, (0, 0), sigma), np.uint8)) for sigma in (1, 2, 4, 8)]
    assert blurs == sorted(blurs)
    assert measure_blur(face) < blurs[0] < Rules().max_blur < blurs[2]
    assert measure_blur((face // 2 + 60).astype(np.uint8)) == pytest.approx(measure_blur(face), abs=0.03)


# --- wear


def test_covers_depend_on_the_seed_and_the_file_name_only(tmp_path: Path) -> None:
    faces = write_dataset(tmp_path / "faces", 6)
    (faces / "val").mkdir()
    (faces / "train" / "face005.png").rename(faces / "val" / "face005.png")
    manifest = faces / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("train,face005", "val,face005"))
    done = wear_faces(faces, tmp_path / "a", 3)
    assert (done.faces, done.refused) == (6, ())
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([lines[0], lines[4], lines[2], lines[6]]) + "\n")
    wear_faces(faces, tmp_path / "b", 3)
    rows, fewer = (rows_of(tmp_path / name / "manifest.csv") for name in "ab")
    assert [row for row in fewer if row not in rows] == []
    for row in rows:
        worn, mask, truth = (read_photo(tmp_path / "a" / row[name]).pixels for name in ("file", "mask", "truth"))
        assert set(np.unique(mask)) == {0, 255}
        assert np.abs(worn.astype(int) - truth)[mask == 0].max() <= 40
        assert (worn != truth)[mask > 0].mean() > 0.5
        assert row["kind"]
        original = faces / row["split"] / f"{Path(row['file']).stem}.png"
        assert (tmp_path / "a" / row["truth"]).read_bytes() == original.read_bytes()
    for row in fewer:
        assert (tmp_path / "a" / row["file"]).read_bytes() == (tmp_path / "b" / row["file"]).read_bytes()
    wear_faces(faces, tmp_path / "c", 4)
    assert (tmp_path / "c" / fewer[0]["file"]).read_bytes() != (tmp_path / "b" / fewer[0]["file"]).read_bytes()
    assert len(read_dataset(tmp_path / "a", "val").faces) == 1


def test_faces_whose_landmarks_no_face_has_are_refused_and_listed(tmp_path: Path) -> None:
    faces = write_dataset(tmp_path / "faces", 5)
    rows = rows_of(faces / "manifest.csv")
    rows[0]["eye_l_x"], rows[0]["eye_r_x"] = rows[0]["eye_r_x"], rows[0]["eye_l_x"]
    rows[1]["nose_y"] = "20"
    rows[2]["mouth_l_x"] = "left"
    (faces / "train" / rows[3]["file"]).write_bytes(b"no picture")
    with (faces / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    done = wear_faces(faces, tmp_path / "out")
    assert done.faces == 1
    assert [row["file"] for row in rows_of(tmp_path / "out" / "refused.csv")] == [row["file"] for row in rows[:4]]
    with pytest.raises(InputError, match="holds a dataset"):
        wear_faces(faces, tmp_path / "out")
    for row in rows:
        (faces / "train" / row["file"]).unlink()
    with pytest.raises(InputError, match="5 refused"):
        wear_faces(faces, tmp_path / "gone")


def test_faces_without_a_manifest_are_asked_for_their_landmarks(tmp_path: Path) -> None:
    known = Known()
    for seed in range(2):
        face, points = draw_face(64, seed)
        save(known, tmp_path / "faces" / f"{seed}.png", face, [points])
    assert wear_faces(tmp_path / "faces", tmp_path / "out", finder=lambda: known).faces == 2
    assert known.asked == 2
    with pytest.raises(InputError, match="landmarks"):
        wear_faces(tmp_path / "faces", tmp_path / "other")


@pytest.mark.parametrize(("change", "why"), [
    (lambda points: points[[1, 0, 2, 4, 3]], "apart"), (lambda points: points * [1, -1] + np.array([0, 255]), "below"),
    (lambda points: points * 0.3, "aligned"), (lambda points: points + np.array([80, 0]), "aligned"),
    (lambda points: points * np.nan, "gaps"), (lambda points: points[[0, 1, 2, 4, 3]], "corners"),
])
def test_landmarks_that_no_aligned_face_has(change: Callable[[Points], Points], why: str) -> None:
    points = ALIGNED * 256 - 0.5
    assert implausible(points) == ""
    assert why in implausible(change(points))


# --- the command line


def test_the_commands(
    world: tuple[list[Path], Known], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["facefill", *map(str, words)])
        code: object = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        return int(str(code or 0)), *capsys.readouterr()

    monkeypatch.setattr(cli_research, "_open_finder", lambda device, threads: world[1])
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
    for wrong in (["prepare", tmp_path / "gone", tmp_path / "x"], ["prepare", photos[0], tmp_path / "x", "--size", 300],
                  ["wear", tmp_path / "gone", tmp_path / "x"], ["wear", tmp_path / "set", tmp_path / "worn"]):
        code, _, err = run(*wrong)
        assert code == 2
        assert err.count("\n") == 1
        assert ", got " in err
    assert not (tmp_path / "x").exists()


def test_pictures_from_nowhere_are_encoded_without_loss_unless_asked() -> None:
    face = draw_face(64, 0)[0]
    for name in ("PNG", "WEBP"):
        assert (read_photo(encode_picture(face, name)).pixels == face).all()
    assert len(encode_picture(face, "WEBP", 50)) < len(encode_picture(face, "WEBP"))
    grey = np.asarray(Image.open(io.BytesIO(encode_picture(face[..., 0]))))
    assert (grey == face[..., 0]).all()
    with pytest.raises(InputError, match="did you mean 'WEBP'"):
        encode_picture(face, "WEPB")
