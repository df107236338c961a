"""The gradient of what a search finds. There is none through the search itself, but there is one at its minimum: where
the code a minimises L(a, x), the gradient of L by a is 0 and stays 0 when the picture x moves, so that
da/dx = -H^-1 d(dL/da)/dx, with H the Hessian of L by a (the implicit function theorem; Gould et al. 2016, "On
differentiating parameterized argmin and argmax problems", section 3).

dip minimises an l1 alone, whose d(dL/da)/dx is 0 wherever it exists: for it L is latent_search's, of the same networks,
at the code that dip found.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facefill.arrays import U8
from facefill.evaluation.protocols import Case
from facefill.methods.latent_search import INSIDE, SIDE_PX, LatentSearch
from facefill.runtime.model import to_network

DAMPING = 0.003
"""Curvatures below this share of the largest count as that much: the search does not follow flat directions so far."""


def worst_direction(method: LatentSearch, case: Case) -> NDArray[np.int8]:
    """(S, S, 3) of -1, 0 and 1: the way that each level should move for the squared error inside the hole to rise.

    S is a multiple of the side that the search works at; a pixel there moves its whole block here.
    """
    small, truth = (
        torch.from_numpy(to_network(_resize(picture[None], SIDE_PX))) for picture in (case.shown, case.truth)
    )
    levels = np.repeat(case.mask[None, ..., None] * np.uint8(255), 3, -1)
    missing = torch.from_numpy(_resize(levels, SIDE_PX)[..., 0] > 0)[:, None]
    image, mask = torch.where(missing, method.hole_value, small), missing.float()
    codes = method.search(image, mask, torch.zeros(1, dtype=torch.int64)).codes
    angles = codes.clamp(-INSIDE, INSIDE).asin().requires_grad_(True)
    picture = image.clone().requires_grad_(True)
    faces = method.generator.faces(angles.sin())
    terms = LatentSearch.weigh(method, faces, method.generator.critic(faces), method.look(picture, mask))
    (slope,) = torch.autograd.grad(torch.stack(list(terms.values())).sum(), angles, create_graph=True)
    harm = ((method.generator.faces(angles.sin()) - truth) * mask).square().sum()
    (wanted,) = torch.autograd.grad(harm, angles)
    moves = _solve(slope[0], angles, wanted[0])
    (gradient,) = torch.autograd.grad(-(slope[0] * moves).sum(), picture)
    signs = gradient.sign()[0].numpy().transpose(1, 2, 0).astype(np.int8)
    return np.kron(signs, np.ones((len(case.shown) // SIDE_PX,) * 2 + (1,), np.int8))


def _resize(pictures: U8, side_px: int) -> U8:
    return np.stack([cv2.resize(one, (side_px, side_px), interpolation=cv2.INTER_AREA) for one in pictures])


def _solve(slope: Tensor, angles: Tensor, wanted: Tensor) -> Tensor:
    """H^-1 `wanted` (K,), with H the damped Hessian of what `slope` (K,) is the gradient of by `angles` (1, K)."""
    rows = [torch.autograd.grad(one, angles, retain_graph=True)[0][0] for one in slope]
    hessian = torch.stack(rows)
    values, vectors = torch.linalg.eigh((hessian + hessian.T) / 2)
    solved: Tensor = vectors @ ((vectors.T @ wanted) / values.clamp_min(DAMPING * float(values.max())))
    return solved
