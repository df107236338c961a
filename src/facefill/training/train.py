"""The one loop that trains every method. It knows turns, not GANs; its clock is pictures shown."""

import ctypes
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facefill.catalog import code_commit
from facefill.choices import pick
from facefill.errors import InputError
from facefill.training.checkpoint import load_newest, load_weights, save_state, save_weights
from facefill.training.data import Source, batches, plan_steps, to_batch
from facefill.training.distributed import World, free_only, join
from facefill.training.history import history_of, runs_so_far
from facefill.training.log import RunLog
from facefill.training.recipe import Recipe, Stage, TrainConfig, build_method, open_source, settings_of

SHOWN = 12
"""Validation faces on a sample sheet."""


def train(recipe: Recipe, run: Path, recipe_file: str = "") -> Path:
    """Train until every stage is done; a run that was cut goes on where its last state was written.

    run: the folder for config.json, log.jsonl, events, samples/, state-*.pt, best.safetensors (the averaged generator
    with the best validation score) and weights.safetensors (the last one). Of several processes, started by torchrun,
    only the first writes; the others must see the folder. recipe_file: what the weights' history calls the recipe.
    Returns the path of the last weights. Raises InputError for a run of another recipe, and for a loss that is not
    finite: the last good state stays, and not-finite.txt names the pictures of the batch.
    """
    with join() as world:
        return _train(recipe, run, world, recipe_file)


def _train(recipe: Recipe, run: Path, world: World, recipe_file: str) -> Path:
    settings, workers, device = recipe.train, recipe.pictures.workers, world.device
    check_batches(settings, world)
    keep_freed_memory()
    if world.rank == 0:
        run.mkdir(parents=True, exist_ok=True)
        _remember(recipe, run / "config.json")
    torch.manual_seed(settings.seed)
    method = build_method(recipe.method, recipe.model)
    if recipe.init:
        given = load_weights(recipe.init, recipe.method)[0]
        new = {name: value for name, value in method.generator.state_dict().items() if name.startswith(recipe.fresh)}
        kept = {name: value for name, value in given.items() if not name.startswith(recipe.fresh)}
        method.generator.load_state_dict(kept | new)
    method.to(device, memory_format=torch.channels_last)
    if world.local:
        world.wait()  # until the first process of this machine has decoded the pictures
    source = open_source(recipe)
    if not world.local:
        world.wait()
    players: dict[str, nn.Module] = method.players
    optimizers = {name: _optimizer(name, player, settings) for name, player in players.items()}
    average = {name: value.detach().clone() for name, value in method.generator.state_dict().items()}
    shown, turn, best = 0, 0, -math.inf
    if state := load_newest(run):
        method.load_state_dict(state["method"])
        for name, optimizer in optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        average = {name: value.to(device) for name, value in state["average"].items()}
        shown, turn, best = state["shown"], state["turn"], state["best"]
    # Paths are of this machine, and only training needs them.
    paths = {name for name, value in method.config if isinstance(value, Path)}
    about = {
        "method": recipe.method,
        "config": method.config.model_dump(mode="json", exclude=paths),
        "dataset": source.digest,
        "commit": code_commit(),
    }
    before = history_of(recipe.init)

    total = sum(stage.images for stage in settings.stages)
    with RunLog(run, shown, total) if world.rank == 0 else nullcontext() as log:
        sums: defaultdict[str, float] = defaultdict(float)
        counts: defaultdict[str, float] = defaultdict(float)
        begun, since = time.monotonic(), 0
        for stage, begin, end in _stages(settings.stages):
            learning = source.learning(settings.seed)
            method.config = settings_of(recipe, stage)
            movers = pick_movers(players, stage)
            steps = list(plan_steps(max(shown, begin), end, stage.batch, stage.sides_px, begin))
            for step, raw in zip(steps, batches(learning, steps, workers, world), strict=True):
                count, mine = step.end - step.begin, len(world.share(step.begin, step.end))
                rate = _rate(stage, shown - begin + count, settings.warmup_images)
                parts = [
                    (to_batch(part, method, device), min(mine, len(part["index"])))
                    for part in _parts(raw, stage.accumulate)
                ]
                moves = _moving(movers, turn, settings.critic_turns)
                for name in moves:
                    free_only(method, players[name])
                    optimizers[name].zero_grad(set_to_none=True)
                    for batch, pictures in parts:
                        with torch.autocast(device.type, torch.bfloat16, enabled=settings.bf16):
                            terms: dict[str, Tensor] = method.losses(name, batch)
                        loss = torch.stack([term.float() for term in terms.values()]).sum()
                        if not torch.isfinite(loss):
                            _stop_at([source.names[int(index)] for index in raw["index"]], terms, run)
                        (loss * (pictures / count)).backward()  # type: ignore[no-untyped-call]
                        for term, value in terms.items():
                            sums[term] += float(value.detach()) * pictures
                            counts[term] += pictures
                    world.add_gradients(players[name])
                    if draws(name):
                        nn.utils.clip_grad_norm_(players[name].parameters(), settings.clip_norm)
                    for group in optimizers[name].param_groups:
                        group["lr"] = rate if draws(name) else rate * settings.critic_rate
                    optimizers[name].step()
                if any(draws(name) for name in moves):
                    since_last = count * (1 if settings.critic_turns == 1 else settings.critic_turns + 1)
                    _average(average, method.generator, since_last, shown + count, settings.ema_images)
                shown, turn, since = shown + count, turn + 1, since + count
                if log:
                    log.tick(shown, {name: sums[name] / counts[name] for name in sums if counts[name]})
                if shown // settings.eval_images == (shown - count) // settings.eval_images and shown != end:
                    continue
                means = world.mean(sums, counts)
                if log:
                    speed = since / (time.monotonic() - begun)
                    score, rows = _validate(method, average, source, max(stage.sides_px), workers, device)
                    said = {"score": score, "rate": rate, "side_px": step.side_px, "images_per_s": speed}
                    log.write(shown, means | said)
                    log.show(shown, rows)
                    now = runs_so_far(recipe_file, _stages(settings.stages), shown, world.size, about["commit"])
                    history = [entry.model_dump() for entry in (*before, *now)]
                    known = about | {"images": shown, "score": score, "history": history}
                    best = _keep(run, score, best, average, known)
                    state = {"method": method.state_dict(), "average": average}
                    state |= {"shown": shown, "turn": turn, "best": best}
                    state["optimizers"] = {name: optimizer.state_dict() for name, optimizer in optimizers.items()}
                    save_state(run, shown, state)
                sums, counts = defaultdict(float), defaultdict(float)
                begun, since = time.monotonic(), 0
    return run / "weights.safetensors"


@torch.no_grad()
def _validate(
    method: Any, average: dict[str, Tensor], source: Source, side_px: int, workers: int, device: torch.device
) -> tuple[float, list[Any]]:
    """Mean score of the averaged generator on the validation pictures, with the same holes every time, and a sheet of
    the first ones: what it was shown, what it made of it, the truth. As at inference: in float32, and batch
    normalisation takes the averaged statistics, so that a score does not depend on what shares its batch. Leaves the
    method as it was."""
    live = {name: value.clone() for name, value in method.generator.state_dict().items()}
    method.generator.load_state_dict(average)
    method.eval()
    scores: list[Tensor] = []
    rows: list[Any] = []
    for raw in batches(source.validation, plan_steps(0, source.validation_images, 20, [side_px]), workers):
        batch = to_batch(raw, method, device)
        scores.append(method.score(batch).float().cpu())
        if not rows:
            rows = [_levels(picture[:SHOWN]) for picture in method.show(batch)]
    method.generator.load_state_dict(live)
    method.train()
    return float(torch.cat(scores).mean()), rows


def _levels(pictures: Tensor) -> Any:
    """(N, 1 or 3, H, W) in [-1, 1] to (N, H, W, 3) uint8."""
    levels = ((pictures.float() + 1) * 127.5).round().clamp(0, 255).byte()
    return levels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).cpu().numpy()


def keep_freed_memory() -> None:
    """Let glibc keep what a step frees for the next one. Otherwise each large tensor is asked of the system again, page
    by page: 4 to 6 % of a step on a processor."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(-3, 2**30)  # M_MMAP_THRESHOLD
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def _stages(stages: tuple[Stage, ...]) -> Iterator[tuple[Stage, int, int]]:
    """Each stage with the clock at its begin and end."""
    begin = 0
    for stage in stages:
        yield stage, begin, begin + stage.images
        begin += stage.images


def _moving(players: Iterable[str], turn: int, critic_turns: int) -> list[str]:
    """Who moves on the turn-th batch: everybody, or the critics `critic_turns` times and then the others alone."""
    if critic_turns == 1:
        return list(players)
    alone = turn % (critic_turns + 1) == critic_turns
    return [name for name in players if draws(name) == alone]


def _parts(raw: dict[str, Tensor], count: int) -> list[dict[str, Tensor]]:
    """A batch cut into `count` parts of nearly the same size, empty ones left out."""
    cut = {name: values.tensor_split(count) for name, values in raw.items()}
    parts = [{name: values[place] for name, values in cut.items()} for place in range(count)]
    return [part for part in parts if len(part["index"])]


def _optimizer(name: str, player: nn.Module, settings: TrainConfig) -> torch.optim.Optimizer:
    betas = settings.betas if draws(name) else settings.critic_betas
    decay = settings.weight_decay if draws(name) else 0.0
    return torch.optim.AdamW(player.parameters(), lr=0.0, betas=betas, weight_decay=decay, fused=True)


def draws(player: str) -> bool:
    """Whether a player makes pictures; the others, called critics, judge them."""
    return not player.startswith("critic")


def pick_movers(players: dict[str, nn.Module], stage: Stage) -> list[str]:
    """The players of a stage, in the order they move. Raises InputError for a name that the method does not have."""
    for name in stage.players or ():
        pick(players, name, "player")
    return [name for name in players if stage.players is None or name in stage.players]


def _rate(stage: Stage, images: int, warmup_images: int) -> float:
    """Linear warm-up, then constant or half a cosine down to 2 %."""
    rise = min(1.0, images / max(1, min(warmup_images, stage.images // 4)))
    if stage.schedule == "constant":
        return stage.rate * rise
    return stage.rate * rise * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * min(1.0, images / stage.images))))


def check_batches(settings: TrainConfig, world: World) -> None:
    """Raise InputError where a batch has no picture for some process."""
    if small := next((stage.batch for stage in settings.stages if stage.batch < world.size), 0):
        fix = "raise the batch of every stage or start fewer processes"
        raise InputError(f"batches of at least {world.size} pictures for {world.size} processes", str(small), fix)


@torch.no_grad()
def _average(average: dict[str, Tensor], generator: nn.Module, count: int, shown: int, half_life: int) -> None:
    """Exponential average with a half-life in images, shorter at the beginning (Karras et al. 2024, edm2): weights, and
    batch normalisation's statistics with them; its counts are copied."""
    keep = 0.5 ** (count / max(1.0, min(half_life, 0.05 * shown)))
    for name, value in generator.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - keep)
        else:
            average[name].copy_(value)


def _keep(run: Path, score: float, best: float, average: dict[str, Tensor], about: dict[str, Any]) -> float:
    """Write the averaged generator, also as the best one where it is; returns the best score."""
    save_weights(run / "weights.safetensors", average, about)
    if score > best:
        save_weights(run / "best.safetensors", average, about)
    return max(score, best)


def _remember(recipe: Recipe, path: Path) -> None:
    """Keep the recipe beside the run, or refuse another one."""
    text = recipe.model_dump_json(indent=2)
    try:
        same = not path.is_file() or json.loads(path.read_text(encoding="utf-8")) == json.loads(text)
    except ValueError:
        raise InputError(
            f"a whole {path}", "a damaged one", "remove it: the run goes on with the same recipe"
        ) from None
    if not same:
        raise InputError(f"the recipe of {path.parent}", "another one", "choose another folder with --run")
    path.write_text(text, encoding="utf-8")


def _stop_at(names: list[str], terms: dict[str, Tensor], run: Path) -> None:
    (run / "not-finite.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    bad = ", ".join(name for name, term in terms.items() if not torch.isfinite(term))
    fix = "lower train.stages.rate; not-finite.txt names the pictures, and the last good state is kept"
    raise InputError("finite losses", f"{bad} that is not", fix)
