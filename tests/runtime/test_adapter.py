"""Networks of other people: each range, polarity and layout fills the same hole with the same colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save_model

from facefill.errors import InputError
from facefill.runtime.adapter import ADAPTERS, Adapter, read_adapter
from facefill.runtime.model import load

COLOUR = (200, 100, 40)


def write_foreign(path: Path, adapter: Adapter, names: tuple[str, str] = ("image", "mask")) -> Path:
    """A network that wants exactly what the adapter says: it paints missing pixels in COLOUR and darkens known ones to
    black, and where the picture still shows something in the hole, that shines through."""
    kind = TensorProto.UINT8 if adapter.whole_numbers else TensorProto.FLOAT

    def number(name: str, value: Any) -> Any:
        return numpy_helper.from_array(np.asarray(value, np.float32), name)

    side = adapter.size_px or "side"
    if adapter.mask:
        inputs = [
            helper.make_tensor_value_info(name, kind, ["n", channels, side, side])
            for name, channels in zip(names, (3, 1), strict=True)
        ]
        nodes = [
            helper.make_node("Cast", [names[0]], ["seen"], to=TensorProto.FLOAT),
            helper.make_node("Cast", [names[1]], ["hole"], to=TensorProto.FLOAT),
        ]
    else:
        inputs = [helper.make_tensor_value_info(names[0], kind, ["n", 4, side, side])]
        nodes = [helper.make_node("Split", [names[0], "parts"], ["hole", "seen"], axis=1)]
    levels = np.array(COLOUR, np.float32).reshape(1, 3, 1, 1) / 255
    painted = adapter.filled_black + levels * (adapter.filled_white - adapter.filled_black)
    weights = [
        number("known", adapter.known),
        number("span", adapter.missing - adapter.known),
        number("blank", adapter.hole),
        number("painted", painted),
        numpy_helper.from_array(np.array([1, 3], np.int64), "parts"),
    ]
    nodes += [
        helper.make_node("Sub", ["hole", "known"], ["above"]),
        helper.make_node("Div", ["above", "span"], ["share"]),  # 1 where missing
        helper.make_node("Sub", ["seen", "blank"], ["leaks"]),
        helper.make_node("Add", ["leaks", "painted"], ["colour"]),
        helper.make_node("Mul", ["colour", "share"], ["result" if not adapter.whole_numbers else "exact"]),
    ]
    if adapter.whole_numbers:
        nodes.append(helper.make_node("Cast", ["exact"], ["result"], to=TensorProto.UINT8))
    graph = helper.make_graph(
        nodes, "foreign", inputs, [helper.make_tensor_value_info("result", kind, ["n", 3, side, side])], weights
    )
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.mark.parametrize("name", [*ADAPTERS, "own.toml"])
def test_a_foreign_network_fills_the_hole_and_sees_nothing_of_it(name: str, tmp_path: Path) -> None:
    if name == "own.toml":
        name = str(tmp_path / name)
        Path(name).write_text(
            'picture = "rgb"\nmask = "valid"\nblack = -1\nhole = -1\nknown = 1\nmissing = 0\n'
            "stride = 16\nfilled_black = -1\n"
        )
    adapter = read_adapter(name)
    path = write_foreign(tmp_path / "their.onnx", adapter, (adapter.picture, adapter.mask or "unused"))
    model = load(path, threads=1, exact=True, adapter=name)
    assert (model.name, model.record.stride) == ("their", adapter.stride)
    assert model.record.fixed_size == bool(adapter.size_px)
    side = adapter.size_px or 48
    face = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
    mask = np.zeros((2, side, side), bool)
    mask[0, 10:30, 5:20] = mask[1, 20:44, 8:40] = True
    completed = model.complete(face, mask)[:, 0]
    assert (completed[~mask] == face[~mask]).all()
    assert np.abs(completed[mask].astype(int) - COLOUR).max() <= 1


def test_what_does_not_fit_is_one_line(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "their.onnx", ADAPTERS["migan"])
    face, mask = np.zeros((1, 64, 64, 3), np.uint8), np.ones((1, 64, 64), bool)
    with pytest.raises(InputError, match=r"without a method's name.*--adapter lama"):
        load(path)
    with pytest.raises(InputError, match="did you mean 'lama'"):
        load(path, adapter="llama")
    (tmp_path / "odd.toml").write_text('pictur = "x"\n')
    with pytest.raises(InputError, match="picture"):
        load(path, adapter=str(tmp_path / "odd.toml"))
    (tmp_path / "other.toml").write_text('picture = "x"\n')
    with pytest.raises(InputError, match="takes x and mask"):
        load(path, threads=1, adapter=str(tmp_path / "other.toml")).complete(face, mask)
