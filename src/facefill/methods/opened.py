"""Reads weights files, and makes a method of one for models that stay in torch."""

import json
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from facefill.choices import pick
from facefill.config import build, override
from facefill.errors import InputError
from facefill.methods import CLASSES
from facefill.methods.base import Method


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a .safetensors file that training wrote, or of an .onnx file exported from one, and what is known
    about them.

    Raises InputError when the file is none of ours.
    """
    if not path.is_file():
        raise InputError("a .safetensors or .onnx file", f"nothing at {path}", "check the path")
    if path.suffix == ".onnx":
        return _read_onnx(path)
    try:
        with safe_open(path, "pt") as file:
            header = (file.metadata() or {}).get("facefill")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError("a whole .safetensors file", f"{path.name} ({error})", "get it again") from error
    return tensors, _about(path, header)


def _about(path: Path, header: str | None) -> dict[str, Any]:
    """What a file's header says. Raises InputError where it has none of ours."""
    if header is None:
        raise InputError("weights that facefill wrote", f"{path.name} without its header", "train or export them")
    try:
        about: dict[str, Any] = json.loads(header)
        whole = isinstance(about["method"], str) and isinstance(about["config"], dict)
    except (ValueError, RecursionError, TypeError, KeyError):
        whole = False
    if not whole:
        raise InputError("weights that facefill wrote", f"{path.name} with a damaged header", "get it again")
    return about


PREFIX = "method.generator."
"""What the exporter puts before a tensor's name."""
REST = "facefill.rest"
"""The metadata that holds those tensors which do not stand in the network as they were, as base64 of a safetensors
file."""


def _read_onnx(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        from google.protobuf.message import DecodeError
        from onnx import load_model, numpy_helper
    except ImportError:
        raise InputError("the package onnx", "none installed", "pip install 'facefill[train]'") from None
    try:
        model = load_model(path)
    except DecodeError:
        raise InputError("a whole .onnx file", f"{path.name}, which is none or is cut off", "get it again") from None
    said = {pair.key: pair.value for pair in model.metadata_props}
    about = _about(path, said.get("facefill.about"))
    tensors = load(b64decode(said[REST])) if REST in said else {}
    for stored in model.graph.initializer:
        name = stored.name.removeprefix(PREFIX).removesuffix(".half")
        if stored.name.startswith(PREFIX) and name not in tensors:
            tensors[name] = torch.from_numpy(numpy_helper.to_array(stored).copy())
    return tensors, about


def still_known(kind: Any, written: dict[str, Any]) -> dict[str, Any]:
    """The settings in a file's header that its method or network still has. What earlier versions had besides said how
    they learnt; networks of another shape are found out by their tensors."""
    return {name: value for name, value in written.items() if name in kind.Config.model_fields}


def open_method(path: Path, name: str | None = None, settings: Sequence[str] = ()) -> tuple[Method, str]:
    """A method ready for inference, and its registry name.

    name: another method than the file names, where both have the same networks and settings. settings: "key=value" of
    the method's `Config`, instead of what it was trained with.
    Raises InputError for a file that is none of ours, and for settings that the method or its weights do not have.
    """
    tensors, about = read_weights(path)
    kind = pick(CLASSES, name or about["method"], "method")
    written = still_known(kind, about["config"])
    method = kind(build(kind.Config, override(written, list(settings)), f"the settings of {path.name}"))
    try:
        method.generator.load_state_dict({key: value.float() for key, value in tensors.items()})
    except RuntimeError:
        if not settings:
            raise InputError(f"weights of {about['method']}", f"{path.name} with others", "get it again") from None
        raise InputError("settings that the weights fit", " ".join(settings), "leave the networks' sizes out") from None
    return method.eval().requires_grad_(False), name or about["method"]
