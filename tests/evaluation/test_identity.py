"""Alignment, partners and verification, by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from facefill.errors import InputError
from facefill.evaluation.features import SIDE_PX, TEMPLATE, Embedder, accept_from, align, partners, verify
from tests.evaluation.embedder import write_embedder
from tests.faces import draw_face
from tests.networks import write_inpainting


def test_landmarks_on_the_template_leave_the_face_alone() -> None:
    face, _ = draw_face(SIDE_PX, 0)
    assert (align(face, TEMPLATE) == face).all()


def test_a_turned_and_enlarged_face_comes_back_upright() -> None:
    import cv2

    face, _ = draw_face(224, 0)
    small = align(face, TEMPLATE * 2 + 0.5)
    matrix = cv2.getRotationMatrix2D((111.5, 111.5), 25, 0.9)
    turned = cv2.warpAffine(face, matrix, (224, 224), flags=cv2.INTER_CUBIC)
    again = align(turned, (TEMPLATE * 2 + 0.5) @ matrix[:, :2].T + matrix[:, 2])
    inner = np.s_[20:-20, 20:-20]
    assert np.abs(again[inner].astype(int) - small[inner]).mean() < 3


def test_partners_are_other_pictures_of_the_same_person() -> None:
    found = partners(["a", "b", "a", "", "a", ""], [f"{index}.png" for index in range(6)])
    assert found[1] == found[3] == found[5] == -1
    for index in (0, 2, 4):
        assert found[index] in {0, 2, 4} - {index}


def test_partners_do_not_depend_on_the_order() -> None:
    files, identities = [f"{index}.png" for index in range(8)], list("aaaabbbb")
    there = [files[other] for other in partners(identities, files)]
    back = partners(identities[::-1], files[::-1])
    assert [files[::-1][other] for other in back][::-1] == there


def test_the_threshold_is_passed_by_the_rate_of_true_strangers_whatever_a_method_draws() -> None:
    """60 people with two pictures: of their 120 x 118 / 2 pairs of strangers 1 % may pass, 70."""
    rng = np.random.default_rng(0)
    people = rng.normal(size=(60, 16)).repeat(2, axis=0) + 0.4 * rng.normal(size=(120, 16))
    truths = (people / np.linalg.norm(people, axis=1, keepdims=True)).astype(np.float32)
    identities = [str(index // 2) for index in range(120)]
    partner = np.arange(120) ^ 1
    threshold = accept_from(truths, identities, 0.01)
    scores = truths @ truths.T
    strangers = [scores[i, j] for i in range(120) for j in range(i) if identities[i] != identities[j]]
    assert threshold == pytest.approx(np.sort(strangers)[::-1][70])
    assert math.isnan(accept_from(truths, identities, 1e-4))
    accepted = verify(truths, truths, partner, threshold)
    assert (accepted == (scores[np.arange(120), partner] > threshold)).all()
    assert accepted.mean() > 0.9
    first = verify(-truths[:7], truths, partner, threshold)  # faces that are like nobody
    assert (first == 0).all()
    assert len(first) == 7


def test_faces_without_a_partner_are_neither_accepted_nor_refused() -> None:
    vectors = np.eye(40, dtype=np.float32)
    assert np.isnan(verify(vectors, vectors, np.full(40, -1), 0.5)).all()
    assert np.isnan(verify(vectors, vectors, np.arange(40), math.nan)).all()
    assert math.isnan(accept_from(vectors, [""] * 40, 0.1))


def test_an_embedder_runs_on_our_engine(tmp_path: Path) -> None:
    embedder = Embedder(write_embedder(tmp_path / "e.onnx"))
    face, landmarks = draw_face(128, 0)
    found = embedder.look(np.stack([face, face[:, ::-1]]), np.stack([landmarks, landmarks]))
    assert found.shape == (2, embedder.width)
    assert np.linalg.norm(found, axis=1) == pytest.approx([1, 1])


def test_files_that_are_no_embedder(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a network")
    other = write_inpainting(tmp_path / "other.onnx")
    for path in (tmp_path / "gone.onnx", tmp_path / "text.onnx", other):
        with pytest.raises(InputError):
            Embedder(path)
