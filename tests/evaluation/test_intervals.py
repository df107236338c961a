"""Intervals and distances have the values that one gets by hand, by loops, and from torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest

from facefill.evaluation.intervals import FEWEST, Statistic, _counts, bootstrap, frechet_distance, jackknife


def features(n: int = 60, width: int = 8, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(shift, 1, (n, width)) @ rng.normal(0, 0.5, (width, width))


def test_the_interval_of_a_mean_is_that_of_a_large_sample() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = bootstrap(values).estimate()
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)
    assert found == bootstrap(values).estimate()


@pytest.mark.parametrize("n", [1, 2, 5, 24, 31])
def test_the_median_of_resamples_is_the_median_of_each(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    means, medians = bootstrap(values), bootstrap(values, "median")
    assert medians.value == np.median(values)
    ordered = np.unique(np.concatenate([values, (values[:, None] + values[None]).ravel() / 2]).round(9))
    assert np.isin(medians.resampled.round(9), ordered).all()
    for most in (values.max(), values.min()):
        assert (medians.resampled == most).sum() >= (means.resampled == most).sum()


def test_fewer_than_twenty_people_have_no_interval() -> None:
    assert bootstrap(np.empty(0)).estimate().n == 0
    assert math.isnan(bootstrap(np.empty(0)).estimate().value)
    for n, people in ((1, 1), (FEWEST - 1, FEWEST - 1), (60, FEWEST - 1)):
        values = np.arange(n, dtype=float)
        found = bootstrap(values, people=[str(index % people) for index in range(n)]).estimate()
        assert (found.n, found.value) == (n, values.mean())
        assert math.isnan(found.low + found.high)
    assert not math.isnan(bootstrap(np.arange(float(FEWEST))).estimate().low)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_people_are_resampled_with_all_of_their_pictures(statistic: Statistic) -> None:
    """The same as resampling lists of pictures in a loop."""
    rng = np.random.default_rng(0)
    people = [f"p{index}" for index in rng.integers(25, size=80)]
    values = rng.normal(size=80)
    found = bootstrap(values, statistic, people)
    names = sorted(set(people))
    assert found.people == len(names)
    for row, counts in zip(found.resampled[:40], _counts(len(names))[:40], strict=True):
        drawn = [
            value
            for name, count in zip(names, counts, strict=True)
            for _ in range(count)
            for person, value in zip(people, values, strict=True)
            if person == name
        ]
        assert row == pytest.approx({"mean": np.mean, "median": np.median}[statistic](drawn))  # type: ignore[operator]


def test_pictures_of_one_person_that_are_alike_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    person = rng.normal(size=40).repeat(5)
    by_picture, by_person = (
        bootstrap(person, people=people).estimate() for people in (None, [str(index // 5) for index in range(200)])
    )
    assert by_person.high - by_person.low > 1.8 * (by_picture.high - by_picture.low)


def test_a_paired_difference_is_as_sure_as_the_difference_is_even() -> None:
    values = np.random.default_rng(0).normal(20, 5, 50)
    found = bootstrap(values + 0.5).minus(bootstrap(values))
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_the_frechet_distance_of_lines_worked_by_hand() -> None:
    """Means 0 and 3, variances 1 and 4: 3² + (1 - 2)² = 10."""
    first = np.array([[-1.0], [0.0], [1.0]])
    assert frechet_distance(first, 2 * first + 3) == pytest.approx(10)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-12)
    assert math.isnan(frechet_distance(first[:1], first))


@pytest.mark.parametrize("n", [60, 6])
def test_the_frechet_distance_agrees_with_torchmetrics(n: int) -> None:
    torch = pytest.importorskip("torch")
    fid = pytest.importorskip("torchmetrics.image.fid")
    first, second = features(n), features(n, seed=1, shift=0.7)
    parts = [torch.from_numpy(part) for values in (first, second) for part in (values.mean(0), np.cov(values.T))]
    assert frechet_distance(first, second) == pytest.approx(float(fid._compute_fid(*parts)), rel=1e-5)


def test_the_jackknife_holds_the_distance() -> None:
    first, second = features(200), features(200, seed=1, shift=0.7)
    found = jackknife(frechet_distance, first, second)
    assert found.low < found.value == frechet_distance(first, second) < found.high
    assert math.isnan(jackknife(frechet_distance, first[:10], second[:10]).low)
    assert math.isnan(jackknife(frechet_distance, first, second, [str(index % 19) for index in range(200)]).low)
