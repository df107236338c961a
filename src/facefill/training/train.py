"""The one loop that trains every method. It knows turns, not GANs; its clock is pictures shown."""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from facefill.config import Frozen, build, override, read_toml
from facefill.errors import InputError, pick
from facefill.methods import CLASSES
from facefill.nets.cover import CoverNet
from facefill.training.checkpoint import load_state, load_weights, save_state, save_weights
from facefill.training.data import DataConfig, Faces, Holes, batches, read_faces, split_validation, to_batch

TRAINABLE: dict[str, Any] = {**CLASSES, "cover": CoverNet}
"""All that this loop trains: the methods, and the helper networks, which have players and losses like a method."""


class Stage(Frozen):
    """A stretch of training at one size."""

    side_px: int
    images: int
    """Pictures shown in this stage, by all processes together."""
    batch: int = 16
    """Pictures per step, by all processes together."""
    rate: float = 1e-3
    """Learning rate at the start of the stage, after warm-up; it falls to 2 % along a cosine."""


class TrainConfig(Frozen):
    """How long and how fast."""

    stages: tuple[Stage, ...]
    seed: int = 0
    warmup_images: int = 2000
    """Over which the rate rises from 0, in every stage."""
    ema_images: int = 10_000
    """Half-life of the averaged weights."""
    betas: tuple[float, float] = (0.9, 0.99)
    critic_betas: tuple[float, float] = (0.5, 0.99)
    """Of every player but the generator."""
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    """Largest norm of the generator's gradient."""
    eval_images: int = 10_000
    """Pictures between validations."""
    bf16: bool = True
    """bfloat16 autocast; weights and optimizers stay in float32."""


class Recipe(Frozen):
    """What a TOML of configs/ holds."""

    method: str
    init: Path | None = None
    """Weights (.safetensors of the same method) to start from."""
    model: dict[str, Any] = Field(default_factory=dict)
    """The method's own settings, see its `Config`."""
    data: DataConfig
    train: TrainConfig


def read_recipe(path: Path, settings: list[str]) -> Recipe:
    """A recipe from a TOML file with "key=value" settings on top. Raises InputError for what is wrong in it."""
    return build(Recipe, override(read_toml(path), settings), path.name)


def build_method(name: str, settings: dict[str, Any]) -> Any:
    """A method with fresh weights. Raises InputError for an unknown name or setting."""
    kind = pick(TRAINABLE, name, "method")
    return kind(build(kind.Config, settings, f"[model] of {name}"))


def train(recipe: Recipe, run: Path) -> Path:
    """Train until every stage is done; a run that was cut goes on where its last state was written.

    run: the folder for config.json, log.jsonl, state.pt and weights.safetensors (the averaged generator).
    Returns the path of the weights. Raises InputError for a run of another recipe, and for a loss that is not finite.
    """
    run.mkdir(parents=True, exist_ok=True)
    _remember(recipe, run / "config.json")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = recipe.train
    torch.manual_seed(settings.seed)
    method = build_method(recipe.method, recipe.model)
    if recipe.init:
        tensors, _ = load_weights(recipe.init, recipe.method)
        method.generator.load_state_dict(tensors)
    method.to(device, memory_format=torch.channels_last)
    faces = read_faces(recipe.data)
    learning, validation = split_validation(faces, recipe.data.validation_images)
    judged = faces.subset(validation)
    players = method.players
    optimizers = {name: _optimizer(name, player, settings) for name, player in players.items()}
    average = {name: value.detach().clone().float() for name, value in method.generator.state_dict().items()}
    shown, started = 0, time.monotonic()
    if (run / "state.pt").is_file():
        state = load_state(run / "state.pt")
        method.load_state_dict(state["method"])
        for name, optimizer in optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        average, shown = {k: v.to(device) for k, v in state["average"].items()}, state["shown"]

    about = {"method": recipe.method, "config": method.config.model_dump(mode="json"), "dataset": faces.digest,
             "commit": _commit()}
    log = (run / "log.jsonl").open("a", encoding="utf-8")
    sums: dict[str, float] = {}
    steps = since = 0
    for stage, begin, end in _stages(settings.stages):
        if shown >= end:
            continue
        holes = Holes(faces, recipe.data, stage.side_px, settings.seed, chosen=learning)
        for raw in batches(holes, shown, end, stage.batch, recipe.data.workers):
            batch = to_batch(raw, method.hole_value, device)
            rate = _rate(stage.rate, shown - begin + stage.batch, end - begin, settings.warmup_images)
            for name, player in players.items():
                _free_only(method, player)
                with torch.autocast(device.type, torch.bfloat16, enabled=settings.bf16):
                    terms = method.losses(name, batch)
                loss = torch.stack([term.float() for term in terms.values()]).sum()
                if not torch.isfinite(loss):
                    _stop_at(raw, faces, terms, run)
                optimizers[name].zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                if name == "generator":
                    nn.utils.clip_grad_norm_(player.parameters(), settings.clip_norm)
                for group in optimizers[name].param_groups:
                    group["lr"] = rate
                optimizers[name].step()
                for term, value in terms.items():
                    sums[term] = sums.get(term, 0.0) + float(value.detach())
            count = len(raw["index"])
            shown, steps, since = shown + count, steps + 1, since + count
            _average(average, method.generator, count, shown, settings.ema_images)
            if shown // settings.eval_images > (shown - count) // settings.eval_images or shown == end:
                score = validate(method, average, judged, recipe.data, stage.side_px, device)
                line = {"shown": shown, "side_px": stage.side_px, "rate": rate, "score": score,
                        "images_per_s": since / (time.monotonic() - started),
                        **{term: value / steps for term, value in sums.items()}}
                print(json.dumps({k: round(v, 5) for k, v in line.items()}), file=log, flush=True)
                print(" ".join(f"{k} {v:.4g}" for k, v in line.items()), flush=True)
                _save(run, method, optimizers, average, shown, about)
                sums, steps, since, started = {}, 0, 0, time.monotonic()
    _save(run, method, optimizers, average, shown, about)
    return run / "weights.safetensors"


def validate(
    method: Any, average: dict[str, Tensor], faces: Faces, data: DataConfig, side_px: int, device: torch.device
) -> float:
    """Mean score of the averaged generator on the validation faces, with the same holes every time."""
    live = {name: value.clone() for name, value in method.generator.state_dict().items()}
    method.generator.load_state_dict(average)
    scores: list[Tensor] = []
    holes = Holes(faces, data, side_px, 0, frozen=True)
    with torch.no_grad():
        for raw in batches(holes, 0, len(faces.names), 20, data.workers):
            batch = to_batch(raw, method.hole_value, device)
            with torch.autocast(device.type, torch.bfloat16):
                scores.append(method.score(batch).cpu())
    method.generator.load_state_dict(live)
    return float(torch.cat(scores).mean())


def _stages(stages: tuple[Stage, ...]) -> Iterator[tuple[Stage, int, int]]:
    """Each stage with the clock at its begin and end."""
    begin = 0
    for stage in stages:
        yield stage, begin, begin + stage.images
        begin += stage.images


def _optimizer(name: str, player: nn.Module, settings: TrainConfig) -> torch.optim.Optimizer:
    betas = settings.betas if name == "generator" else settings.critic_betas
    decay = settings.weight_decay if name == "generator" else 0.0
    return torch.optim.AdamW(player.parameters(), lr=0.0, betas=betas, weight_decay=decay, fused=True)


def _rate(top: float, images: int, of: int, warmup: int) -> float:
    """Linear warm-up, then half a cosine down to 2 % of `top`."""
    fall = 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * min(1.0, images / of)))
    return top * min(1.0, images / max(1, min(warmup, of // 4))) * fall


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


def _save(
    run: Path, method: Any, optimizers: dict[str, torch.optim.Optimizer], average: dict[str, Tensor], shown: int,
    about: dict[str, Any],
) -> None:
    save_state(run / "state.pt", {
        "method": method.state_dict(), "average": average, "shown": shown,
        "optimizers": {name: optimizer.state_dict() for name, optimizer in optimizers.items()},
    })
    save_weights(run / "weights.safetensors", average, {**about, "images": shown})


def _remember(recipe: Recipe, path: Path) -> None:
    """Keep the recipe beside the run, or refuse another one."""
    text = recipe.model_dump_json(indent=2)
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != json.loads(text):
        raise InputError(f"the recipe of {path.parent}", "another one", "choose another folder with --run")
    path.write_text(text, encoding="utf-8")


def _stop_at(raw: dict[str, Tensor], faces: Faces, terms: dict[str, Tensor], run: Path) -> None:
    names = [faces.names[int(index)] for index in raw["index"]]
    (run / "not-finite.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    bad = ", ".join(name for name, term in terms.items() if not torch.isfinite(term))
    raise InputError("finite losses", f"{bad} that is not", "lower train.stages.rate; not-finite.txt names the "
                     "pictures and state.pt is the last good state")


def _commit() -> str:
    """The commit of the code, or "" outside a checkout."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True,
                          check=False)
    return done.stdout.strip()
