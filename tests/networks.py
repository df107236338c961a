"""Tiny ONNX files for tests, written without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save_model


def write_inpainting(path: Path, *, level: float = 0.25, method: str | None = "swift") -> Path:
    """A network that fills with 3×3 means of what it sees plus `level`, on [-1, 1], and a tenth of the noise; any size.

    Its convolution makes the result depend on the neighbourhood, so that wrong padding shows.
    """
    kernel = np.zeros((3, 5, 3, 3), np.float32)
    for channel in range(3):
        kernel[channel, channel], kernel[channel, 4, 1, 1] = 1 / 9, 0.1
    nodes = [
        helper.make_node("Concat", ["image", "mask", "noise"], ["all"], axis=1),
        helper.make_node("Conv", ["all", "kernel", "bias"], ["filled"], pads=[1, 1, 1, 1]),
    ]
    return _save(
        path,
        nodes,
        {"image": 3, "mask": 1, "noise": 1},
        3,
        [("kernel", kernel), ("bias", np.full(3, level, np.float32))],
        method,
    )


def write_unmasking(path: Path) -> Path:
    """A network that looks at the cover: half of what it sees of it, and a tenth of the noise."""
    kernel = np.zeros((3, 5, 1, 1), np.float32)
    for channel in range(3):
        kernel[channel, channel], kernel[channel, 4] = 0.5, 0.1
    nodes = [
        helper.make_node("Concat", ["worn", "mask", "noise"], ["all"], axis=1),
        helper.make_node("Conv", ["all", "kernel"], ["filled"]),
    ]
    return _save(path, nodes, {"worn": 3, "mask": 1, "noise": 1}, 3, [("kernel", kernel)], "masked_gan")


def write_cover(path: Path) -> Path:
    """A network that calls a pixel covered where it is much bluer than red, (N, 3, H, W) to (N, 1, H, W)."""
    kernel = np.array([-20.0, 0, 20.0], np.float32).reshape(1, 3, 1, 1)
    nodes = [
        helper.make_node("Conv", ["worn", "kernel", "bias"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["filled"]),
    ]
    return _save(path, nodes, {"worn": 3}, 1, [("kernel", kernel), ("bias", np.array([-24], np.float32))], "cover")


def _save(
    path: Path,
    nodes: list[object],
    inputs: dict[str, int],
    planes: int,
    weights: list[tuple[str, np.ndarray]],
    method: str | None,
) -> Path:
    def port(name: str, channels: int) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, "h", "w"])

    graph = helper.make_graph(
        nodes,
        "tiny",
        [port(name, channels) for name, channels in inputs.items()],
        [port("filled", planes)],
        [numpy_helper.from_array(values, name) for name, values in weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if method:
        model.metadata_props.add(key="facefill.method", value=method)
    save_model(model, path)
    return path
