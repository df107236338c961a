"""What the choices of a method give at small scale: trains each variant with several seeds, all for as many pictures,
and compares what they complete of validation faces, which none learned from, with the same holes.

    python benchmarks/ablations.py METHOD FACES RUNS [--variants A,B] [--images 3200] [--seeds 3] [--first-seed 0] \\
        [--count 200] [--set key=value] [--done]

Prints a table of mean hole PSNR in dB: of each seed, of all seeds together, and beyond the first variant, paired by
face and seed; in brackets 95 % bootstrap intervals over people, which say nothing of other seeds: those stand beside.
RUNS/METHOD holds the runs, each with what it was judged to be; one that is there already is not trained again. The
first seed of every variant comes first. --done trains nothing: the table of what is there so far.

Of swift *small* learns alone, from the shipped weights, and its critic alone before it. The table has the completions'
hole PSNR and sharpness (*small* and *detail*, told the dataset's landmarks, in holes like covers), and their
asymmetry: how far the drawing of the mirrored picture is from the mirrored drawing in the hole at 64 px, the mean of
|difference| in grey levels; of seeds the mean and, in brackets, the smallest and the largest. --set names its data:

    python benchmarks/ablations.py swift FACES RUNS --set data.covers=COVERS --set model.perceptual_net=SQUEEZENET
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facefill.evaluation.intervals import bootstrap
from facefill.imaging.metrics import hole_psnr, sharpness
from facefill.methods.swift import Swift
from facefill.nets.hints import UNKNOWN, heat_maps
from facefill.nets.small_and_detail import shrink
from facefill.runtime.model import from_network
from facefill.training.data import Source, batches, open_faces, plan_steps, read_faces, split_validation, to_batch
from facefill.training.export import open_method
from facefill.training.recipe import Recipe, read_recipe
from facefill.training.train import train

ROOT = Path(__file__).parents[1]
NO_CRITIC = ["model.adversarial=0", "model.feature_matching=0", "model.perceptual=0"]
CRITIC = ["model.feature_matching=0", "model.perceptual=0"]
UNHEARD = "model.adversarial=0"
VARIANTS: dict[str, dict[str, list[str]]] = {
    "context_encoder": {
        "128 channels": [],
        "3 channels": ["model.bottleneck=3"],
        "batch normalisation": ["model.batch_norm=true"],
        "a mean of squares": ["model.adversarial=12288"],
    },
    "masked_gan": {
        "patch critic": ["model.critic=patch", *CRITIC],
        "scalar critic": ["model.critic=scalar", *CRITIC],
        "all faces": NO_CRITIC,
        "10 % of the faces": ["data.share=0.1", *NO_CRITIC],
        "1 % of the faces": ["data.share=0.01", *NO_CRITIC],
        "cover not seen": ["model.sees_cover=false", *NO_CRITIC],
    },
    "swift": {
        "as it is": [],
        "no critic": [UNHEARD],
        "l1 alone": [UNHEARD, "model.perceptual=0", "model.mirror=0"],
        "mirror not asked": ["model.mirror=0"],
        "no penalty of the critic": ["model.penalty=0"],
        "no perceptual distance": ["model.perceptual=0"],
        "turned faces once": ["data.turned=1"],
        "no edges of photos": ["data.edges=0"],
    },
}
"""By method: settings that differ from its recipe, and the first is what the others are compared with."""


@dataclass(frozen=True)
class Setup:
    """How a method's recipe is shortened."""

    data_px: int = 128
    """Side of the faces in memory."""
    side_px: int = 64
    """Side at which they are shown, unless --side says otherwise."""
    batch: int = 16
    options: tuple[str, ...] = ()
    judged: str = ""
    """Holes of the validation faces; empty: those of training."""


SETUPS = {
    "context_encoder": Setup(batch=8, options=("train.critic_rate=0.1",)),
    "masked_gan": Setup(options=("data.holes={worn=1}",)),
    "swift": Setup(data_px=256, side_px=256, judged="data.holes={worn=1,real=1}"),
}


def stages_of(given: argparse.Namespace, settings: list[str]) -> str:
    """The stages of a variant; swift's are the last two of its recipe, and no critic learns that nobody hears."""
    images, side, batch = given.images, given.side, SETUPS[given.method].batch
    if given.method != "swift":
        return f"[{{side_px={side}, images={images}, batch={batch}, rate=2e-3}}]"
    shared = f"side_px={side}, batch={batch}"
    if UNHEARD in settings:
        return f'[{{{shared}, images={images}, rate=2e-4, players=["small"]}}]'
    alone = f'{{{shared}, images={given.alone}, rate=4e-4, schedule="constant", players=["critic_small"]}}'
    return f'[{alone}, {{{shared}, images={images}, rate=2e-4, players=["small", "critic_small"]}}]'


def recipe_of(given: argparse.Namespace, settings: list[str], seed: int) -> Recipe:
    """The method's recipe, shortened."""
    setup = SETUPS[given.method]
    shared = [
        f"data.folder={given.faces.resolve()}",
        f"data.side_px={setup.data_px}",
        f"data.validation_images={given.count}",
        "data.workers=0",
        f"train.stages={stages_of(given, settings)}",
        f"train.ema_images={given.images // 10}",
        f"train.eval_images={given.images}",
        f"train.seed={seed}",
    ]
    if given.method == "swift":
        shared += [
            f"init={ROOT / 'src/facefill/weights/swift.onnx'}",
            f"data.without={ROOT / 'configs/cover-worn.txt'}",
        ]
    return read_recipe(ROOT / f"configs/{given.method}.toml", [*shared, *setup.options, *given.settings, *settings])


def judge(weights: Path, source: Source, side: int) -> dict[str, NDArray[np.float64]]:
    """Measures of each validation face, completed by the averaged weights."""
    method = open_method(weights)
    values: dict[str, list[float]] = {"hole PSNR": [], "sharpness": [], "asymmetry": []}
    for raw in batches(source.validation, plan_steps(0, source.validation_images, 20, [side]), 0):
        batch = to_batch(raw, method, torch.device("cpu"))
        with torch.no_grad():
            completed = from_network(method.complete(batch).numpy())
            values["asymmetry"] += asymmetry(method, batch)
        for one, truth, mask in zip(completed, raw["truth"].numpy(), raw["mask"].numpy(), strict=True):
            values["hole PSNR"].append(hole_psnr(one, truth, mask))
            values["sharpness"].append(sharpness(one, truth, mask))
    return {name: np.array(found) for name, found in values.items()}


def asymmetry(method: Any, batch: dict[str, torch.Tensor]) -> list[float]:
    """How far *small* draws the mirrored picture from the mirrored drawing in each hole, in grey levels; or nan."""
    if not isinstance(method, Swift):
        return [math.nan] * len(batch["mask"])
    shown, small = method.shown(batch), method.generator
    average, share = shrink(shown["image"], shown["mask"])
    heat = heat_maps(shown["landmarks"].nan_to_num(UNKNOWN), share)
    once, again = small.draw_twice(average, share, heat, small.noise_at_bottom(shown["noise"]))
    apart = (once - again).abs().mean(1, keepdim=True) * share
    return [float(one) for one in apart.sum((1, 2, 3)) / share.sum((1, 2, 3)) * 127.5]


def judged(given: argparse.Namespace, name: str, seed: int) -> Path:
    """What the faces of a variant and seed were measured to be: a file of its run."""
    kind = "".join(letter for letter in name if letter.isalnum())
    return Path(given.runs / given.method / f"{kind}-{given.images}-{seed}" / f"judged-{given.count}.npz")


def make(given: argparse.Namespace, name: str, seed: int) -> None:
    """Train a variant with a seed, and judge it, unless that is done."""
    settings, place = VARIANTS[given.method][name], judged(given, name, seed)
    if place.is_file():
        return
    recipe = recipe_of(given, settings, seed)
    weights = train(recipe, place.parent)
    holes = SETUPS[given.method].judged
    # All are judged on the same holes, whatever they learnt with.
    seen = recipe_of(given, [holes, "data.edges=0"], seed) if holes else recipe
    assert seen.data is not None
    found = judge(weights, open_faces(seen.data), given.side)
    part = place.with_suffix(".part.npz")
    np.savez(part, **found)  # type: ignore[arg-type]
    part.rename(place)


def values_of(given: argparse.Namespace, name: str) -> dict[int, dict[str, NDArray[np.float64]]]:
    """By seed, the measures of each face, of the seeds that are done."""
    places = {seed: judged(given, name, seed) for seed in given.seeds_chosen}
    return {seed: dict(np.load(place)) for seed, place in places.items() if place.is_file()}


def people_of(given: argparse.Namespace) -> list[str]:
    """Who each validation face is of."""
    data = recipe_of(given, [], 0).data
    assert data is not None
    identities = read_faces(data).identities
    return [identities[place] for place in split_validation(identities, given.count)[1]]


def print_psnr(given: argparse.Namespace, names: list[str]) -> None:
    """A row of hole PSNR for each variant, with intervals over people."""
    people, first = people_of(given), None
    print("| variant | n | seeds | each seed | hole PSNR, dB | beyond the first |\n|---|---|---|---|---|---|")
    for name in names:
        values = [found["hole PSNR"] for found in values_of(given, name).values()]
        if not values:
            continue
        found = np.mean(values, 0)
        first = found if first is None else first
        mean, more = (bootstrap(some, people=people).estimate() for some in (found, found - first))
        each = ", ".join(f"{one.mean():.2f}" for one in values)
        beyond = "" if first is found else f"{more.value:+.2f} [{more.low:+.2f}, {more.high:+.2f}]"
        whole = f"{mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}]"
        print(f"| {name} | {mean.n} | {len(values)} | {each} | {whole} | {beyond} |", flush=True)


def print_measures(given: argparse.Namespace, names: list[str]) -> None:
    """A row of all measures for each variant, with the range over seeds; differences are between the same seeds."""
    measures = {"hole PSNR": (np.mean, 2), "sharpness": (np.nanmedian, 3), "asymmetry": (np.mean, 2)}
    titles = "hole PSNR, dB | beyond the first, dB | sharpness | asymmetry, levels"
    print(f"| variant | n | seeds | {titles} |\n|---|---|---|---|---|---|---|")
    first = values_of(given, names[0])
    for name in names:
        found = values_of(given, name)
        if not found:
            continue
        each = {kind: [take(values[kind]) for values in found.values()] for kind, (take, _) in measures.items()}
        psnr, sharp, apart = (ranged(each[kind], digits) for kind, (_, digits) in measures.items())
        pairs = [
            float((values["hole PSNR"] - first[seed]["hole PSNR"]).mean())
            for seed, values in found.items()
            if seed in first and name != names[0]
        ]
        n = len(next(iter(found.values()))["hole PSNR"])
        beyond = ranged(pairs, 2, sign="+") if pairs else ""
        print(f"| {name} | {n} | {len(found)} | {psnr} | {beyond} | {sharp} | {apart} |", flush=True)


def ranged(values: list[float], digits: int, sign: str = "") -> str:
    """The mean and, of several, the smallest and the largest.

    >>> ranged([1.0, 2.0], 1), ranged([1.0], 1, "+")
    ('1.5 [1.0, 2.0]', '+1.0')
    """
    mean, least, most = (f"{one:{sign}.{digits}f}" for one in (np.mean(values), min(values), max(values)))
    return f"{mean} [{least}, {most}]" if len(values) > 1 else mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=VARIANTS)
    parser.add_argument("faces", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--variants", help="names; default: all of the method")
    parser.add_argument("--images", type=int, default=3200)
    parser.add_argument("--alone", type=int, default=800, help="pictures that swift's critic sees before it is heard")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--side", type=int, help="of the pictures, in pixels; default: 64, and 256 for swift")
    parser.add_argument("--count", type=int, default=200, help="validation faces")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="key=value")
    parser.add_argument("--done", action="store_true", help="train nothing, show what is there")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.side = given.side or SETUPS[given.method].side_px
    given.seeds_chosen = range(given.first_seed, given.first_seed + given.seeds)
    names = given.variants.split(",") if given.variants else list(VARIANTS[given.method])
    for seed in given.seeds_chosen:
        for name in names if not given.done else ():
            make(given, name, seed)
    (print_measures if given.method == "swift" else print_psnr)(given, names)


if __name__ == "__main__":
    main()
