"""What a method needs to know beside trained weights, measured once and stored with them: a search its bounds, swift
its typical eyes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from facefill.arrays import F32
from facefill.errors import InputError
from facefill.methods.latent_search import SIDE_PX, LatentSearch
from facefill.nets.hints import FACTOR
from facefill.runtime.model import to_network
from facefill.training.checkpoint import load_weights, save_weights
from facefill.training.data import DataConfig, open_faces, read_faces, read_names
from facefill.training.history import history_of
from facefill.training.recipe import build_written

BATCH = 128
LEAST_PX = 200
"""Side in their photos of the faces that eyes are taken from."""


@dataclass(frozen=True)
class Settled:
    """What was measured between every test face and every generated face."""

    distances: F32
    """(T, G): L1, sums of absolute differences on [0, 1]."""
    likeness: F32
    """(T, G): SSIM."""

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """c_min, c_max, s_min, s_max of equations 5 and 6: mean -+ 3 standard deviations."""
        values = []
        for measured in (self.distances, self.likeness):
            mean, deviation = float(measured.mean(dtype=np.float64)), float(measured.std(dtype=np.float64))
            values += [mean - 3 * deviation, mean + 3 * deviation]
        return values[0], values[1], values[2], values[3]


@torch.no_grad()
def settle(method: LatentSearch, truth: Tensor, count: int = 12_800) -> Settled:
    """Measure batch normalisation's statistics, the mean face and the bounds with `count` generated faces, and keep
    them in the method.

    Weights that were averaged over a run (and rounded) need statistics of their own: the averaged ones belong to
    none of the networks that made them.
    truth: (T, 3, 64, 64) in [-1, 1], faces that the DCGAN never saw.
    """
    generator = method.generator.eval()
    codes = torch.split(method.draw_codes(torch.arange(count)), BATCH)
    update_bn(codes, generator.faces)
    update_bn(_shown_in_turn(generator.faces, codes[: 2 * len(truth) // BATCH + 20], truth), generator.critic)
    everywhere = method.look(truth, torch.zeros_like(truth[:, :1]))
    everywhere = everywhere._replace(weight=everywhere.weight[:1])  # 1 everywhere: a face's own sums are taken once
    total = torch.zeros_like(generator.mean_face)
    # Filled in place: a small tensor kept from every step would pin the freed large ones, 22 GB of them.
    settled = Settled(*(np.empty((len(truth), count), np.float32) for _ in range(2)))
    made = chain.from_iterable(torch.split(generator.faces(part), 1) for part in codes)
    for place, face in enumerate(made):
        distance, alike = method.measure(face, everywhere)
        settled.distances[:, place] = distance
        settled.likeness[:, place] = alike
        total += face[0]
    generator.mean_face.copy_(total / count)
    generator.bounds.copy_(torch.tensor(settled.bounds))
    return settled


def settle_weights(weights: Path, out: Path, truth: Tensor, count: int = 12_800) -> Settled:
    """`settle` for a file of weights. Raises InputError for a file that is none of latent_search."""
    method, about = _open(weights, "latent_search")
    settled = settle(method, truth, count)
    about |= {"bounds": settled.bounds, "settled_with": len(truth)}
    save_weights(out, method.generator.state_dict(), about)
    return settled


def _open(weights: Path, name: str) -> tuple[Any, dict[str, Any]]:
    """A method with its weights, and what is known about them, with their history."""
    tensors, about = load_weights(weights, name)
    method = build_written(about)
    method.generator.load_state_dict({name: value.float() for name, value in tensors.items()})
    return method, about | {"history": [run.model_dump() for run in history_of(weights)]}


def settle_eyes(weights: Path, out: Path, dataset: Path, count: int, without: Path | None) -> int:
    """Give swift the sketches of the eyes of typical faces, of `count` that it learnt from and that are sharp, chosen
    at random. without: a file with names of faces to leave out. Returns how many there were.

    Raises InputError for a file that is none of swift, and for a dataset without such faces.
    """
    method, about = _open(weights, "swift")
    faces = read_faces(DataConfig(folder=dataset, holes={"none": 1}))
    worn = read_names(without) if without else set()
    order = np.random.default_rng(0).permutation(len(faces.names)).tolist()
    sharp = [at for at in order if faces.names[at] not in worn and faces.native_px[at] >= LEAST_PX]
    chosen = [at for at in sorted(sharp[:count]) if np.isfinite(faces.landmarks[at]).all()]
    if not chosen:
        expected = f"faces of {LEAST_PX} px or more in their photos"
        raise InputError(expected, f"none in {dataset}", "name another dataset")
    small = [F.avg_pool2d(torch.from_numpy(to_network(faces.pixels[at][None])), FACTOR) for at in chosen]
    landmarks = torch.from_numpy(np.stack([faces.landmarks[at] for at in chosen])).float()
    method.generator.sketches.keep_typical_eyes(torch.cat(small), landmarks)
    save_weights(out, method.generator.state_dict(), about)
    return len(chosen)


def validation_faces(dataset: Path, count: int) -> Tensor:
    """(count, 3, 64, 64) in [-1, 1]: validation faces of a dataset, which training never shows.

    Raises InputError where it has fewer.
    """
    source = open_faces(DataConfig(folder=dataset, side_px=SIDE_PX, holes={"none": 1}))
    if source.validation_images < count:
        raise InputError(f"{count} validation faces", str(source.validation_images), "lower --faces")
    faces = np.stack([source.validation[place, SIDE_PX]["truth"] for place in range(count)])
    return torch.from_numpy(to_network(faces))


def _shown_in_turn(faces: nn.Module, codes: Sequence[Tensor], truth: Tensor) -> Iterator[Tensor]:
    for place, part in enumerate(codes):
        yield faces(part)
        yield truth[torch.arange(place * BATCH, (place + 1) * BATCH) % len(truth)]
