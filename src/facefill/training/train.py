"""The one loop that trains every method. It knows turns, not GANs; its clock is pictures shown."""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facefill.errors import InputError
from facefill.training.checkpoint import load_newest, load_weights, save_state, save_weights
from facefill.training.data import FaceSource, Source, batches
from facefill.training.log import RunLog
from facefill.training.recipe import Recipe, Stage, TrainConfig, build_method

SHOWN = 12
"""Validation faces on a sample sheet."""


def train(recipe: Recipe, run: Path) -> Path:
    """Train until every stage is done; a run that was cut goes on where its last state was written.

    run: the folder for config.json, log.jsonl, events, samples/, state-*.pt, best.safetensors (the averaged generator
    with the best validation score) and weights.safetensors (the last one).
    Returns the path of the last weights. Raises InputError for a run of another recipe, and for a loss that is not
    finite: the last good state stays, and not-finite.txt names the pictures of the batch.
    """
    run.mkdir(parents=True, exist_ok=True)
    _remember(recipe, run / "config.json")
    settings = recipe.train
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(settings.seed)
    method = build_method(recipe.method, recipe.model)
    if recipe.init:
        method.generator.load_state_dict(load_weights(recipe.init, recipe.method)[0])
    method.to(device, memory_format=torch.channels_last)
    source: Source = FaceSource(recipe.data)
    players: dict[str, nn.Module] = method.players
    optimizers = {name: _optimizer(name, player, settings) for name, player in players.items()}
    average = {name: value.detach().clone().float() for name, value in method.generator.state_dict().items()}
    shown, steps, best = 0, 0, -math.inf
    if state := load_newest(run):
        method.load_state_dict(state["method"])
        for name, optimizer in optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        average = {name: value.to(device) for name, value in state["average"].items()}
        shown, steps, best = state["shown"], state["steps"], state["best"]
    # Paths are of this machine, and only training needs them.
    paths = {name for name, value in method.config if isinstance(value, Path)}
    about = {"method": recipe.method, "config": method.config.model_dump(mode="json", exclude=paths),
             "dataset": source.digest, "commit": _commit()}

    with RunLog(run, shown, sum(stage.images for stage in settings.stages)) as log:
        sums: dict[str, list[float]] = {}
        begun, since = time.monotonic(), 0
        for stage, begin, end in _stages(settings.stages):
            learning = source.learning(stage.side_px, settings.seed)
            for raw in batches(learning, max(shown, begin), end, stage.batch, recipe.data.workers):
                count = len(raw["index"])
                rate = _rate(stage, shown - begin + count, settings.warmup_images)
                shares = [(part, len(part["index"]) / count) for part in _parts(raw, stage.accumulate)]
                turns = [name for name in players if name != "generator" or steps % settings.critic_turns == 0]
                parts = [(source.to_batch(part, method, device), share) for part, share in shares]
                for name in turns:
                    _free_only(method, players[name])
                    optimizers[name].zero_grad(set_to_none=True)
                    for batch, share in parts:
                        with torch.autocast(device.type, torch.bfloat16, enabled=settings.bf16):
                            terms: dict[str, Tensor] = method.losses(name, batch)
                        loss = torch.stack([term.float() for term in terms.values()]).sum()
                        if not torch.isfinite(loss):
                            _stop_at([source.names[int(index)] for index in raw["index"]], terms, run)
                        (loss * share).backward()  # type: ignore[no-untyped-call]
                        for term, value in terms.items():
                            sums.setdefault(term, []).append(float(value.detach()))
                    if name == "generator":
                        nn.utils.clip_grad_norm_(players[name].parameters(), settings.clip_norm)
                    for group in optimizers[name].param_groups:
                        group["lr"] = rate
                    optimizers[name].step()
                shown, steps, since = shown + count, steps + 1, since + count
                if "generator" in turns:
                    _average(average, method.generator, count * settings.critic_turns, shown, settings.ema_images)
                if shown // settings.eval_images > (shown - count) // settings.eval_images or shown == end:
                    speed = since / (time.monotonic() - begun)
                    score, rows = _validate(method, average, source, stage.side_px, recipe.data.workers, device)
                    log.write(shown, {"score": score, "rate": rate, "side_px": stage.side_px, "images_per_s": speed,
                                      **{term: float(np.mean(values)) for term, values in sums.items()}})
                    log.show(shown, rows)
                    best = _keep(run, score, best, average, {**about, "images": shown, "score": score})
                    save_state(run, shown, {
                        "method": method.state_dict(), "average": average, "shown": shown, "steps": steps, "best": best,
                        "optimizers": {name: optimizer.state_dict() for name, optimizer in optimizers.items()},
                    })
                    sums, since, begun = {}, 0, time.monotonic()
    return run / "weights.safetensors"


@torch.no_grad()
def _validate(
    method: Any, average: dict[str, Tensor], source: Source, side_px: int, workers: int, device: torch.device
) -> tuple[float, list[Any]]:
    """Mean score of the averaged generator on the validation pictures, with the same holes every time, and a sheet of
    the first ones: what it was shown, what it made of it, the truth."""
    live = {name: value.clone() for name, value in method.generator.state_dict().items()}
    method.generator.load_state_dict(average)
    scores: list[Tensor] = []
    rows: list[Any] = []
    for raw in batches(source.validation(side_px), 0, source.validation_images, 20, workers):
        batch = source.to_batch(raw, method, device)
        with torch.autocast(device.type, torch.bfloat16):
            scores.append(method.score(batch).float().cpu())
            if not rows:
                rows = [_levels(picture[:SHOWN]) for picture in method.show(batch)]
    method.generator.load_state_dict(live)
    return float(torch.cat(scores).mean()), rows


def _levels(pictures: Tensor) -> Any:
    """(N, 1 or 3, H, W) in [-1, 1] to (N, H, W, 3) uint8."""
    levels = ((pictures.float() + 1) * 127.5).round().clamp(0, 255).byte()
    return levels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).cpu().numpy()


def _stages(stages: tuple[Stage, ...]) -> Iterator[tuple[Stage, int, int]]:
    """Each stage with the clock at its begin and end."""
    begin = 0
    for stage in stages:
        yield stage, begin, begin + stage.images
        begin += stage.images


def _parts(raw: dict[str, Tensor], count: int) -> list[dict[str, Tensor]]:
    """A batch cut into `count` parts of nearly the same size, empty ones left out."""
    cut = {name: values.tensor_split(count) for name, values in raw.items()}
    parts = [{name: values[place] for name, values in cut.items()} for place in range(count)]
    return [part for part in parts if len(part["index"])]


def _optimizer(name: str, player: nn.Module, settings: TrainConfig) -> torch.optim.Optimizer:
    betas = settings.betas if name == "generator" else settings.critic_betas
    decay = settings.weight_decay if name == "generator" else 0.0
    return torch.optim.AdamW(player.parameters(), lr=0.0, betas=betas, weight_decay=decay, fused=True)


def _rate(stage: Stage, images: int, warmup_images: int) -> float:
    """Linear warm-up, then constant or half a cosine down to 2 %."""
    rise = min(1.0, images / max(1, min(warmup_images, stage.images // 4)))
    if stage.schedule == "constant":
        return stage.rate * rise
    return stage.rate * rise * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * min(1.0, images / stage.images))))


def _free_only(method: nn.Module, player: nn.Module) -> None:
    for parameter in method.parameters():
        parameter.requires_grad_(False)
    for parameter in player.parameters():
        parameter.requires_grad_(True)


@torch.no_grad()
def _average(average: dict[str, Tensor], generator: nn.Module, count: int, shown: int, half_life: int) -> None:
    """Exponential average with a half-life in images, shorter at the beginning (Karras et al. 2024, edm2)."""
    keep = 0.5 ** (count / max(1.0, min(half_life, 0.05 * shown)))
    for name, value in generator.state_dict().items():
        average[name].lerp_(value.float(), 1 - keep)


def _keep(run: Path, score: float, best: float, average: dict[str, Tensor], about: dict[str, Any]) -> float:
    """Write the averaged generator, also as the best one where it is; returns the best score."""
    save_weights(run / "weights.safetensors", average, about)
    if score > best:
        save_weights(run / "best.safetensors", average, about)
    return max(score, best)


def _remember(recipe: Recipe, path: Path) -> None:
    """Keep the recipe beside the run, or refuse another one."""
    text = recipe.model_dump_json(indent=2)
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != json.loads(text):
        raise InputError(f"the recipe of {path.parent}", "another one", "choose another folder with --run")
    path.write_text(text, encoding="utf-8")


def _stop_at(names: list[str], terms: dict[str, Tensor], run: Path) -> None:
    (run / "not-finite.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    bad = ", ".join(name for name, term in terms.items() if not torch.isfinite(term))
    raise InputError("finite losses", f"{bad} that is not", "lower train.stages.rate; not-finite.txt names the "
                     "pictures, and the last good state is kept")


def _commit() -> str:
    """The commit of the code, or "" outside a checkout."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True,
                          check=False)
    return done.stdout.strip()
