"""How fast methods train: pictures per second against a naive loop, and the share of the machine's matrix rate.

    python benchmarks/train.py [DATASET] [--methods swift,context_encoder] [--set swift.adversarial=0.01] [--runs 5]
                               [--sides 128,256] [--threads 1,2] [--patience 60]

For each method, size and number of threads, in turn within one run, medians of: a step as `facefill train` makes it
(bf16 autocast, channels_last, fused AdamW, the whole batch at once), and a naive step (float32, contiguous layout, one
picture after the other, Adam's plain loop). A step is one turn of every player; what a turn leaves in the batch for the
next one is used by both. FLOPs are counted over that step by torch's own formulas; the roofline is a bf16 product of
2048 in the same run. With DATASET also: how long the loop waits for its data, with one worker process.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from facefill.config import override
from facefill.methods import CLASSES
from facefill.training.data import DataConfig, batches, open_faces, plan_steps, to_batch
from facefill.training.distributed import free_only
from facefill.training.recipe import build_method
from facefill.training.train import keep_freed_memory

BATCH = {64: 64, 128: 16, 256: 8}
HOLES = {"centre": 1.0, "worn": 1.0}


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def matrix_rate(runs: int) -> float:
    """FLOP/s of a bf16 product of 2048."""
    a = torch.ones(2048, 2048, dtype=torch.bfloat16)
    a @ a
    return 2 * 2048**3 / float(np.median([seconds(lambda: a @ a) for _ in range(runs)]))


def example(method: Any, side: int, count: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    truth = torch.rand((count, 3, side, side), generator=generator) * 2 - 1
    mask = torch.zeros(count, 1, side, side)
    mask[..., side // 4 : -side // 4, side // 4 : -side // 4] = 1
    landmarks = torch.tensor([[0.37, 0.48], [0.62, 0.48], [0.5, 0.62], [0.4, 0.75], [0.6, 0.75]]) * side
    return {
        "truth": truth,
        "worn": truth,
        "mask": mask,
        "image": torch.where(mask > 0.5, method.hole_value, truth),
        "landmarks": landmarks.expand(count, 5, 2),
        "seed": torch.arange(count),
    }


def turn(method: Any, name: str, optimizer: torch.optim.Optimizer, parts: list[dict[str, Tensor]], fast: bool) -> None:
    free_only(method, method.players[name])
    optimizer.zero_grad(set_to_none=True)
    for part in parts:
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            terms = method.losses(name, part)
        (torch.stack([term.float() for term in terms.values()]).sum() / len(parts)).backward()
    optimizer.step()


class Counter(TorchDispatchMode):
    """FLOPs by torch's own formulas. Its FlopCounterMode also follows modules, and fails at gradients of gradients."""

    flops = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func.overloadpacket):
            self.flops += count(*args, **(kwargs or {}), out_val=made)
        return made


class Trained:
    """A method that makes steps, one way or the other."""

    def __init__(self, name: str, settings: dict[str, Any], side: int, fast: bool) -> None:
        torch.manual_seed(0)
        self.method = build_method(name, settings)
        if fast:
            self.method.to(memory_format=torch.channels_last)
        make = {"lr": 1e-4, "fused": True} if fast else {"lr": 1e-4, "foreach": False}
        kind: Any = torch.optim.AdamW if fast else torch.optim.Adam
        players: dict[str, nn.Module] = self.method.players
        self.optimizers = {player: kind(module.parameters(), **make) for player, module in players.items()}
        self.batch = example(self.method, side, BATCH[side])
        if fast:
            self.batch = {
                key: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
                for key, value in self.batch.items()
            }
        self.fast = fast

    def step(self, most: int | None = None) -> None:
        """most: of the batch only so many pictures."""
        pictures = range(len(self.batch["truth"]))[:most]
        parts = (
            [dict(self.batch)]
            if self.fast
            else [{key: value[at : at + 1] for key, value in self.batch.items()} for at in pictures]
        )
        for name, optimizer in self.optimizers.items():
            turn(self.method, name, optimizer, parts, self.fast)

    def flops(self) -> float:
        with Counter() as counter:
            self.step()
        return counter.flops


def sides_of(name: str, sides: list[int]) -> list[int]:
    size = CLASSES[name].size
    return [size] if size else sides


def compare(name: str, settings: dict[str, Any], options: argparse.Namespace) -> None:
    for side, threads in itertools.product(sides_of(name, options.sides), options.threads):
        torch.set_num_threads(threads)
        fast, naive = Trained(name, settings, side, True), Trained(name, settings, side, False)
        work = fast.flops()
        fast.step(), naive.step(1)
        times: list[list[float]] = []
        begin = time.monotonic()
        while not times or (len(times) < options.runs and time.monotonic() - begin < options.patience):
            times.append([seconds(fast.step), seconds(naive.step), matrix_rate(3)])
        ours, theirs, rate = np.median(times, 0)
        count = BATCH[side]
        print(
            f"{name:<22}{side:>4} px {threads} thread(s): {count / ours:7.1f} faces/s, "
            f"naive {count / theirs:6.1f}, ratio {theirs / ours:5.2f}; {work / count / 1e9:6.1f} GFLOP a face, "
            f"{work / ours / 1e9:6.0f} GFLOP/s = {work / ours / rate:.0%} of {rate / 1e9:.0f}; n = {len(times)}",
            flush=True,
        )


def waiting(dataset: Path, name: str, settings: dict[str, Any], options: argparse.Namespace) -> None:
    """How long the loop waits for data beside its steps."""
    torch.set_num_threads(1)
    source = open_faces(DataConfig(folder=dataset, holes=HOLES))
    for side in sides_of(name, options.sides):
        trained = Trained(name, settings, side, True)
        count, steps = BATCH[side], 3 + 4 * options.runs
        waited, worked, since = [], [], time.perf_counter()
        for raw in batches(source.learning(0), plan_steps(0, steps * count, count, [side]), 1):
            waited.append(time.perf_counter() - since)
            trained.batch = to_batch(raw, trained.method, torch.device("cpu"))
            worked.append(seconds(trained.step))
            since = time.perf_counter()
        share = sum(waited[3:]) / (sum(waited[3:]) + sum(worked[3:]))
        print(f"{name:<22}{side:>4} px: waits for data {share:.1%} of the time (one worker process)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--methods", default=",".join(name for name in CLASSES))
    parser.add_argument("--set", action="append", default=[], help="method.setting=value, of a method's own settings")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--patience", type=float, default=60, help="seconds after which no other run is begun")
    for option, values in (("--sides", [128, 256]), ("--threads", [1, 2])):
        parser.add_argument(option, type=lambda text: [int(word) for word in text.split(",")], default=values)
    options = parser.parse_args()
    settings = override({}, options.set)
    keep_freed_memory()
    for name in options.methods.split(","):
        compare(name, settings.get(name, {}), options)
        if options.dataset:
            waiting(options.dataset, name, settings.get(name, {}), options)


if __name__ == "__main__":
    main()
