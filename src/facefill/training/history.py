"""The runs that made a file of weights, as the file and `weights.toml` tell them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from facefill.catalog import Run, file_hash, shipped_weights
from facefill.training.checkpoint import load_weights
from facefill.training.recipe import Stage


def history_of(weights: Path | None) -> list[Run]:
    """All runs behind a file, the first one first: from its header, or from the list of shipped files. Empty for None
    and where neither knows any."""
    if weights is None:
        return []
    told = load_weights(weights)[1].get("history")
    if told is not None:
        return [Run.model_validate(run) for run in told]
    sha256 = file_hash(weights)
    return [run for entry in shipped_weights().values() if entry.sha256 == sha256 for run in entry.training]


def runs_so_far(
    recipe: str, stages: Iterable[tuple[Stage, int, int]], shown: int, processes: int, commit: str
) -> list[Run]:
    """What a run has shown by now, an entry for each stage.

    stages: each with its first picture and its end. shown: pictures of all stages.
    """
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else torch.backends.cpu.get_cpu_capability()
    machine = f"{processes} × {torch.get_num_threads()} threads, {device}"
    said: dict[str, Any] = {"recipe": recipe, "commit": commit[:7], "machine": machine}
    begun = ((stage, begin, min(shown, end)) for stage, begin, end in stages if shown > begin)
    return [Run(images=end - begin, side_px=max(stage.sides_px), **said) for stage, begin, end in begun]
