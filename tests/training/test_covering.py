"""What the cover network and the second look learn from: exact labels, nothing outside the photo, always the same."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facefill.errors import InputError
from facefill.nets.cover import IGNORED, CoverConfig, CoverNet
from facefill.runtime.cover import FACE_PX, INSET_PX, OUTSIDE, SIDE_PX
from facefill.runtime.second_look import SIDE_PX as LOOK_PX
from facefill.training.covering import CoveringConfig, held_out, open_covering, open_looks, read_people
from facefill.training.data import to_batch
from facefill.training.painter import KINDS, degrade, draw, draw_clear_glasses, draw_sleeved_hand, move
from facefill.training.real_covers import GLASSES, HAND, MASK, NOTHING, OTHER, Covered, put_on, read_real
from facefill.training.recipe import Recipe
from tests.faces import draw_face
from tests.toy_datasets import POINTS, write_dataset

MASKED = (20, 60, 200)


def write_covers(folder: Path, count: int = 6, kinds: tuple[str, ...] = ("mask", "sunglasses", "none")) -> Path:
    """Faces in blue masks and dark glasses in photos that end beside them, and photos without a face."""
    for name in ("images", "masks", "ignore", "photos", "negatives"):
        (folder / name).mkdir(parents=True)
    rows = []
    for index in range(count):
        face, points = draw_face(FACE_PX, index)
        photo = np.full((400, 340, 3), 90, np.uint8)
        photo[60 : 60 + FACE_PX, 70 : 70 + FACE_PX] = face
        kind = kinds[index % len(kinds)]
        mask = np.zeros((400, 340), bool)
        if kind == "mask":
            mask[60 + 150 : 60 + 280, 70 + 60 : 70 + 200] = True
        if kind == "sunglasses":
            mask[60 + 105 : 60 + 140, 70 + 60 : 70 + 200] = True
        photo[mask] = MASKED
        square = np.s_[60 : 60 + FACE_PX, 70 : 70 + FACE_PX]
        name = f"fm_{index}_0"
        cv2.imwrite(str(folder / f"photos/{name}.png"), photo[..., ::-1])
        cv2.imwrite(str(folder / f"images/{name}.png"), photo[square][..., ::-1])
        cv2.imwrite(str(folder / f"masks/{name}.png"), mask[square] * np.uint8(255))
        cv2.imwrite(str(folder / f"ignore/{name}.png"), np.zeros((FACE_PX, FACE_PX), np.uint8))
        cv2.imwrite(str(folder / f"negatives/{index}.png"), np.full((90, 60, 3), 30 * index, np.uint8))
        marks = {f"{p}_{a}": points[at][axis] for at, p in enumerate(POINTS) for axis, a in enumerate("xy")}
        rows.append(
            {
                "file": f"images/{name}.png",
                "mask": f"masks/{name}.png",
                "ignore": f"ignore/{name}.png",
                "kind": kind,
                "split": "train",
                "photo": f"photos/{name}.png",
                "m0": 1,
                "m1": 0,
                "m2": 70,
                "m3": 0,
                "m4": 1,
                "m5": 60,
                **marks,
            }
        )
    write_rows(folder / "manifest.csv", rows)
    others = ("clothed body", "garment: dress")
    write_rows(
        folder / "negatives.csv",
        [{"file": f"negatives/{k}.png", "split": "train", "kind": others[k % 2]} for k in range(count)],
    )
    return folder


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def covers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_covers(tmp_path_factory.mktemp("real") / "covers")


@pytest.fixture(scope="module")
def config(covers: Path, tmp_path_factory: pytest.TempPathFactory) -> CoveringConfig:
    folder = write_dataset(tmp_path_factory.mktemp("faces") / "set", 12, side=48)
    return CoveringConfig(
        folder=folder, covers=covers, kept=4, faces=4, pool=20, validation_images=4, cache=folder.parent
    )


def plain() -> Covered:
    face, points = draw_face(FACE_PX, 3)
    picture = np.full((SIDE_PX, SIDE_PX, 3), OUTSIDE, np.uint8)
    kinds = np.full((SIDE_PX, SIDE_PX), IGNORED, np.uint8)
    square = np.s_[:FACE_PX, INSET_PX : INSET_PX + FACE_PX]
    picture[square], kinds[square] = face, NOTHING
    return Covered(picture, kinds, points + np.array([INSET_PX, 0]))


def test_a_real_cover_is_read_with_what_is_around_it_and_followed_below_the_face(covers: Path) -> None:
    mask, dark, none = read_real(covers, "train")[:3]
    blue = np.abs(mask.picture.astype(int) - MASKED).max(2) < 12
    assert (mask.kinds[blue] == MASK).mean() > 0.98
    assert (mask.kinds[FACE_PX:] == MASK).any()
    assert (mask.kinds[~blue & (mask.kinds != IGNORED)] == NOTHING).mean() > 0.98
    assert set(np.unique(dark.kinds)) == {NOTHING, GLASSES, IGNORED}
    assert not ((none.kinds != NOTHING) & (none.kinds != IGNORED)).any()
    assert (none.kinds[(none.picture == OUTSIDE).all(2)] == IGNORED).all()
    unsure = read_real(covers, "train", [mask.file])[0]
    assert (unsure.kinds[FACE_PX:] == IGNORED).all()


def test_outlines_are_corrected_by_strokes_in_the_aligned_face(covers: Path, tmp_path: Path) -> None:
    first, left_out = read_real(covers, "train")[:2]
    square = [[10, 10], [20, 10], [20, 20], [10, 20]]
    strokes = [
        ["strap", 4, [[30, 40], [50, 40]]],
        ["add", 0, square],
        ["remove", 0, [[100, 160], [110, 160], [110, 170], [100, 170]]],
        ["ignore", 0, [[x + 60, y] for x, y in square]],
    ]
    path = tmp_path / "outlines.json"
    path.write_text(json.dumps({first.file: strokes, left_out.file: []}), encoding="utf-8")
    faces = read_real(covers, "train", corrections=path)
    assert left_out.file not in [face.file for face in faces]
    kinds = faces[0].kinds[:, INSET_PX:]
    assert (kinds[39:42, 32:48] == MASK).all()
    assert IGNORED in kinds[37:44, 40]
    assert (kinds[12:18, 12:18] == MASK).all()
    assert first.kinds[165, INSET_PX + 105] == MASK
    assert (kinds[162:168, 102:108] == NOTHING).all()
    assert (kinds[12:18, 72:78] == IGNORED).all()


def test_a_cover_that_somebody_wears_is_put_on_another_face_with_its_label(covers: Path) -> None:
    worn = put_on(
        plain(), [face for face in read_real(covers, "train") if face.kind == "mask"], np.random.default_rng(0)
    )
    changed = np.abs(worn.picture.astype(int) - plain().picture).max(2) > 60
    assert (worn.kinds == MASK).mean() > 0.1
    assert (worn.kinds[changed] == MASK).mean() > 0.9
    assert (worn.picture[(plain().kinds == IGNORED)] == OUTSIDE).all()


def test_a_hand_before_a_mask_is_told_by_a_stroke_and_the_mask_alone_is_put_on(tmp_path: Path) -> None:
    folder = write_covers(tmp_path / "covers", 1, ("mask",))
    rows = list(csv.DictReader((folder / "manifest.csv").open(newline="")))
    write_rows(folder / "manifest.csv", [{**row, "kind": "mask+hand"} for row in rows])
    path = tmp_path / "outlines.json"
    outline = [[100, 200], [140, 200], [140, 240], [100, 240]]
    path.write_text(json.dumps({rows[0]["file"]: [["hand", 0, outline]]}), encoding="utf-8")
    (face,) = read_real(folder, "train", corrections=path)
    assert set(np.unique(face.kinds)) == {NOTHING, MASK, HAND, IGNORED}
    assert (face.kinds[202:238, INSET_PX + 102 : INSET_PX + 138] == HAND).all()
    assert set(np.unique(put_on(plain(), [face], np.random.default_rng(0)).kinds)) == {NOTHING, MASK, IGNORED}


def test_what_is_put_on_is_as_sharp_as_the_face_it_is_put_on(covers: Path) -> None:
    mask = next(face for face in read_real(covers, "train") if face.kind == "mask")
    grain = np.random.default_rng(5).normal(0, 25, mask.picture.shape)
    sharp = replace(mask, picture=np.clip(mask.picture + grain * mask.worn[..., None], 0, 255).astype(np.uint8))
    face = plain()
    soft = replace(face, picture=np.where(face.outside[..., None], OUTSIDE, cv2.GaussianBlur(face.picture, (0, 0), 3)))

    def detail(target: Covered) -> float:
        worn = put_on(target, [sharp], np.random.default_rng(2))
        inside = cv2.erode((worn.kinds == MASK).astype(np.uint8), np.ones((9, 9))) > 0
        grey = cv2.cvtColor(worn.picture, cv2.COLOR_RGB2GRAY)
        return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)[inside]).mean())

    assert detail(soft) < 0.5 * detail(face)


def test_a_sleeve_over_the_forearm_covers_nothing() -> None:
    face = plain()
    known = np.where(face.outside[..., None], np.uint8(90), face.picture)
    face = replace(face, picture=known, kinds=np.zeros_like(face.kinds))
    sleeves = 0
    for seed in range(6):
        held = draw_sleeved_hand(face, np.random.default_rng(seed))
        assert set(np.unique(held.kinds)) == {NOTHING, HAND}
        changed = np.abs(held.picture.astype(int) - known).max(2) > 45
        sleeves += int(np.count_nonzero(changed & (held.kinds == NOTHING)) > 300)
    assert sleeves >= 3


def test_helmet_straps_are_other_things_and_hands_are_hands() -> None:
    for seed in range(3):
        assert set(np.unique(draw(plain(), np.random.default_rng(seed), "helmet strap").kinds)) == {0, OTHER, IGNORED}
        assert HAND in draw(plain(), np.random.default_rng(seed), "hand").kinds
    assert "helmet strap" in KINDS


def test_drawn_covers_have_kinds_and_clear_glasses_cover_nothing() -> None:
    rng = np.random.default_rng(1)
    assert MASK in draw(plain(), rng, "surgical").kinds
    assert GLASSES in draw(plain(), rng, "sunglasses").kinds
    clear = draw_clear_glasses(plain(), rng)
    assert (clear.kinds == plain().kinds).all()
    assert (clear.picture != plain().picture).any()


def test_what_is_moved_and_spoiled_stays_marked_outside_the_photo() -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        face = degrade(move(plain(), rng), rng)
        assert (face.picture[face.kinds == IGNORED] == OUTSIDE).mean() > 0.9
        assert (face.kinds != IGNORED).mean() > 0.2


def test_both_sources_give_batches_that_their_networks_learn_from(config: CoveringConfig) -> None:
    source = open_covering(config)
    learning, judged = source.learning(1), source.validation
    first, again = learning[(5, SIDE_PX)], source.learning(1)[(5, SIDE_PX)]
    assert (first["worn"] == again["worn"]).all()
    assert (first["kinds"] == again["kinds"]).all()
    raw = {
        name: torch.from_numpy(np.stack([learning[(k, SIDE_PX)][name] for k in range(2)])) for name in ("worn", "kinds")
    }
    batch = to_batch(raw, None, torch.device("cpu"))
    net = CoverNet(CoverConfig(widths=(8, 8), bottom_dilations=(1,), passed=1, fine_dilations=(1,)))
    assert all(torch.isfinite(term) for term in net.losses("generator", batch).values())
    assert source.validation_images == len([judged[(k, 0)] for k in range(source.validation_images)])

    class Suspicious:
        def suspect(self, photo: np.ndarray, least: float) -> list[tuple[float, np.ndarray]]:
            return [(0.5, draw_face(64, 0)[1])]

    looks = open_looks(config, Suspicious)
    seen = [looks.learning(1)[(place, LOOK_PX)] for place in range(40)]
    assert {look["image"].shape for look in seen} == {(LOOK_PX, LOOK_PX, 3)}
    share = np.mean([float(look["faces"]) for look in seen])
    assert 0.3 < share < 0.9
    inside = [np.abs(look["landmarks"]).max() < 0.6 for look in seen if look["faces"]]
    assert np.mean(inside) > 0.9


class SeesOne:
    """A teacher that sees a face in the middle of every picture."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def look(self, picture: np.ndarray, threshold: float) -> np.ndarray:
        side = float(min(picture.shape[:2]))
        points = draw_face(64, 0)[1].ravel() / 128 + 0.25
        return np.array([[*(np.array([0.25, 0.25, 0.75, 0.75, *points]) * side), 0.9]], np.float32)


def test_the_second_look_learns_from_faces_of_photos_that_do_not_judge(config: CoveringConfig, tmp_path: Path) -> None:
    people = tmp_path / "people"
    people.mkdir()
    for name in ("one", "judged"):
        cv2.imwrite(str(people / f"{name}.png"), np.full((90, 120, 3), 200, np.uint8))
    judging = tmp_path / "judging.json"
    judging.write_text(json.dumps({"files": {"judged.png": {}}}))
    given = {"people": people, "judging": judging, "teacher": Path("yunet.onnx")}
    alone = config.model_copy(update={**given, "covers": None})
    (((photo, landmarks),),) = read_people(alone, SeesOne)
    assert photo.shape == (90, 120, 3)
    assert (landmarks > 0).all()
    assert landmarks[:, 1].max() < 90
    covers = write_covers(tmp_path / "covers")
    rows = list(csv.DictReader((covers / "manifest.csv").open(newline="")))
    rows[0]["split"] = "judge"
    write_rows(covers / "manifest.csv", rows)
    both = read_people(alone.model_copy(update={"covers": covers}), SeesOne)
    assert len(both) == 1 + len(rows) - 1
    assert read_people(config) == []


def test_faces_of_one_photo_are_held_out_together() -> None:
    assert held_out("images/fm_1_0.webp") == held_out("images/fm_1_3.webp")
    shares = [held_out(f"images/ccp_{k}.webp") for k in range(400)]
    assert 0.06 < np.mean(shares) < 0.2


def test_a_recipe_names_what_its_network_learns_from() -> None:
    stages = {"stages": [{"side_px": 320, "images": 10}]}
    recipe = Recipe.model_validate({"method": "cover", "covering": {"folder": "faces"}, "train": stages})
    assert isinstance(recipe.pictures, CoveringConfig)
    wrong = Recipe.model_validate({"method": "cover", "data": {"folder": "x", "holes": {"none": 1}}, "train": stages})
    with pytest.raises(InputError, match="covering"):
        _ = wrong.pictures
