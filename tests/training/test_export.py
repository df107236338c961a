"""An exported file computes what torch does, at any size, and says whose it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import load_model

from facefill.catalog import METHODS
from facefill.errors import InputError
from facefill.methods.opened import open_method as open_for_inference
from facefill.nets.texture import NOISE
from facefill.runtime.engine import load_engine
from facefill.runtime.model import load
from facefill.training import export as module
from facefill.training.checkpoint import load_weights, save_weights
from facefill.training.export import export, open_method
from facefill.training.recipe import build_method

SMALL: dict[str, dict[str, Any]] = {
    "swift": {"small_widths": (8, 8, 8, 16), "detail_widths": (8, 8, 16), "bottom_dilations": (1,)},
    "context_encoder": {"widths": (4,) * 6, "bottleneck": 4},
    "masked_gan": {"widths": (4,) * 6, "noise": 2, "critic_width": 4},
    "cover": {"widths": (8, 8, 16), "bottom_dilations": (1,)},
}


def write_weights(folder: Path, name: str) -> Path:
    torch.manual_seed(0)
    method = build_method(name, SMALL[name])
    for kept in method.generator.buffers():  # the sketches, else none would show
        kept.uniform_(-1, 1)
    path = folder / f"{name}.safetensors"
    save_weights(path, dict(method.generator.state_dict()), {"method": name, "config": SMALL[name]})
    return path


def test_a_setting_that_only_an_earlier_version_had_does_not_close_its_weights(tmp_path: Path) -> None:
    whole = write_weights(tmp_path, "swift")
    tensors, _ = load_weights(whole)
    save_weights(tmp_path / "old.safetensors", tensors, {"method": "swift", "config": {**SMALL["swift"], "scales": 2}})
    (_, same), (opened, _) = open_for_inference(whole), open_for_inference(tmp_path / "old.safetensors")
    assert same == "swift"
    for method in (opened, open_method(tmp_path / "old.safetensors")):
        assert all(torch.equal(value, tensors[name].float()) for name, value in method.generator.state_dict().items())


@pytest.mark.parametrize("name", sorted(SMALL))
def test_onnx_computes_what_torch_does(name: str, tmp_path: Path) -> None:
    weights = write_weights(tmp_path, name)
    differences = export(weights, tmp_path / "out.onnx")
    assert {difference.engine for difference in differences} == {"openvino", "onnxruntime"}
    assert all(difference.largest < 1e-4 for difference in differences)
    assert load_engine(tmp_path / "out.onnx").metadata["facefill.method"] == name
    # No tensor is stored twice: beside the weights there is only what the method computes with.
    stored = sum(len(tensor.raw_data) for tensor in load_model(tmp_path / "out.onnx").graph.initializer)
    assert stored < weights.stat().st_size + 5_000 + (2 * NOISE.numel() if name == "swift" else 0)
    ours, theirs = load_weights(weights)[0], load_weights(tmp_path / "out.onnx")[0]
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value.float(), theirs[key].float()) for key, value in ours.items()), "training can go on"
    if name == "swift":
        model, method = load(tmp_path / "out.onnx", threads=1, exact=True), open_method(weights)
        face = np.random.default_rng(0).integers(0, 256, (1, 128, 64, 3), np.uint8)
        mask = np.zeros((1, 128, 64), bool)
        mask[:, 20:60, 10:30] = True
        image = torch.where(
            torch.from_numpy(mask)[:, None], 0.0, torch.from_numpy(face).permute(0, 3, 1, 2).float() / 127.5 - 1
        )
        with torch.no_grad():
            filled = method(**method.shown({"image": image, "mask": torch.from_numpy(mask)[:, None].float()}))
        levels = ((filled + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).numpy()
        filled = model.fill(face, mask, [0], range(1), {})[:, 0]
        assert np.abs(filled[mask].astype(float) - levels[mask]).max() <= 1


def test_what_only_hidden_eyes_need_is_a_branch(tmp_path: Path) -> None:
    export(write_weights(tmp_path, "swift"), tmp_path / "out.onnx")
    (choice,) = (node for node in load_model(tmp_path / "out.onnx").graph.node if node.op_type == "If")
    kinds = {part.name: {node.op_type for node in part.g.node} for part in choice.attribute}
    assert kinds["else_branch"] == {"Identity"}
    assert {"Conv", "GridSample"} <= kinds["then_branch"]


def test_a_file_runs_where_nobody_knows_its_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = METHODS["context_encoder"].model_copy(update={"name": "theirs", "hole_value": 0.25, "blend": "paste"})
    weights = write_weights(tmp_path, "context_encoder")
    monkeypatch.setitem(METHODS, "context_encoder", record)
    export(weights, tmp_path / "theirs.onnx")
    monkeypatch.delitem(METHODS, "context_encoder")
    model = load(tmp_path / "theirs.onnx", threads=1)
    assert model.record == record
    face, mask = np.full((1, 64, 64, 3), 90, np.uint8), np.zeros((1, 64, 64), bool)
    mask[:, 20:40, 20:40] = True
    assert (model.complete(face, mask)[0, 0][~mask[0]] == 90).all()


def test_a_file_that_differs_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "compare", lambda *words: [module.Deviation("openvino", 0.5, 0.1)])
    with pytest.raises(InputError, match="within"):
        export(write_weights(tmp_path, "cover"), tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()
