"""How much worse methods complete pictures that were spoiled: noise, blur, JPEG, brightness, and known pixels that were
moved a little against a method.

    python benchmarks/robustness.py DATASET swift latent_search "calm=runs/calm/weights.safetensors"
        [--split test-celeba] [--hole worn@256] [--faces 24] [--searched 12] [--stand-in swift]
        [--against NAME] [--plot docs/robustness.svg] [--pieces runs/robustness]

A method is a file of weights or a registry name; networks run in torch. Before it may stand what its rows shall be
called. All methods get the same spoiled pictures and their true holes, and complete them as for a user
(`facefill.complete` with `aligned`). Hole PSNR is against the picture before it was spoiled; for brightness against
the truth as bright, the peak as bright.

`attack` is projected gradient descent (Madry et al. 2018): known pixels move by at most so many levels, `STEPS` times
by the sign of the gradient of the squared error inside the hole, and are rounded, as a file would hold them. Methods
that search (latent_search, dip) are attacked in one step along the gradient at the minimum that they found
(`implicit.py`); rules have none. `transferred` moves the same pixels against another method, the
stand-in, for whoever has no gradient of the completing method.

What is measured is kept in `--pieces` by the weights' hash: the same command goes on where it stopped, and measures
again what has other weights than then. Methods that search complete `--searched` of the faces only: each takes a second
or two.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from implicit import worst_direction
from numpy.typing import NDArray
from PIL import Image
from quality import by_hash
from torch import Tensor

import facefill
from facefill.arrays import U8
from facefill.catalog import METHODS, file_hash, find_weights
from facefill.datasets.cache import list_entries
from facefill.datasets.manifest import MANIFEST_PX, scale_landmarks
from facefill.evaluation.intervals import bootstrap
from facefill.evaluation.protocols import PROTOCOLS, Case, draw_case, hole_rng
from facefill.files.photo import read_photo
from facefill.files.whole import beside, write_whole
from facefill.imaging.metrics import hole_psnr
from facefill.methods.base import Method
from facefill.runtime.helpers import open_cover, open_finder
from facefill.runtime.inpainter import Inpainter
from facefill.runtime.model import Model, TorchModel, grey_holes, to_network

Measured = dict[str, dict[str, float]]
"""Hole PSNR by condition ("noise 32") and file."""
STEPS = 5
LEVELS: dict[str, tuple[float, ...]] = {
    "noise": (4, 8, 16, 32),
    "blur": (0.5, 1, 2, 3),
    "jpeg": (80, 60, 40, 20),
    "brightness": (0.5, 0.75, 1.25, 1.5),
    "attack": (1, 2, 4, 8),
    "transferred": (1, 2, 4, 8),
}
"""Standard deviation in grey levels, in pixels; quality; factor; grey levels, twice."""
CLEAN = {"noise": 0, "blur": 0, "jpeg": 100, "brightness": 1, "attack": 0, "transferred": 0}
TABLES: tuple[tuple[str, ...], ...] = (
    ("noise 32", "blur 2", "jpeg 20", "brightness 0.5", "brightness 1.5"),
    ("attack 1", "attack 2", "attack 4", "attack 8", "transferred 4", "transferred 8"),
)
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000", "#E69F00", "#777777", "#8B5A2B")
SAYS = {
    "noise": "noise, σ in levels",
    "blur": "blur, σ in px",
    "jpeg": "JPEG quality",
    "brightness": "brightness",
    "attack": "attack, levels",
    "transferred": "moved against the stand-in",
}
AT_ONCE = 60
"""Faces that one search completes together."""


@dataclass(frozen=True)
class Setting:
    """What is shown to every method. searched: how many of the cases a search completes."""

    cases: list[Case]
    covers: bool
    searched: int
    stand_in: Model
    folder: Path

    def chosen(self, model: Model) -> list[Case]:
        return self.cases[: self.searched] if searches(model) else self.cases


def spoil(kind: str, level: float, picture: U8, rng: np.random.Generator) -> U8:
    if kind == "noise":
        return np.clip(np.rint(picture + rng.normal(0, 1, picture.shape) * level), 0, 255).astype(np.uint8)
    if kind == "blur":
        return cv2.GaussianBlur(picture, (0, 0), level)
    if kind == "jpeg":
        coded = io.BytesIO()
        Image.fromarray(picture).save(coded, "JPEG", quality=int(level))
        return np.asarray(Image.open(coded))
    if kind == "brightness":
        return np.clip(np.rint(picture * level), 0, 255).astype(np.uint8)
    return picture


def attack(method: Method, case: Case, covers: bool, levels: float) -> U8:
    """The picture with known pixels moved by at most so many whole grey levels, to the method's harm."""
    goal = torch.from_numpy(to_network(case.truth[None]))
    missing = torch.from_numpy(case.mask)[None, None]
    mask, reach = missing.float(), levels / 127.5
    shown = torch.from_numpy(to_network(case.shown[None]))
    grey = torch.from_numpy(to_network(grey_holes(case.shown[None], case.mask[None])))
    moved = torch.zeros_like(goal)

    def fill(change: Tensor) -> Tensor:
        seen = {
            name: (base + change * (1 - mask)).clamp(-1, 1)
            for name, base in (("image", shown), ("worn", shown if covers else grey))
        }
        seen["image"] = torch.where(missing, method.hole_value, seen["image"])
        seen |= {"mask": mask, "noise": torch.zeros_like(mask), "landmarks": torch.full((1, 5, 2), torch.nan)}
        filled: Tensor = method(**{name: seen[name] for name in method.inputs})
        return filled

    for _ in range(STEPS):
        moved.requires_grad_(True)
        error = ((fill(moved) - goal) * mask).square().sum()
        (gradient,) = torch.autograd.grad(error, moved)
        moved = (moved.detach() + 2 / STEPS * reach * gradient.sign()).clamp(-reach, reach)
    return step(case, moved[0].numpy().transpose(1, 2, 0) * 127.5)


def step(case: Case, change: NDArray[Any]) -> U8:
    """The picture with its known pixels moved by so many levels, (S, S, 3), rounded."""
    return np.where(case.mask[..., None], case.shown, np.clip(np.rint(case.shown + change), 0, 255)).astype(np.uint8)


def attacked(bench: Setting, model: Model, levels: float) -> dict[str, U8]:
    """Pictures by file, all moved against this model; what takes long is kept in the folder."""
    cases, given = bench.chosen(model), cast(TorchModel, model)
    name = f"{model.name}-{(model.sha256 or '')[:12]}-{len(cases)}"
    if searches(model):
        ways = keep(
            bench.folder / f"direction-{name}.npy", lambda: [worst_direction(given.method, case) for case in cases]
        )
        return {case.file: step(case, levels * way) for case, way in zip(cases, ways, strict=True)}
    pictures = keep(
        bench.folder / f"attack-{name}-{levels:g}.npy",
        lambda: [attack(given.method, case, bench.covers, levels) for case in cases],
    )
    return {case.file: picture for case, picture in zip(cases, pictures, strict=True)}


def keep(path: Path, make: Callable[[], list[NDArray[Any]]]) -> NDArray[Any]:
    """The arrays in a file, which are made first where it is not there."""
    if not path.is_file():
        made = np.stack(make())
        with beside(path) as part:
            np.save(part, made)
    return np.asarray(np.load(path))


def searches(model: Model) -> bool:
    return isinstance(model, TorchModel) and not model.method.exports


def judge(inpainter: Inpainter, work: list[tuple[str, float, Case, U8]], covers: bool) -> list[float]:
    """Hole PSNR of spoiled pictures: (kind, level, case, picture) each."""
    plans = [
        inpainter.plan_complete(read_photo(picture), case.mask, aligned=True, covered=covers)
        for _, _, case, picture in work
    ]
    completed = [drawn.photos[0] for drawn in inpainter.run(plans)]  # a search starts alike each time
    found = []
    for (kind, level, case, _), one in zip(work, completed, strict=True):
        factor = level if kind == "brightness" else 1.0
        truth = spoil("brightness", factor, case.truth, np.random.default_rng(0))
        found.append(
            hole_psnr(np.where(case.mask[..., None], one, truth), truth, case.mask) + 20 * float(np.log10(factor))
        )
    return found


def measure(bench: Setting, inpainter: Inpainter, name: str) -> Measured:
    """What the folder has of this model, and what it lacks; written after each piece."""
    model = inpainter.model
    path = bench.folder / f"{name}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    known: Measured = kept["psnr"] if kept.get("sha256", "") == model.sha256 else {}
    at_once = AT_ONCE if searches(model) else 1
    work: list[tuple[str, float, Case, U8]] = []

    def settle() -> None:
        for some in (work[place : place + at_once] for place in range(0, len(work), at_once)):
            for (kind, level, case, _), value in zip(some, judge(inpainter, some, bench.covers), strict=True):
                known.setdefault(f"{kind} {level:g}", {})[case.file] = value
        write_whole(path, json.dumps({"sha256": model.sha256, "psnr": known}).encode())
        work.clear()

    for kind, level in [("clean", 0.0), *((kind, level) for kind, levels in LEVELS.items() for level in levels)]:
        left = [case for case in bench.chosen(model) if case.file not in known.get(f"{kind} {level:g}", {})]
        if not left or (kind == "attack" and not isinstance(model, TorchModel)):
            continue
        moved: dict[str, U8] = {}
        if kind in ("attack", "transferred"):
            moved = attacked(bench, model if kind == "attack" else bench.stand_in, level)
        for case in left:
            rng = hole_rng(f"robustness/{kind}/{level:g}", case.file)
            picture = moved[case.file] if moved else spoil(kind, level, case.shown, rng)
            work.append((kind, level, case, picture))
            if len(work) >= AT_ONCE:
                settle()
        if at_once == 1:
            settle()
    settle()
    return known


def read_cases(dataset: Path, split: str, count: int, hole: str) -> tuple[list[Case], dict[str, str]]:
    """The first faces in the order of the SHA-256 of their names, with holes; and whose face each file is."""
    entries = [entry for entry in list_entries(dataset, split) if entry.landmarks is not None]
    entries = by_hash(entries, lambda entry: entry.row["file"])
    cases = []
    for entry in entries[:count]:
        face = read_photo(entry.read()).pixels
        points = scale_landmarks(entry.landmarks, MANIFEST_PX, face.shape[0])
        cases.append(draw_case(PROTOCOLS[hole], face, points, entry.row["file"], None))
    return cases, {entry.row["file"]: entry.row.get("identity") or entry.row["file"] for entry in entries}


def mean(values: dict[str, float], people: dict[str, str], form: str = ".2f") -> str:
    """With its interval over people, where these are enough for one."""
    if not values:
        return "none"
    found = bootstrap(np.array(list(values.values())), people=[people[file] for file in values]).estimate()
    return f"{found.value:{form}}" + (f" [{found.low:{form}}, {found.high:{form}}]" if np.isfinite(found.low) else "")


def print_tables(table: dict[str, Measured], people: dict[str, str], against: str | None) -> None:
    def difference(one: dict[str, float], other: dict[str, float]) -> str:
        return mean({file: one[file] - other[file] for file in sorted(one.keys() & other.keys())}, people, "+.2f")

    for columns in TABLES:
        print(f"\n| weights | n | clean | {' | '.join(columns)} |\n|---|---|---|{'---|' * len(columns)}")
        for name, found in table.items():
            clean = found["clean 0"]
            cells = [difference(found.get(column, {}), clean) for column in columns]
            print(f"| {name} | {len(clean)} | {mean(clean, people)} | {' | '.join(cells)} |")
    if against:
        columns = ("clean 0", *TABLES[-1])
        print(f"\n| against {against} | n | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}")
        names = list(table)
        for name in names[names.index(against) + 1 :]:
            cells = [difference(table[name].get(column, {}), table[against].get(column, {})) for column in columns]
            print(f"| {name} | {len(table[name]['clean 0'])} | {' | '.join(cells)} |")


def plot(table: dict[str, Measured], path: Path) -> None:
    """What each kind costs: the mean paired change of hole PSNR."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "facefill", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(12, 3.4), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(1, len(LEVELS), sharey=True)
        for panel, (kind, levels) in zip(axes, LEVELS.items(), strict=True):
            for colour, (name, found) in zip(cycle(COLOURS), table.items(), strict=False):
                clean = found["clean 0"]
                points = [(float(CLEAN[kind]), 0.0)]
                for level in levels:
                    values = found.get(f"{kind} {level:g}", {})
                    points += [(level, float(np.mean([values[file] - clean[file] for file in values])))] * bool(values)
                if len(points) > 1:
                    panel.plot(
                        *zip(*sorted(points), strict=True),
                        marker="o",
                        markersize=3,
                        linewidth=1.2,
                        color=colour,
                        label=name,
                    )
            panel.set_xlabel(SAYS[kind])
            panel.grid(linewidth=0.4, alpha=0.6)
            if kind == "jpeg":
                panel.invert_xaxis()
        axes[0].set_ylabel("change of hole PSNR, dB")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def open_in_torch(name_or_path: str) -> Model:
    """A method with gradients, also where people run its ONNX file; rules as they are."""
    record = METHODS.get(name_or_path)
    if record and record.kind == "classical":
        return facefill.load(name_or_path)
    path = find_weights(record.weights or record.name)[0] if record else Path(name_or_path)
    return TorchModel(path, file_hash(path), name=record.name if record else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("methods", nargs="+", metavar="[NAME=]WEIGHTS")
    parser.add_argument("--pieces", type=Path, default=Path("runs/robustness"))
    parser.add_argument("--split", default="test-celeba")
    parser.add_argument("--hole", default="worn@256", choices=sorted(PROTOCOLS))
    parser.add_argument("--faces", type=int, default=24)
    parser.add_argument("--searched", type=int, default=12)
    parser.add_argument("--stand-in", default="swift")
    parser.add_argument("--against", metavar="NAME", help="also compare the rows after this one with it")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    folder = given.pieces / f"{given.split}-{given.hole}-{given.faces}"
    folder.mkdir(parents=True, exist_ok=True)
    cases, people = read_cases(given.dataset, given.split, given.faces, given.hole)
    bench = Setting(cases, PROTOCOLS[given.hole].covers, given.searched, open_in_torch(given.stand_in), folder)
    table: dict[str, Measured] = {}
    for entry in given.methods:
        name, _, weights = entry.rpartition("=")
        inpainter, name = Inpainter(open_in_torch(weights), open_finder, open_cover), name or Path(weights).stem
        table[name] = measure(bench, inpainter, name)
        print(f"{name}: {len(bench.chosen(inpainter.model))} faces measured", flush=True)
    print(f"\n{len(cases)} faces of {given.split}, {given.hole}: mean hole PSNR in dB, then the paired change of it")
    print_tables(table, people, given.against)
    if given.plot:
        plot(table, given.plot)


if __name__ == "__main__":
    main()
