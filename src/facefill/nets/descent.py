"""BFGS for many small problems side by side."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

SHORTER = 0.4
"""How far the next step goes after one that raised the loss, of that one's length."""


class Rows(NamedTuple):
    """What is known of each problem that still moves; (n, ...) each."""

    place: Tensor
    """Which problem it is."""
    values: Tensor
    """The variables with the lowest loss so far, (n, D)."""
    loss: Tensor
    gradient: Tensor
    inverse: Tensor
    """Estimate of the inverse Hessian so far, (n, D, D)."""
    reach: Tensor
    """Share of a whole step that is tried next."""
    first: Tensor
    """The loss at the start."""
    mark: Tensor
    """The loss when it had last fallen by enough."""
    idle: Tensor
    """Iterations since then."""


def descend(
    loss_of: Callable[[Tensor, Tensor], Tensor], start: Tensor, iterations: int, patience: int, better: float
) -> tuple[Tensor, Tensor]:
    """Minimise over each row of `start` (N, D), by itself (Nocedal & Wright 2006, algorithm 6.1).

    Where the loss is a network's, matrices of D x D cost nothing beside it, and with them about a hundred gradients do
    what Adam needs a thousand for. There is no line search: a step that does not lower the loss is not taken, what it
    taught of the curvature is kept, and the next one is shorter.
    loss_of: variables (n, D) and which rows they are (n,), to a loss for each; only its gradient in the first is used.

    Returns the variables with the lowest loss (N, D), and how many gradients each row took (N,). A row leaves that
    within `patience` of them did not come down by the share `better` of what it came down since the start.
    """
    found, steps = start.clone(), torch.full((len(start),), iterations, device=start.device)
    place = torch.arange(len(start), device=start.device)
    loss, gradient = _differentiate(loss_of, start, place)
    length = gradient.norm(dim=1).clamp_min(1e-12)  # the first step will have the length 1
    inverse = torch.eye(start.shape[1], device=start.device) / length[:, None, None]
    rows = Rows(place, start, loss, gradient, inverse, torch.ones_like(loss), loss, loss, torch.zeros_like(loss))
    for step in range(2, iterations + 1):
        rows = _move(loss_of, rows, better)
        found[rows.place] = rows.values
        stays = rows.idle < patience
        if not stays.all():
            steps[rows.place[~stays]] = step
            rows = Rows(*(values[stays] for values in rows))
            if not len(rows.place):
                break
    return found, steps


def _move(loss_of: Callable[[Tensor, Tensor], Tensor], rows: Rows, better: float) -> Rows:
    tried = rows.values - rows.reach[:, None] * _times(rows.inverse, rows.gradient)
    loss, gradient = _differentiate(loss_of, tried, rows.place)
    lower = loss < rows.loss
    fell = loss < rows.mark - better * (rows.first - loss)
    return Rows(
        rows.place,
        torch.where(lower[:, None], tried, rows.values),
        torch.minimum(loss, rows.loss),
        torch.where(lower[:, None], gradient, rows.gradient),
        _learn(rows.inverse, tried - rows.values, gradient - rows.gradient),
        torch.where(lower, 1.0, SHORTER * rows.reach),
        rows.first,
        torch.where(fell, loss, rows.mark),
        torch.where(fell, 0.0, rows.idle + 1),
    )


def _learn(inverse: Tensor, moved: Tensor, turned: Tensor) -> Tensor:
    """The estimate (n, D, D) after the gradient turned by so much on a move (equation 6.17 there), where that says that
    the loss is curved upwards; else as before."""
    along = (moved * turned).sum(1, keepdim=True)
    image = _times(inverse, turned)
    cross = moved[:, :, None] * (image / along)[:, None]
    square = ((1 + (turned * image).sum(1, keepdim=True) / along) / along * moved)[:, :, None] * moved[:, None]
    curved = along[:, 0] > 1e-8 * moved.norm(dim=1) * turned.norm(dim=1)
    return torch.where(curved[:, None, None], inverse - cross - cross.mT + square, inverse)


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    """(n, D, D) times (n, D). A batched matrix product would round differently for another number of rows."""
    return (matrices * vectors[:, None]).sum(2)


def _differentiate(loss_of: Callable[[Tensor, Tensor], Tensor], values: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        leaf = values.detach().requires_grad_()
        loss = loss_of(leaf, place)
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    return loss.detach(), gradient
