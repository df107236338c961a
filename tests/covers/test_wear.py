"""What `wear` promises: seeded, untouched outside the cover, true masks, covers where they belong."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facefill.covers.head import Head, estimate_light, find_grid, surface
from facefill.covers.patterns import WEIGHTS, pattern
from facefill.covers.wear import BESIDE, COVERAGES, DAMAGE, DRAW, FACE_MASKS, KINDS, SHADOW_REACH, wear
from facefill.errors import InputError
from tests.faces import draw_face

MASKS = FACE_MASKS


def at(mask, points):
    """The mask's values at points (x, y)."""
    x, y = np.rint(points).astype(int).T
    return mask[y, x]


def turned(landmarks, yaw=0.0, roll_degrees=0.0, size=256):
    """Landmarks with the nose shifted sideways by a share of the eye distance, then turned about the centre."""
    points = landmarks.copy()
    points[2, 0] += yaw * (landmarks[1, 0] - landmarks[0, 0])
    matrix = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), -roll_degrees, 1)
    return points @ matrix[:, :2].T + matrix[:, 2]


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes(kind):
    face, landmarks = draw_face(128, 1)
    first, second = (wear(face, landmarks, rng(7), kind) for _ in range(2))
    assert np.array_equal(first.face, second.face)
    assert np.array_equal(first.mask, second.mask)
    assert not np.array_equal(first.face, wear(face, landmarks, rng(8), kind).face)


def test_what_was_drawn_before_changes_nothing():
    face, landmarks = draw_face(96, 1)
    alone = wear(face, landmarks, rng(3)).face
    for seed in range(20):
        wear(face, landmarks, rng(seed))
    assert np.array_equal(alone, wear(face, landmarks, rng(3)).face)


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_are_unchanged(kind):
    face, landmarks = draw_face(128, 2)
    kept = face.copy(), landmarks.copy()
    worn = wear(face, landmarks, rng(), kind)
    assert np.array_equal(face, kept[0])
    assert np.array_equal(landmarks, kept[1])
    assert not np.shares_memory(worn.face, face)
    face.flags.writeable = False
    wear(face, landmarks, rng(), kind)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(list(KINDS)), size=st.sampled_from([64, 97, 128, 160]))
def test_outside_the_mask_only_a_soft_shadow_near_it_changes_the_face(seed, kind, size):
    face, landmarks = draw_face(size, seed % 5)
    worn = wear(face, landmarks, rng(seed), kind)
    change = face.astype(int) - worn.face.astype(int)
    outside = change[~worn.mask]
    assert outside.min() >= 0, "a shadow never brightens"
    assert outside.max() <= 40
    reach = int(np.ceil((SHADOW_REACH + 0.05) * Head.from_landmarks(landmarks, size).scale * 1.5)) + 3
    near = cv2.dilate(worn.mask.astype(np.uint8), np.ones((2 * reach + 1,) * 2))
    assert not change[near == 0].any()


@pytest.mark.parametrize("kind", KINDS)
def test_every_masked_pixel_belongs_to_a_cover_and_some_change(kind):
    face, landmarks = draw_face(128, 3)
    worn = wear(face, landmarks, rng(5), kind, coverage="full")
    assert worn.kind == kind
    assert worn.mask.dtype == bool
    assert worn.mask.shape == (128, 128)
    assert 0.01 < worn.mask.mean() < 0.7
    changed = (worn.face != face).any(-1)
    assert changed[worn.mask].mean() > 0.85


@pytest.mark.parametrize("kind", MASKS)
def test_masks_cover_nose_and_mouth_but_no_eye(kind):
    for seed in range(25):
        face, landmarks = draw_face(128, seed % 4)
        mask = wear(face, landmarks, rng(seed), kind, coverage="full").mask
        assert at(mask, landmarks[2:]).all(), seed
        assert not at(mask, landmarks[:2]).any(), seed


@pytest.mark.parametrize("kind", ["bandana", "gaiter", "scarf"])
def test_a_cloth_drawn_up_to_the_eyes_begins_just_below_the_lids(kind):
    for seed in range(10):
        face, landmarks = draw_face(256, seed % 4)
        mask = wear(face, landmarks, rng(seed), kind, coverage="high").mask
        apart = landmarks[1, 0] - landmarks[0, 0]
        for x, y in landmarks[:2]:
            begins = np.flatnonzero(mask[:, round(x)])[0]
            assert 0.04 < (begins - y) / apart < 0.33, seed


def test_what_only_training_draws_is_in_no_table_of_holes():
    assert set(DRAW) - set(KINDS) == {"helmet strap"}
    assert "high" not in COVERAGES


def test_coverage_says_what_stays_free():
    face, landmarks = draw_face(128, 0)
    for seed in range(15):
        low = wear(face, landmarks, rng(seed), "surgical", coverage="nose-out").mask
        assert at(low, landmarks[3:]).all()
        assert not at(low, landmarks[2:3]).any()
        chin = wear(face, landmarks, rng(seed), "surgical", coverage="chin").mask
        assert not at(chin, landmarks[2:].mean(0)[None]).any()


def test_sunglasses_cover_the_eyes_and_not_the_mouth():
    for seed in range(20):
        face, landmarks = draw_face(128, seed % 4)
        mask = wear(face, landmarks, rng(seed), "sunglasses").mask
        assert at(mask, landmarks[:2]).all()
        assert not at(mask, landmarks[3:]).any()


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_pattern_fills_a_sheet_and_differs_with_the_seed(name):
    sheets = [pattern(rng(seed), 60, 90, name) for seed in (1, 1, 2)]
    assert sheets[0].shape == (60, 90, 3)
    assert sheets[0].dtype == np.uint8
    assert np.array_equal(sheets[0], sheets[1])
    assert not np.array_equal(sheets[0], sheets[2])
    assert name == "plain" or sheets[0].std((0, 1)).max() > 0.5


def test_there_are_more_than_thirty_patterns_and_most_cloth_is_plain():
    assert len(WEIGHTS) > 30
    assert max(WEIGHTS, key=WEIGHTS.__getitem__) == "plain"


def test_face_masks_are_the_most_frequent_covers_and_all_kinds_have_a_name():
    assert sum(KINDS[kind] for kind in FACE_MASKS) > 0.7
    assert {*FACE_MASKS, *DAMAGE, *BESIDE} <= set(KINDS)
    assert not set(FACE_MASKS) & {*DAMAGE, *BESIDE}


def test_lost_blocks_are_square_and_sharp():
    face, landmarks = draw_face(128, 0)
    for seed in range(10):
        worn = wear(face, landmarks, rng(seed), "blocks")
        whole = worn.mask.reshape(32, 4, 32, 4).mean((1, 3))
        assert set(np.unique(whole)) <= {0.0, 1.0}
        assert np.array_equal(worn.face[~worn.mask], face[~worn.mask])


@pytest.mark.parametrize("kind", ["text", "scratches", "blocks"])
def test_damage_casts_no_shadow(kind):
    face, landmarks = draw_face(128, 0)
    for seed in range(6):
        worn = wear(face, landmarks, rng(seed), kind)
        assert np.array_equal(worn.face[~worn.mask], face[~worn.mask])


def test_a_shield_leaves_most_of_the_face_to_be_seen():
    face, landmarks = draw_face(128, 0)
    shares = [wear(face, landmarks, rng(seed), "shield").mask.mean() for seed in range(12)]
    assert 0.01 < np.mean(shares) < 0.35


def test_a_microphone_hides_something_below_the_nose_and_no_eye():
    face, landmarks = draw_face(128, 0)
    for seed in range(12):
        mask = wear(face, landmarks, rng(seed), "microphone").mask
        assert mask[int(landmarks[2, 1]) :].any()
        assert not at(mask, landmarks[:2]).any()


def test_a_scarf_is_thick_and_reaches_the_neck():
    face, landmarks = draw_face(128, 0)
    for seed in range(8):
        mask = wear(face, landmarks, rng(seed), "scarf", coverage="full").mask
        assert mask[-1, 50:78].all()


@pytest.mark.parametrize("corner", [(0, 0), (3, 5)])
def test_jpegs_grid_is_found_where_it_lies_and_its_quality_about(corner):
    face, _ = draw_face(256, 0)
    noisy = np.clip(face + rng().normal(0, 8, face.shape), 0, 255).astype(np.uint8)
    for quality in (25, 50):
        coded = cv2.imdecode(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
        grey = cv2.cvtColor(coded, cv2.COLOR_RGB2GRAY).astype(np.float32)
        x, y = corner
        found = find_grid(grey[40:200, 30:220], 30 - x, 40 - y)
        assert found is not None
        assert found[:2] == (-x % 8, -y % 8)
        assert abs(found[2] - quality) <= 25
    assert find_grid(cv2.cvtColor(noisy, cv2.COLOR_RGB2GRAY).astype(np.float32), 0, 0) is None


def test_a_hand_covers_most_of_the_mouth():
    for seed in range(20):
        face, landmarks = draw_face(128, seed % 4)
        mask = wear(face, landmarks, rng(seed), "hand").mask
        (left, top), (right, bottom) = landmarks[3:].min(0).astype(int), landmarks[3:].max(0).astype(int)
        assert mask[top - 2 : bottom + 3, left : right + 1].mean() > 0.5, seed


@pytest.mark.parametrize("kind", sorted(set(MASKS) - {"half-mask"}))  # its filters stand out like a nose
def test_a_turned_head_shows_more_of_the_mask_on_the_near_side(kind):
    face, landmarks = draw_face(192, 0)
    middle = landmarks[:, 0].mean()
    shares = []
    for yaw in (-0.3, 0.3):
        columns = [
            np.nonzero(wear(face, turned(landmarks, yaw), rng(seed), kind, coverage="full").mask)[1]
            for seed in range(8)
        ]
        shares.append(np.mean([(near > middle).mean() for near in columns]))
    assert shares[0] - shares[1] > 0.08


@pytest.mark.parametrize("degrees", [-25, 25])
def test_the_mask_rolls_with_the_head(degrees):
    face, landmarks = draw_face(192, 0)
    upright = wear(face, landmarks, rng(4), "surgical", coverage="full").mask.astype(np.float32)
    rolled = wear(face, turned(landmarks, 0, degrees, 192), rng(4), "surgical", coverage="full").mask
    matrix = cv2.getRotationMatrix2D((95.5, 95.5), -degrees, 1)
    expected = cv2.warpAffine(upright, matrix, (192, 192)) > 0.5
    assert (rolled & expected).sum() / (rolled | expected).sum() > 0.85


def test_yaw_and_pitch_of_a_known_head_are_found():
    truth = Head(256, np.array([128.0, 121.0]), np.array([1.0, 0.0]), np.array([0.0, 1.0]), 64.0, 1.0, 0.35, 0.1)
    points = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.618, 0.55], [-0.4, 1.03, 0.25], [0.4, 1.03, 0.25]])
    found = Head.from_landmarks(truth.project(points), 256)
    assert found.yaw == pytest.approx(0.35, abs=0.06)
    assert found.pitch == pytest.approx(0.1, abs=0.06)
    assert found.scale == pytest.approx(64, rel=0.06)
    mirrored = truth.project(points)[[1, 0, 2, 4, 3]] * [-1, 1] + [256, 0]
    assert Head.from_landmarks(mirrored, 256).yaw == pytest.approx(-found.yaw, abs=0.02)


@pytest.mark.parametrize("size", [64, 100, 199, 256, 512])
def test_any_size_will_do(size):
    face, landmarks = draw_face(size, 1)
    for kind in KINDS:
        worn = wear(face, landmarks, rng(1), kind)
        assert worn.face.shape == (size, size, 3)
        assert worn.mask.any()


@pytest.mark.parametrize("kind", KINDS)
def test_plain_dark_and_bright_pictures_are_fine(kind):
    _, landmarks = draw_face(96, 0)
    for level in (0, 4, 128, 255):
        worn = wear(np.full((96, 96, 3), level, np.uint8), landmarks, rng(2), kind)
        assert worn.mask.any()


def test_a_grey_picture_stays_grey():
    face, landmarks = draw_face(128, 0)
    grey = cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    for seed in range(10):
        worn = wear(grey, landmarks, rng(seed)).face.astype(int)
        assert np.median(worn.max(-1) - worn.min(-1)) <= 2


def test_a_dim_picture_gets_a_dim_cover():
    face, landmarks = draw_face(128, 0)
    means = [
        np.mean([w.face[w.mask].mean() for w in (wear(f, landmarks, rng(s), "surgical") for s in range(12))])
        for f in (face, face // 3)
    ]
    assert means[1] < 0.7 * means[0]


def test_light_comes_from_the_brighter_side():
    face, landmarks = draw_face(128, 0)
    ramp = np.linspace(0.3, 1, 128)[None, :, None]
    head = Head.from_landmarks(landmarks, 128)
    right, left = ((face * r).astype(np.uint8) for r in (ramp, ramp[:, ::-1]))
    lights = [np.mean([estimate_light(f, head, rng(s)).toward[0] for s in range(9)]) for f in (right, left)]
    assert lights[0] > 0.1 > -0.1 > lights[1]


def test_a_blurred_picture_gets_a_blurred_cover():
    face, landmarks = draw_face(128, 0)
    head = Head.from_landmarks(landmarks, 128)
    noisy = np.clip(face + rng().normal(0, 12, face.shape), 0, 255).astype(np.uint8)
    soft = cv2.GaussianBlur(noisy, (0, 0), 2.5)
    assert estimate_light(soft, head, rng()).blur_px > estimate_light(noisy, head, rng()).blur_px + 0.2
    assert estimate_light(noisy, head, rng()).noise > estimate_light(soft, head, rng()).noise + 2


def test_kinds_are_drawn_by_weight():
    face, landmarks = draw_face(64, 0)
    source = rng(0)
    counts = dict.fromkeys(KINDS, 0)
    for _ in range(250):
        counts[wear(face, landmarks, source).kind] += 1
    assert list(DRAW)[: len(KINDS)] == list(KINDS)
    assert sum(counts[kind] for kind in FACE_MASKS) > 160
    assert max(counts, key=counts.__getitem__) in ("surgical", "cloth")
    assert sum(value > 0 for value in counts.values()) > len(KINDS) * 0.7


def test_the_skin_is_symmetric_and_the_nose_stands_out():
    angles, heights = np.linspace(-1.5, 1.5, 31)[None], np.linspace(-0.5, 2.5, 20)[:, None]
    points = surface(angles, heights)
    assert np.allclose(points[..., 0], -points[:, ::-1, 0])
    assert np.allclose(points[..., 2], points[:, ::-1, 2])
    assert surface(np.zeros(1), np.array([0.6]))[0, 2] > surface(np.zeros(1), np.array([0.0]))[0, 2] + 0.2


GOOD = np.array([[96.0, 122], [160, 122], [128, 156], [102, 188], [154, 188]])


@pytest.mark.parametrize(
    "landmarks",
    [
        GOOD[:4],
        GOOD * np.nan,
        GOOD[[1, 0, 2, 4, 3]],
        GOOD[[3, 4, 2, 0, 1]],
        np.concatenate([GOOD[:1], GOOD[:1] + 3, GOOD[2:]]),
        GOOD + 400,
        GOOD - 400,
    ],
    ids=["four", "nan", "swapped", "upside-down", "eyes-together", "far-right", "far-left"],
)
def test_implausible_landmarks_are_refused(landmarks):
    face, _ = draw_face(256, 0)
    with pytest.raises(InputError):
        wear(face, landmarks, rng())


@pytest.mark.parametrize(
    "face",
    [
        np.zeros((256, 200, 3), np.uint8),
        np.zeros((256, 256), np.uint8),
        np.zeros((256, 256, 3), np.float32),
        np.zeros((32, 32, 3), np.uint8),
        "face.png",
    ],
    ids=["oblong", "flat", "float", "tiny", "name"],
)
def test_faces_that_are_none_are_refused(face):
    with pytest.raises(InputError):
        wear(face, GOOD, rng())


def test_unknown_names_are_refused_with_the_nearest():
    face, landmarks = draw_face(64, 0)
    with pytest.raises(InputError, match="did you mean 'surgical'"):
        wear(face, landmarks, rng(), "surgicl")
    with pytest.raises(InputError, match="coverage"):
        wear(face, landmarks, rng(), "surgical", coverage="half")
    assert sum(COVERAGES.values()) == pytest.approx(1)
    assert sum(KINDS.values()) == pytest.approx(1)


def test_a_cover_that_misses_the_picture_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    face, landmarks = draw_face(64, 1)
    monkeypatch.setitem(DRAW, "hair", lambda *_: [])
    kinds = {"hair": 3.0, "sunglasses": 1.0}
    drawn = [wear(face, landmarks, np.random.default_rng(seed), kinds=kinds) for seed in range(4)]
    assert all(worn.kind == "sunglasses" and worn.mask.any() for worn in drawn)
    with pytest.raises(InputError, match="misses"):
        wear(face, landmarks, np.random.default_rng(0), kind="hair")
