"""A tiny face embedder: means over an 8 × 8 grid of the picture's three channels."""

from __future__ import annotations

from pathlib import Path

from onnx import TensorProto, helper, save_model


def write_embedder(path: Path) -> Path:
    nodes = [
        helper.make_node("AveragePool", ["picture"], ["means"], kernel_shape=[14, 14], strides=[14, 14]),
        helper.make_node("Flatten", ["means"], ["vector"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, 192])],
    )
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path
