"""What is measured for trained weights: constants of latent_search, recomputed, and eyes of swift."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from facefill.methods.latent_search import LatentSearch, LatentSearchConfig
from facefill.training.checkpoint import load_weights, save_weights
from facefill.training.settle import settle, settle_weights
from tests.command import Run
from tests.toy_datasets import write_dataset
from tests.training.test_export import write_weights


def build() -> LatentSearch:
    torch.manual_seed(0)
    return LatentSearch(LatentSearchConfig(width=4, critic_width=4, code_length=8, encoder_width=4))


def faces() -> torch.Tensor:
    return torch.rand((3, 3, 64, 64), generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_bounds_are_mean_and_three_deviations_of_all_pairs() -> None:
    method, truth = build(), faces()
    settled = settle(method, truth, 256)
    assert settled.distances.shape == settled.likeness.shape == (3, 256)
    with torch.no_grad():
        made = method.generator.faces(method.draw_codes(torch.arange(256)))
    expected = ((truth[1] - made[7]).abs() / 2).sum()
    assert settled.distances[1, 7] == pytest.approx(float(expected), rel=1e-4)
    c_min, c_max, s_min, s_max = method.generator.bounds.tolist()
    assert (c_min + c_max) / 2 == pytest.approx(settled.distances.mean(), rel=1e-5)
    assert (s_max - s_min) / 6 == pytest.approx(settled.likeness.std(), rel=1e-4)
    torch.testing.assert_close(method.generator.mean_face, made.mean(0), atol=1e-5, rtol=1e-4)


def test_normalisation_matches_the_faces_that_are_generated() -> None:
    method = build()
    settle(method, faces(), 640)
    layers = [layer for layer in method.generator.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert all(layer.momentum == 0.1 and not layer.training for layer in layers), "nothing of measuring stays"
    values: list[torch.Tensor] = []
    first = method.generator.faces.layers[1]
    first.register_forward_hook(lambda layer, inputs, output: values.append(output))
    with torch.no_grad():
        method.generator.faces(method.draw_codes(torch.arange(5000, 5500)))
    channels = values[0].transpose(0, 1).flatten(1)
    normal = (channels - first.bias[:, None]) / first.weight[:, None]
    np.testing.assert_allclose(normal.mean(1).detach(), 0, atol=0.15)
    np.testing.assert_allclose(normal.std(1).detach(), 1, atol=0.15)


def test_a_file_keeps_them(tmp_path: Path) -> None:
    method, weights, out = build(), tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_weights(
        weights,
        method.generator.state_dict(),
        {"method": "latent_search", "config": method.config.model_dump(mode="json")},
    )
    settled = settle_weights(weights, out, faces(), 128)
    tensors, about = load_weights(out, "latent_search")
    assert about["bounds"] == pytest.approx(settled.bounds)
    assert tensors["bounds"].float().tolist() == pytest.approx(settled.bounds, rel=1e-3)


def test_swift_gets_the_eyes_of_the_faces_that_are_sharp_and_not_left_out(tmp_path: Path, run: Run) -> None:
    weights, out = write_weights(tmp_path, "swift"), tmp_path / "out.safetensors"
    faces = write_dataset(tmp_path / "faces", 4, side=256)
    (tmp_path / "worn.txt").write_text("face001.png\n")
    assert run("settle", weights, faces, "-o", out, "--without", tmp_path / "worn.txt")[:2] == (0, "eyes of 3 faces\n")
    (before, _), (after, about) = load_weights(weights), load_weights(out, "swift")
    assert [name for name in before if not torch.equal(before[name].float(), after[name].float())] == ["sketches.eyes"]
    assert about["method"] == "swift"
    small = write_dataset(tmp_path / "small", 2, side=64)
    code, _, said = run("settle", weights, small, "-o", tmp_path / "none.safetensors")
    assert (code, said.count("\n")) == (2, 1)
    assert "200 px or more" in said
    assert not (tmp_path / "none.safetensors").exists()
