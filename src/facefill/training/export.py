"""Turns weights into an ONNX file that computes the same, and proves it."""

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from facefill.catalog import METHODS
from facefill.errors import InputError
from facefill.methods.opened import PREFIX, REST
from facefill.runtime.engine import Arrays, engine_kinds
from facefill.training.checkpoint import load_weights
from facefill.training.recipe import build_written

WORST = 2e-3
"""Largest difference from torch that is let through, on outputs of [-1, 1], in float32."""
EXAMPLE_PX = 96
"""Least side of the example that is traced: what is done block by block has more than one there, or the exporter takes
one for all."""
PLANES = {"image": 3, "worn": 3, "mask": 1, "noise": 1}
PLAIN_FACE = ((0.37, 0.48), (0.62, 0.48), (0.5, 0.62), (0.4, 0.75), (0.6, 0.75))
"""Landmarks of an example, over its side."""


@dataclass(frozen=True)
class Deviation:
    """How far an exported file is from torch, on outputs of [-1, 1]."""

    engine: str
    largest: float
    mean: float


class _ByPlace(nn.Module):
    """The exporter passes inputs by place, methods take them by name."""

    def __init__(self, method: Any) -> None:
        super().__init__()
        self.method, self.names = method, method.inputs

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        explained: tuple[Tensor, ...] = self.method.explain(**dict(zip(self.names, values, strict=True)))
        return explained


def open_method(weights: Path) -> Any:
    """A method with its generator as it was trained, ready for inference; also cover and finder.

    Raises InputError for a file that is not ours.
    """
    tensors, about = load_weights(weights)
    return _method_of(tensors, about)


def _method_of(tensors: dict[str, Tensor], about: dict[str, Any]) -> Any:
    method = build_written(about)
    method.generator.load_state_dict({name: value.float() for name, value in tensors.items()})
    return method.eval().requires_grad_(False)


def export(weights: Path, out: Path, *, half: bool = True, beside: Path | None = None) -> list[Deviation]:
    """Write an ONNX file (opset 18; batch free, and height and width where the method has no fixed size), which holds
    the weights as they are, so that training can go on from it.

    half: store the weights as float16, to which trained files are rounded already; the file computes in float32.
    beside: an ONNX file in the same folder, in which the tensors that it has too are left, as ONNX's external data.
    Returns the differences from torch for each engine that is installed.
    Raises InputError for a method that cannot be exported, and for a difference above `WORST`.
    """
    if beside and beside.resolve().parent != out.resolve().parent:
        raise InputError(f"a file in {out.resolve().parent}", str(beside), "copy it there first")
    tensors, about = load_weights(weights)
    method = _method_of(tensors, about)
    if not method.exports:
        raise InputError("a method that runs without gradients", about["method"], "use its .safetensors with torch")
    side = method.size or max(4 * method.stride, EXAMPLE_PX)
    model = _trace(method, side)
    _forget_origin(model)
    _rename_constants(model, tensors)
    _branch(model)
    del model.graph.value_info[:]  # sizes, which engines find themselves
    if half:
        _store_half(model)
    _describe(model, about, tensors, method.size)
    if beside:
        _leave(model, beside)
    out.write_bytes(model.SerializeToString())
    differences = compare(method, out, (side,) if method.size else (side, 2 * side))
    for difference in differences:
        if not difference.largest <= WORST:
            out.unlink()
            fix = "report this with the weights"
            raise InputError(f"ONNX within {WORST} of torch", f"{difference.largest:.1e} in {difference.engine}", fix)
    return differences


def _trace(method: Any, side: int) -> Any:
    """What the exporter makes of a method, from an example of that side."""
    example = _example(method, 2, side)
    free: dict[int, Any] = {0: torch.export.Dim("pictures", min=1, max=4096)}
    if method.size is None:
        for axis, name in ((2, "high"), (3, "wide")):
            free[axis] = method.stride * torch.export.Dim(name, min=1, max=512)
    program = torch.onnx.export(
        _ByPlace(method).eval(),
        tuple(example.values()),
        dynamo=True,
        opset_version=18,
        verbose=False,
        input_names=list(method.inputs),
        output_names=list(method.outputs),
        dynamic_shapes=(tuple({0: free[0]} if name == "landmarks" else free for name in example),),
        # Folded into convolutions, statistics of batches could not be read again, nor the weights be halved.
        optimize=not any(isinstance(layer, nn.BatchNorm2d) for layer in method.modules()),
    )
    assert program is not None
    return program.model_proto


def _describe(model: Any, about: dict[str, Any], tensors: dict[str, Tensor], side_px: int | None) -> None:
    """Say in the file what it is, and keep the weights that are not in its graph."""
    said = {"facefill.method": about["method"], "facefill.about": json.dumps(about, sort_keys=True)}
    if record := METHODS.get(about["method"]):  # so that an installation that does not know the method runs the file
        said["facefill.record"] = record.of_side(side_px).model_dump_json()
    if rest := _not_in(model, tensors):
        said[REST] = b64encode(save(rest)).decode()
    for key, value in said.items():
        model.metadata_props.add(key=key, value=value)


LARGE = 4096
"""Bytes from which a tensor is worth looking for in another file."""


def _leave(model: Any, beside: Path) -> None:
    """Refer to a file for the weights that it holds byte for byte."""
    from onnx import TensorProto

    held = beside.read_bytes()
    for tensor in model.graph.initializer:
        data = tensor.raw_data
        if not tensor.name.startswith(PREFIX) or len(data) < LARGE or (offset := held.find(data)) < 0:
            continue
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", beside.name), ("offset", offset), ("length", len(data))):
            tensor.external_data.add(key=key, value=str(value))


def _not_in(model: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those tensors of the weights that the exporter computed something of, or left out."""
    from onnx import numpy_helper

    stored = {part.name.removesuffix(".half"): numpy_helper.to_array(part) for part in model.graph.initializer}
    return {
        name: value
        for name, value in tensors.items()
        if (there := stored.get(PREFIX + name)) is None or not np.array_equal(there, value.numpy())
    }


def compare(method: Any, path: Path, sides: tuple[int, ...]) -> list[Deviation]:
    """The exported file in every engine that is installed, against torch, in float32."""
    found = []
    for name, open_engine in engine_kinds().items():
        engine = open_engine(path)
        gaps = [_gap(method, engine.run, side) for side in sides]
        found.append(Deviation(name, max(gap.max() for gap in gaps), float(np.mean([gap.mean() for gap in gaps]))))
    return found


def _gap(method: Any, run: Callable[[Arrays], Arrays], side: int) -> Any:
    example = _example(method, 3, side)  # more than were traced
    with torch.no_grad():
        expected = method(**example).numpy()
    got = next(iter(run({name: value.numpy() for name, value in example.items()}).values()))
    return np.abs(expected - got)


def _example(method: Any, count: int, side: int) -> dict[str, Tensor]:
    """Smooth pictures with holes, the same every time."""
    generator = torch.Generator().manual_seed(0)
    values = {}
    for name in method.inputs:
        if name == "landmarks":
            values[name] = torch.tensor(PLAIN_FACE).mul(side).expand(count, 5, 2).clone()
            values[name][1:] = torch.nan  # one face with landmarks, the others without
            continue
        coarse = torch.rand((count, PLANES[name], 8, 8), generator=generator) * 2 - 1
        fine = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
        values[name] = (fine > 0).float() if name == "mask" else fine
    if "mask" in values and "landmarks" in values:
        values["mask"][0, :, side // 4 : side * 7 // 8] = 1  # hides what they tell of
    return values


def _forget_origin(model: Any) -> None:
    """Drop what the exporter notes about where each node came from, which names files of the machine that exported."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
        part.ClearField("doc_string")


def _rename_constants(model: Any, tensors: dict[str, Tensor]) -> None:
    """Take the weights' prefix from constants of the code, which would be read as weights."""
    graph = model.graph
    others = {part.name for part in graph.initializer if part.name.startswith(PREFIX)} - {PREFIX + n for n in tensors}
    for part in graph.initializer:
        if part.name in others:
            part.name = f"constant.{part.name.removeprefix(PREFIX)}"
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in others:
                node.input[place] = f"constant.{name.removeprefix(PREFIX)}"


def _branch(model: Any) -> None:
    """Turn each choice between two tensors by a single truth value into a branch, so that what the first of them alone
    needs is not computed where it is not chosen."""
    from onnx import TensorProto, helper

    graph = model.graph
    single = {value.name for value in graph.value_info if not value.type.tensor_type.shape.dim}
    for choice in [node for node in graph.node if node.op_type == "Where" and node.input[0] in single]:
        condition, first, second = choice.input
        made_of = {name: list(node.input) for node in graph.node for name in node.output}
        made_of[choice.output[0]] = [condition, second]
        needed, wanted = set[str](), [value.name for value in graph.output]
        while wanted:
            needed.add(name := wanted.pop())
            wanted += set(made_of.get(name, [])) - needed
        branches = {}
        alone = [node for node in graph.node if needed.isdisjoint(node.output)]
        for way, nodes, value in (("then_branch", alone, first), ("else_branch", [], second)):
            end = helper.make_tensor_value_info(f"{choice.output[0]}.{way}", TensorProto.FLOAT, None)
            branches[way] = helper.make_graph(
                [*nodes, helper.make_node("Identity", [value], [end.name])], way, [], [end]
            )
        for node in alone:
            graph.node.remove(node)
        choice.CopyFrom(helper.make_node("If", [condition], list(choice.output), **branches))


def _store_half(model: Any) -> None:
    """Replace float32 weights by float16 ones with a cast behind each, which every engine folds at loading."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    for tensor in [t for t in graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) > 0]:
        values = numpy_helper.to_array(tensor)
        if values.size < 16 or (values.astype(np.float16) != values).any():  # what the exporter computed of weights
            continue
        name = tensor.name
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        graph.node.insert(0, helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
