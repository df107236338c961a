"""The perceptual distance: zero for equal pictures, differentiable, and never silently left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from facefill.errors import InputError
from facefill.methods.swift import Swift, SwiftConfig
from facefill.nets.perceptual import Perceptual, unit_distance

SQUEEZED = {2: 4, 3: 4, 4: 4, 5: 4, 6: 6, 7: 6, 8: 8, 9: 8}


def write_net(path: Path) -> Path:
    """SqueezeNet's layers with few channels and seeded weights."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}

    def layer(name: str, outputs: int, inputs: int, kernel: int) -> None:
        arrays[f"{name}.w"] = rng.normal(0, 0.2, (outputs, inputs, kernel, kernel)).astype(np.float16)
        arrays[f"{name}.b"] = rng.normal(0, 0.1, outputs).astype(np.float16)

    layer("conv1", 8, 3, 3)
    before = 8
    for index, squeezed in SQUEEZED.items():
        layer(f"fire{index}/squeeze1x1", squeezed, before, 1)
        layer(f"fire{index}/expand1x1", 2 * squeezed, squeezed, 1)
        layer(f"fire{index}/expand3x3", 2 * squeezed, squeezed, 3)
        before = 4 * squeezed
    np.savez(path, **arrays)
    return path


def test_distance_of_equal_pictures_is_zero_and_grows_with_the_hole(tmp_path: Path) -> None:
    net = Perceptual(write_net(tmp_path / "net.npz"))
    truth = torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(0)) * 2 - 1
    spoiled = truth.clone()
    spoiled[0, :, 20:30, 20:30] = 0
    spoiled[1, :, 10:50, 10:50] = 0
    near, far = net(spoiled, truth)
    assert net(truth, truth).abs().max() < 1e-5
    assert 0 < near < far
    assert len(net.features(truth)) == 7
    assert not list(net.parameters())
    assert not net.state_dict()


def test_the_distance_multiplied_out_is_that_of_vectors_of_unit_length() -> None:
    a, b = torch.rand((2, 2, 8, 5, 5), generator=torch.Generator().manual_seed(1))
    a[0, :, 2, 2] = 0
    b[1, :, 3, 3] = 1e-5
    a.requires_grad_()
    wanted = (F.normalize(a, dim=1, eps=1e-3) - F.normalize(b, dim=1, eps=1e-3)).square().sum(1)
    torch.testing.assert_close(unit_distance(a, b), wanted, atol=1e-5, rtol=0)
    gradients = [torch.autograd.grad(distance.sum(), a)[0] for distance in (unit_distance(a, b), wanted)]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    away = a.detach().norm(dim=1, keepdim=True).expand_as(a) > 0
    torch.testing.assert_close(gradients[0][away], gradients[1][away], atol=1e-4, rtol=1e-4)


def test_a_missing_file_is_one_line_and_only_training_asks_for_it(tmp_path: Path) -> None:
    small = {
        "small_widths": (8, 16),
        "detail_widths": (8, 16),
        "bottom_dilations": (1,),
        "adversarial": 0.0,
        "perceptual": 1.0,
    }
    swift = Swift(SwiftConfig.model_validate(small))
    picture, mask = torch.zeros(1, 3, 128, 128), torch.ones(1, 1, 128, 128)
    batch = {"image": picture, "truth": picture, "mask": mask, "seed": torch.arange(1)}
    assert swift.complete(batch).shape == picture.shape
    with pytest.raises(InputError, match="perceptual_net"):
        swift.losses("small", batch)
    net = write_net(tmp_path / "net.npz")
    swift = Swift(SwiftConfig.model_validate({**small, "perceptual_net": net}))
    terms = swift.losses("small", batch)
    terms["perceptual"].backward()
    assert terms["perceptual"] > 0
    assert not any("perceptual" in name for name in swift.state_dict())
