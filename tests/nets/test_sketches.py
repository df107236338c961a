"""Sketches of mouths and eyes: kept while *small* learns, painted where it sees none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from facefill.nets.hints import KINDS, TURNS
from facefill.nets.sketches import EYES, MOUTH, Sketches, trace

POINTS = torch.tensor([[[96.0, 110], [160, 110], [128, 140], [104, 170], [152, 170]]])
CLOSED = torch.tensor([[1.0, 0, 0]])


def face(lips: float = -0.4) -> Tensor:
    """A grey small picture (1, 3, 64, 64) with red lips, darker below, and dark irises in pale eyes."""
    small = torch.zeros(1, 3, 64, 64)
    small[:, 1:, 41:44, 26:38] = lips / 2
    small[:, 1:, 44:46, 27:37] = lips
    for x in (24, 40):
        small[:, :, 25:30, x - 5 : x + 5] = 0.2
        small[:, :, 25:30, x - 2 : x + 2] = -0.5
    return small


def taught(times: int = 3000, points: Tensor = POINTS) -> Sketches:
    sketches = Sketches()
    for _ in range(times // 100):
        sketches.learn(face().expand(100, -1, -1, -1), points.expand(100, -1, -1))
    return sketches


def test_a_part_has_a_frame_of_its_own() -> None:
    places = MOUTH.places(POINTS, torch.zeros(1, 1, 64, 64))
    middle, corner = places[0, 42, 32], places[0, 42, 38]
    assert middle.tolist() == pytest.approx([0.375 / 12 / 0.75, -0.125 / 12 / 0.5], abs=1e-5)
    assert corner.tolist() == pytest.approx([6.375 / 12 / 0.75, float(middle[1])], abs=1e-5)
    window = MOUTH.window(places)
    assert window[0, 0, 42, 32] == 1
    assert not window[..., :36, :].any()
    turned = torch.stack([255 - POINTS[..., 1], POINTS[..., 0]], -1)  # what goes right goes down
    torch.testing.assert_close(
        MOUTH.places(turned, torch.zeros(1, 1, 64, 64))[0], places[0].transpose(0, 1).flip(1), atol=1e-5, rtol=0
    )


def test_what_is_cut_out_of_a_picture_is_painted_back_where_it_was() -> None:
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    picture = torch.nn.functional.interpolate(picture[..., :8, :8], 64, mode="bicubic")
    for part in (MOUTH, *EYES):
        places = part.places(POINTS, picture)
        back = torch.nn.functional.grid_sample(part.cut(picture, POINTS), places, align_corners=True)
        inside = part.window(places).expand_as(back) > 0.5
        assert inside.sum() > 50
        torch.testing.assert_close(back[inside], picture[inside], atol=0.03, rtol=0)


def test_the_means_become_what_is_seen_for_its_kind_and_turn_alone() -> None:
    sketches = taught()
    mouths = sketches.mouths.unflatten(0, (len(KINDS), len(TURNS)))
    assert mouths[0, 0].std() > 0.03
    assert not mouths[1:].any()
    assert not mouths[:, 1:].any()
    torch.testing.assert_close(mouths[0, 0], mouths[0, 0].flip(2), atol=1e-6, rtol=0)
    left, right = sketches.eyes.unflatten(0, (2, len(TURNS)))[:, 0]
    torch.testing.assert_close(left, right.flip(2), atol=1e-6, rtol=0)


def test_the_kept_eyes_are_those_of_typical_faces_both_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means of many are soft; one with a patch over an eye, which is further from them, does not count."""
    monkeypatch.setattr("facefill.nets.sketches.TYPICAL_EYES", 2)
    typical, odd = face(), face()
    typical[:, :, 27, 23:25] = -0.9
    odd[:, :, 24:31, 20:28] = 0.9
    faces = torch.cat([odd, typical, odd, typical])
    sketches = taught()
    before = sketches.eyes.clone()
    sketches.keep_typical_eyes(faces, POINTS.expand(4, -1, -1))
    alone = taught()
    alone.keep_typical_eyes(typical, POINTS)
    left, right = sketches.eyes.unflatten(0, (2, len(TURNS)))[:, 0]
    torch.testing.assert_close(left, alone.eyes[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(left, right.flip(2), atol=1e-6, rtol=0)
    assert (left - before[0]).abs().max() > 0.05


def test_a_hidden_mouth_and_hidden_eyes_are_painted_in_the_tone_of_the_skin() -> None:
    sketches, tone = taught(), torch.full((1, 3, 64, 64), 0.3)
    told = torch.zeros(1, 2, 64, 64)
    told[:, :, 24:] = 1
    painted = sketches.paint(torch.zeros(1, 3, 64, 64), tone, POINTS, CLOSED, told)
    assert not painted[..., :24, :].any()
    assert not painted[..., 50:, :].any()
    assert painted[0, 0, 45, 32] > painted[0, 1, 45, 32] + 0.1  # lips are red
    assert painted[0, 1, 27, 24] < painted[0, 1, 27, 20] - 0.1  # irises are dark
    assert float(painted[0, 0, 40, 31]) == pytest.approx(0.3, abs=0.1)
    eyes_only = sketches.paint(
        torch.zeros(1, 3, 64, 64), tone, POINTS, CLOSED, told * torch.tensor([0, 1])[:, None, None]
    )
    assert not eyes_only[..., 36:, :].any()
    torch.testing.assert_close(eyes_only[..., :34, :], painted[..., :34, :])


def test_a_smile_is_painted_more_clearly_than_its_mean() -> None:
    sketches, empty = Sketches(), torch.zeros(1, 3, 64, 64)
    sketches.mouths.fill_(0.1)
    told = torch.ones(1, 2, 64, 64)
    closed, smiling = (
        sketches.paint(empty, empty, POINTS, kinds, told)[0, 0, 42, 32] for kinds in torch.eye(3)[:2, None]
    )
    assert smiling / closed == pytest.approx(2.0 / 1.2)


def test_a_head_that_is_turned_the_other_way_gets_the_mirrored_sketches() -> None:
    sketches = Sketches()
    generator = torch.Generator().manual_seed(0)
    sketches.mouths.copy_(torch.rand(sketches.mouths.shape, generator=generator))
    sketches.eyes.copy_(torch.rand(sketches.eyes.shape, generator=generator))
    points = POINTS.clone()
    points[0, 2, 0] += 20
    mirrored = torch.stack([255 - points[..., 0], points[..., 1]], -1)[:, [1, 0, 2, 4, 3]]
    told, empty = torch.ones(1, 2, 64, 64), torch.zeros(1, 3, 64, 64)
    one, other = (sketches.paint(empty, empty, at, CLOSED, told) for at in (points, mirrored))
    torch.testing.assert_close(one.flip(3), other, atol=1e-5, rtol=0)
    assert (one - other).abs().max() > 0.1


def test_the_truths_own_sketch_shows_its_mouth_softly_and_differs_with_the_seed() -> None:
    truth, told = face(), torch.ones(1, 2, 64, 64)
    told[..., :30] = 0
    one, same, other = (
        trace(torch.zeros(1, 3, 64, 64), truth, POINTS, told, torch.tensor([seed])) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not one[..., :30].any()
    assert one[0, 0, 45, 32] > one[0, 1, 45, 32] + 0.1
    sharp, soft = truth[0, 1, 41:48, 32].diff().abs().max(), one[0, 1, 41:48, 32].diff().abs().max()
    assert soft < sharp
