"""Intervals and distances have the values that one gets by hand, by loops, and from torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest

from facefill.evaluation.statistics import bootstrap, frechet_distance, jackknife, kernel_distance


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


def test_nothing_and_one_have_no_interval() -> None:
    assert bootstrap(np.empty(0)).estimate().n == 0
    assert math.isnan(bootstrap(np.empty(0)).estimate().value)
    one = bootstrap(np.array([3.0])).estimate()
    assert (one.n, one.value) == (1, 3.0)
    assert math.isnan(one.low)


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


def test_the_kernel_distance_is_that_of_loops_and_of_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    kid = pytest.importorskip("torchmetrics.image.kid")
    first, second = features(9), features(9, seed=1, shift=0.7)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 8 + 1) ** 3)

    within = sum(kernel(v[i], v[j]) for v in (first, second) for i in range(9) for j in range(9) if i != j) / (9 * 8)
    across = sum(kernel(a, b) for a in first for b in second) / 81
    assert kernel_distance(first, second) == pytest.approx(within - 2 * across)
    theirs = float(kid.poly_mmd(torch.from_numpy(first), torch.from_numpy(second)))
    assert kernel_distance(first, second) == pytest.approx(theirs)


def test_the_jackknife_holds_the_distance() -> None:
    first, second = features(200), features(200, seed=1, shift=0.7)
    found = jackknife(frechet_distance, first, second)
    assert found.low < found.value == frechet_distance(first, second) < found.high
    assert math.isnan(jackknife(frechet_distance, first[:10], second[:10]).low)
