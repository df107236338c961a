"""Intervals by paired bootstrap over people, and distances between sets of features."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facefill.arrays import F64

People = Sequence[str] | NDArray[np.str_]
"""Whose picture each is, (n,)."""
Statistic = Literal["mean", "median"]

RESAMPLES = 2000
LEVEL = 0.95
FEWEST = 20
"""People below whom there is no interval: resamples of a few say little of a population."""
FOLDS = 10


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval. n: pictures in it. All nan where there is none; the interval with fewer than
    `FEWEST` people."""

    n: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Bootstrapped:
    """A statistic of n values of so many people, and of every resample; two of the same people are resampled alike."""

    n: int
    people: int
    value: float
    resampled: F64

    def estimate(self) -> Estimate:
        """Percentile interval (Efron & Tibshirani 1993, section 13.3)."""
        return _estimate(self, self.value, self.resampled)

    def minus(self, other: "Bootstrapped") -> Estimate:
        return _estimate(self, self.value - other.value, self.resampled - other.resampled)


def bootstrap(values: F64, statistic: Statistic = "mean", people: People | None = None) -> Bootstrapped:
    """Resample people with replacement, each with all of their finite values (n,), `RESAMPLES` times, seeded by their
    number alone: pictures of one person are not independent (Davison & Hinkley 1997, section 3.8).

    people: who each value belongs to; None: everybody has one.
    """
    if not len(values):
        return Bootstrapped(0, 0, math.nan, np.empty(0))
    person = np.arange(len(values)) if people is None else np.unique(people, return_inverse=True)[1]
    count = int(person.max()) + 1
    weights = _counts(count)[:, person]
    if statistic == "mean":
        means = weights.astype(np.float64) @ values / weights.sum(axis=1)
        return Bootstrapped(len(values), count, float(values.mean()), means)
    order = np.argsort(values, kind="stable")
    ranks = np.cumsum(weights[:, order], axis=1, dtype=np.int32)
    lower, upper = ((ranks > middle[:, None]).argmax(axis=1) for middle in ((ranks[:, -1] - 1) // 2, ranks[:, -1] // 2))
    middles = (values[order][lower] + values[order][upper]) / 2
    return Bootstrapped(len(values), count, float(np.median(values)), middles)


@lru_cache(maxsize=32)
def _counts(n: int) -> NDArray[np.uint16]:
    """How often each of n people is in each resample, (RESAMPLES, n)."""
    seed = int.from_bytes(hashlib.sha256(f"bootstrap/{n}".encode()).digest()[:8], "big")
    drawn = np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))
    places = drawn + n * np.arange(RESAMPLES)[:, None]
    return np.bincount(places.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n).astype(np.uint16)


def _estimate(of: Bootstrapped, value: float, resampled: F64) -> Estimate:
    if of.people < FEWEST:
        return Estimate(of.n, value, math.nan, math.nan)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(of.n, value, float(low), float(high))


def jackknife(distance: Callable[[F64, F64], float], first: F64, second: F64, people: People | None = None) -> Estimate:
    """A distance of two paired sets (n, D), with the interval of a delete-a-group jackknife (Kott 2001); a person is
    left out with all of their pictures.

    Resampling with replacement would bias such distances: doubles make a set look narrower than it is.
    """
    n, value = len(first), distance(first, second)
    person = np.arange(n) if people is None else np.unique(people, return_inverse=True)[1]
    if not n or person.max() + 1 < FEWEST:
        return Estimate(n, value, math.nan, math.nan)
    folds = person % FOLDS
    left = np.array([distance(first[folds != fold], second[folds != fold]) for fold in range(FOLDS)])
    error = math.sqrt((FOLDS - 1) / FOLDS * float(((left - left.mean()) ** 2).sum()))
    return Estimate(n, value, value - 1.96 * error, value + 1.96 * error)


def frechet_distance(first: F64, second: F64) -> float:
    """Between Gaussians with the means and covariances of two sets (n, D) (Heusel et al. 2017, equation 6).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2); covariances with n - 1. nan for sets of one.
    """
    if min(len(first), len(second)) < 2:
        return math.nan
    first, second = first.astype(np.float64), second.astype(np.float64)
    shift = first.mean(axis=0) - second.mean(axis=0)
    # With A, B the centred sets over sqrt(n - 1), the last term's trace is the sum of the singular values of A B^T:
    # exact, without the square root of a singular matrix.
    left, right = ((values - values.mean(axis=0)) / math.sqrt(len(values) - 1) for values in (first, second))
    if max(len(left), len(right)) < left.shape[1]:
        small = left @ right.T
    else:  # of R, triangular with R^T R = V^T V, which is smaller
        first, second = (np.linalg.qr(values)[1][: values.shape[1]] for values in (left, right))
        small = first @ second.T
    shared = float(np.linalg.svd(small, compute_uv=False).sum())
    return float(shift @ shift + (left**2).sum() + (right**2).sum() - 2 * shared)
