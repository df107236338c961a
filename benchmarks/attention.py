"""contextual_attention against the formulation that public ports use: patches cut out and used as filters, one sample
after the other.

    python benchmarks/attention.py [--threads 2] [--runs 5] [--side 256] [--batch 4] [--width 32]

Prints, in turn in one run, medians of: the attention layer alone, forward and backward (both formulations, and whether
they agree); training of the whole method in faces per second (a turn of the generator and one of the critics); and one
completion by the exported file in bf16 (where the processor has it) against the ports' formulation in torch in
float32, with enlargement and convolution apart as they have them. Weights are random: they change no time. The shipped
file, which takes 128 px only, comes last. Beside it the network's floating-point operations at that size,
and how long this machine's matrix products in bf16 take for as many: what no way of writing it can go below.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from facefill.catalog import find_weights
from facefill.methods.contextual_attention import ContextualAttention, ContextualAttentionConfig
from facefill.nets.attention import INCOMPLETE, Borrowed
from facefill.nets.attention import PatchAttention as Batched
from facefill.nets.coarse_to_fine import UpConv
from facefill.runtime.engine import load_engine
from facefill.training.checkpoint import save_weights
from facefill.training.export import export
from facefill.training.train import keep_freed_memory


class PerSample(nn.Module):
    """The same function with patches as convolution filters, sample by sample."""

    def __init__(self, scale: float = 10.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, features: Tensor, mask: Tensor) -> Borrowed:
        done = [self._one(features[place : place + 1], mask[place : place + 1]) for place in range(len(features))]
        return Borrowed(torch.cat([one[0] for one in done]), torch.cat([one[1] for one in done]))

    def _one(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        channels, cells = features.shape[1], features[:, :, ::2, ::2]
        high, wide = cells.shape[-2:]
        patches = F.unfold(cells.float(), 3, padding=1)[0].T
        filters = (patches / patches.norm(dim=1, keepdim=True).clamp_min(1e-6)).view(-1, channels, 3, 3)
        lengths = patches.norm(dim=1).clamp_min(1e-6).view(1, 1, high, wide)
        scores = F.conv2d(cells.float(), filters, padding=1) / lengths
        grid = scores.view(high, wide, high, wide)  # key y, key x, query y, query x
        one = torch.eye(3)[None, None]
        rows = F.conv2d(grid.permute(0, 2, 1, 3).reshape(-1, 1, wide, wide), one, padding=1)
        grid = rows.view(high, high, wide, wide).permute(2, 3, 0, 1)
        columns = F.conv2d(grid.reshape(-1, 1, high, high), one, padding=1)
        grid = columns.view(wide, wide, high, high).permute(2, 0, 3, 1)
        missing = F.avg_pool2d(F.avg_pool2d(mask.float(), 8), 3, 1, 1, count_include_pad=False).view(-1, 1, 1)
        share = torch.softmax(self.scale * grid.reshape(-1, high, wide) - INCOMPLETE * missing, 0)[None]
        raw = F.unfold(features.float(), 4, padding=1, stride=2)[0].T.reshape(-1, channels, 4, 4)
        return F.conv_transpose2d(share, raw, stride=2, padding=1) / 4, share.argmax(1)


class Enlarged(nn.Module):
    """`UpConv` as ports write it: nearest neighbours, then a 3x3 convolution."""

    def __init__(self, layer: UpConv) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), self.weight, self.bias, padding=1)


def milliseconds(works: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Medians, the works in turn."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for run in range(runs + 1):
        for name, work in works.items():
            begun = time.perf_counter()
            work()
            if run:
                times[name].append(1e3 * (time.perf_counter() - begun))
    return {name: float(np.median(values)) for name, values in times.items()}


def layer(runs: int, side: int, batch: int, width: int) -> None:
    torch.manual_seed(0)
    features = torch.randn(batch, 4 * width, side // 4, side // 4)
    mask = torch.zeros(batch, 1, side, side)
    mask[:, :, side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 1
    kinds: dict[str, nn.Module] = {"batched": Batched(), "per sample": PerSample()}

    def both_ways(kind: nn.Module) -> None:
        leaf = features.clone().requires_grad_()
        kind(leaf, mask).features.sum().backward()

    gap = (kinds["batched"](features, mask).features - kinds["per sample"](features, mask).features).abs().max()
    found = milliseconds({name: lambda kind=kind: both_ways(kind) for name, kind in kinds.items()}, runs)
    print(
        f"attention forward and backward, batch {batch}: batched {found['batched']:.0f} ms, per sample "
        f"{found['per sample']:.0f} ms, {found['per sample'] / found['batched']:.1f}x; largest difference {gap:.1e}"
    )


def build(attention: nn.Module | None, width: int) -> ContextualAttention:
    torch.manual_seed(0)
    method = ContextualAttention(ContextualAttentionConfig(width=width, critic_width=32, adversarial=0.001))
    nn.init.normal_(method.generator.refinement.beside.weight, std=0.02)
    if attention is not None:
        method.generator.refinement.attention = attention  # type: ignore[assignment]
        for layers in (module for module in method.modules() if isinstance(module, nn.Sequential)):
            for place, layer in enumerate(layers):
                if isinstance(layer, UpConv):
                    layers[place] = Enlarged(layer)
    return method


def example(side: int, batch: int) -> dict[str, Tensor]:
    mask = torch.zeros(batch, 1, side, side)
    mask[:, :, side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 1
    truth = torch.rand(batch, 3, side, side) * 2 - 1
    return {"truth": truth, "mask": mask, "image": torch.where(mask > 0.5, 1.0, truth), "seed": torch.arange(batch)}


def training(runs: int, side: int, batch: int, width: int) -> None:
    """Batched in bf16 as the loop trains it, against per sample in float32, and per sample in bf16."""

    def turn(method: ContextualAttention, bf16: bool) -> None:
        given = example(side, batch)
        for name, player in method.players.items():
            method.requires_grad_(False)
            player.requires_grad_(True)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                terms = method.losses(name, given)
            torch.stack([term.float() for term in terms.values()]).sum().backward()

    works = {}
    for name, attention, bf16 in (
        ("batched, bf16", None, True),
        ("per sample, bf16", PerSample(), True),
        ("per sample, float32", PerSample(), False),
    ):
        method = build(attention, width).to(memory_format=torch.channels_last if bf16 else torch.contiguous_format)
        works[name] = lambda method=method, bf16=bf16: turn(method, bf16)
    found = milliseconds(works, runs)
    print(
        "training, a turn of each player: "
        + ", ".join(f"{name} {1e3 * batch / value:.2f} faces/s" for name, value in found.items())
    )


def counted(method: ContextualAttention, given: dict[str, Tensor]) -> float:
    """Floating-point operations of one completion."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        method(image=given["image"], mask=given["mask"])
    return float(counter.get_total_flops())


def completion(runs: int, side: int, width: int, threads: int) -> None:
    method, port = build(None, width), build(PerSample(), width)
    given = example(side, 1)
    with tempfile.TemporaryDirectory() as folder:
        weights, out = Path(folder) / "weights.safetensors", Path(folder) / "out.onnx"
        save_weights(
            weights,
            method.generator.state_dict(),
            {"method": "contextual_attention", "config": method.config.model_dump(mode="json")},
        )
        export(weights, out)
        engines = {
            name: load_engine(out, threads=threads, exact=exact)
            for name, exact in (("ours, default", False), ("ours, float32", True))
        }
    arrays = {name: given[name].numpy() for name in ("image", "mask")}
    shipped = load_engine(find_weights("contextual_attention")[0], threads=threads, exact=False)
    small = {name: value.numpy() for name, value in example(128, 1).items() if name in arrays}
    works: dict[str, Callable[[], object]] = {
        name: lambda engine=engine: engine.run(arrays) for name, engine in engines.items()
    }
    works["shipped, 128 px"] = lambda: shipped.run(small)

    def torch_port() -> None:
        with torch.no_grad():
            port.eval()(image=given["image"], mask=given["mask"])

    square = torch.randn(2048, 2048, dtype=torch.bfloat16)
    operations = counted(method, given)
    works["product"] = lambda: square @ square
    found = milliseconds(works | {"port, torch float32": torch_port}, runs)
    least = found.pop("product") * operations / (2 * 2048**3)
    print(
        f"one completion of {side} px: "
        + ", ".join(f"{name} {value:.0f} ms" for name, value in found.items())
        + f"; {found['port, torch float32'] / found['ours, default']:.1f}x; {operations / 1e9:.0f} GFLOP, "
        f"{least:.0f} ms as matrix products in bf16"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("threads", 2), ("runs", 5), ("side", 256), ("batch", 4), ("width", 32)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parameters = sum(parameter.numel() for parameter in build(None, options.width).generator.parameters())
    print(f"{parameters / 1e6:.2f} M parameters, {options.threads} thread(s), {options.side} px")
    keep_freed_memory()  # as the training loop does, here for all
    layer(options.runs, options.side, options.batch, options.width)
    training(options.runs, options.side, options.batch, options.width)
    completion(options.runs, options.side, options.width, options.threads)


if __name__ == "__main__":
    main()
