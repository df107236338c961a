"""What judges must not have been learnt from: copies by their pictures, and the same people by an embedder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facefill.datasets.against import find_nearest
from facefill.datasets.cache import list_entries
from facefill.datasets.looking import Rules, look_at
from facefill.datasets.prepare import Against, prepare
from facefill.evaluation.features import Embedder
from tests.evaluation.embedder import write_embedder
from tests.faces import draw_photo
from tests.toy_datasets import KnownPhotos, rows_of, save, write_dataset

RULES = Rules(min_side_px=60)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Twelve faces to learn from, and six to judge with: the second is the mirrored, smaller copy of the fifth."""
    learnt, judged = tmp_path_factory.mktemp("learnt"), tmp_path_factory.mktemp("judged")
    write_dataset(learnt, 12, side=256)
    write_dataset(judged, 6, side=256)
    for index in range(6):
        face = np.asarray(Image.open(learnt / "train" / "face004.png"))
        other = cv2.resize(face[:, ::-1], (128, 128), interpolation=cv2.INTER_AREA)
        rng = np.random.default_rng(index)
        noise = np.clip(rng.normal(128, 60, (256, 256, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(other if index == 1 else noise).save(judged / "train" / f"face{index:03d}.png")
    return learnt, judged


def test_a_mirrored_copy_is_found_without_an_embedder(sets: tuple[Path, Path]) -> None:
    found = find_nearest(*(list_entries(folder, None) for folder in sets[::-1]))
    assert [one.copy for one in found] == ["", "face004.png", "", "", "", ""]
    assert found[1].alike > 0.94
    assert "face004.png: the same picture" in found[1].leaks()
    assert all(one.nearest == "" for one in found)


def test_the_nearest_by_an_embedder_is_that_of_a_naive_search(sets: tuple[Path, Path], tmp_path: Path) -> None:
    embedder = Embedder(write_embedder(tmp_path / "tiny.onnx"))
    judged, learnt = (list_entries(folder, None) for folder in sets[::-1])
    found = find_nearest(judged, learnt, embedder.look)

    def vector(entry: object) -> np.ndarray:
        face = np.asarray(Image.open(entry.path).resize((256, 256), Image.Resampling.LANCZOS))  # type: ignore[attr-defined]
        return embedder.look(face[None], entry.landmarks[None])[0]  # type: ignore[attr-defined]

    for entry, one in zip(judged[2:], found[2:], strict=True):
        cosines = {other.row["file"]: float(vector(entry) @ vector(other)) for other in learnt}
        assert one.nearest == max(cosines, key=cosines.__getitem__)
        assert one.cosine == pytest.approx(cosines[one.nearest], abs=1e-5)
    near = max(one.cosine for one in found if not one.copy)
    assert [bool(one.leaks(near + 0.01)) for one in found] == [bool(one.copy) for one in found]
    assert all("too near" in one.leaks(-1) for one in found if not one.copy)


def test_prepare_leaves_out_what_another_dataset_holds(tmp_path: Path) -> None:
    known, photos = KnownPhotos(), []
    for seed in range(4):
        pixels, landmarks = draw_photo(300, 160, 2, seed)
        photos.append(save(known, tmp_path / "photos" / f"p{seed}.png", pixels, landmarks))
    look = partial(look_at, finder=known, rules=RULES)
    prepare(photos[:2], tmp_path / "learnt", look, RULES)
    report = prepare(photos[1:], tmp_path / "judged", look, RULES, against=Against(tmp_path / "learnt"))
    assert report.dropped == {"known": 2}
    assert sum(report.kept.values()) == 4
    dropped = rows_of(tmp_path / "judged" / "dropped.csv")
    assert all("the same picture" in row["detail"] for row in dropped)
    audit = {row["file"]: row for row in rows_of(tmp_path / "judged" / "against.csv")}
    assert len(audit) == 6
    assert {file for file, row in audit.items() if row["copy"]} == {row["file"] for row in dropped}
