"""Files of a run: the state that resumes it, and the weights that come out of it."""

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from facefill.errors import InputError
from facefill.files.whole import whole, write_whole
from facefill.methods.opened import read_weights


def save_state(run: Path, shown: int, state: dict[str, Any]) -> None:
    """Write what resumes a run, tensors, numbers and text only, as state-<shown>.pt with its SHA-256 behind the data.
    The last two states stay."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getvalue()
    write_whole(run / f"state-{shown:010d}.pt", data + hashlib.sha256(data).digest())
    for old in sorted(run.glob("state-*.pt"))[:-2]:
        old.unlink()


def load_newest(run: Path) -> dict[str, Any] | None:
    """The newest whole state of a run, None for none. Nothing but tensors, numbers and text is ever unpickled.

    Raises InputError where all states are damaged: a run never begins again by itself.
    """
    damaged: list[str] = []
    for path in sorted(run.glob("state-*.pt"), reverse=True):
        data = path.read_bytes()
        if hashlib.sha256(data[:-32]).digest() == data[-32:]:
            if damaged:
                print(f"damaged: {', '.join(damaged)}; going on from {path.name}", file=sys.stderr)
            state: dict[str, Any] = torch.load(io.BytesIO(data[:-32]), map_location="cpu", weights_only=True)
            return state
        damaged.append(path.name)
    if damaged:
        fix = "copy one back, or remove them to begin again"
        raise InputError(f"a whole state in {run}", f"damaged ones: {', '.join(damaged)}", fix)
    return None


def save_weights(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write a model as fp16 safetensors, whole numbers as they are. about: method, config, images seen, dataset ...
    kept in the file's header."""
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    stored = {name: value.half() if value.is_floating_point() else value for name, value in stored.items()}
    with whole(path) as part:
        save_file(stored, part, {"facefill": json.dumps(about, sort_keys=True)})


def load_weights(path: Path, method: str | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a model and what is known about it.

    Raises InputError when the file is none of ours, or of another method than `method`.
    """
    tensors, about = read_weights(path)
    if method is not None and about["method"] != method:
        raise InputError(f"weights of {method}", f"{path.name} of {about['method']}", "choose the other method")
    return tensors, about
