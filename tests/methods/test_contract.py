"""What every method promises. A new one is covered by its line in CLASSES."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from facefill.catalog import METHODS
from facefill.methods import CLASSES
from facefill.methods.base import Method
from facefill.methods.opened import open_method
from facefill.training.checkpoint import save_weights

NAMES = sorted(CLASSES)
SEARCH = {
    "width": 4,
    "critic_width": 4,
    "code_length": 8,
    "encoder_width": 4,
    "iterations": 6,
    "restarts": 2,
    "bf16": False,
}
SMALL: dict[str, dict[str, Any]] = {
    "swift": {
        "small_widths": (8, 16),
        "detail_widths": (8, 16),
        "bottom_dilations": (1,),
        "critic_widths": (8, 8, 8),
        "detail_critic_widths": (8, 8, 8),
    },
    "context_encoder": {"widths": (8, 8, 8, 8, 8, 8), "bottleneck": 8},
    "contextual_attention": {"width": 4, "critic_width": 4, "adversarial": 0.001},
    "masked_gan": {"widths": (8, 8, 8, 8, 8, 8), "noise": 2, "critic_width": 4},
    "latent_search": SEARCH,
    "dip": SEARCH,
}
"""Settings that make a method small enough for a test; not one of them changes what is promised."""


def build(name: str) -> Method:
    torch.manual_seed(0)
    kind = CLASSES[name]
    return kind(kind.Config.model_validate(SMALL.get(name, {})))


def example(method: Method, count: int = 2, side: int | None = None) -> dict[str, Tensor]:
    side = method.size or side or max(min(4 * method.stride, 128), 32)
    generator = torch.Generator().manual_seed(1)
    truth = torch.rand((count, 3, side, side), generator=generator) * 2 - 1
    mask = torch.zeros(count, 1, side, side)
    mask[:, :, side // 4 : side // 2, side // 4 : -side // 4] = 1
    landmarks = torch.tensor([[0.37, 0.48], [0.62, 0.48], [0.5, 0.62], [0.4, 0.75], [0.6, 0.75]]) * side
    worn = torch.where(mask > 0.5, 0.3, truth)
    return {
        "truth": truth,
        "mask": mask,
        "worn": worn,
        "image": torch.where(mask > 0.5, method.hole_value, worn),
        "landmarks": landmarks.expand(count, 5, 2),
        "seed": torch.arange(count),
    }


@pytest.fixture(params=NAMES)
def method(request: pytest.FixtureRequest) -> Method:
    return build(request.param)


def test_each_has_a_record_that_says_the_same() -> None:
    for name, kind in CLASSES.items():
        record = METHODS[name]
        assert record.inputs == kind.inputs
        assert record.stride == kind.stride
        assert record.hole_value == kind.hole_value
        assert not kind.size or record.of_side(kind.size) == record
        assert (record.kind == "onnx") == kind.exports


def test_shape_and_range(method: Method) -> None:
    completed = method.complete(example(method))
    assert completed.shape == example(method)["truth"].shape
    assert completed.abs().max() <= 1


def test_known_pixels_come_back_bit_for_bit(method: Method) -> None:
    batch = example(method)
    known = batch["mask"].expand_as(batch["truth"]) < 0.5
    assert torch.equal(method.complete(batch)[known], batch["image"][known])


def test_no_peeking_under_the_mask(method: Method) -> None:
    batch = example(method)
    other = dict(batch, truth=torch.where(batch["mask"] > 0.5, -batch["truth"], batch["truth"]))
    other["image"] = torch.where(batch["mask"] > 0.5, method.hole_value, other["truth"])
    assert torch.equal(method.complete(batch), method.complete(other))


def test_gradients_reach_exactly_the_players_parameters(method: Method) -> None:
    batch = example(method)
    for name, player in method.players.items():
        for parameter in method.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None
        for parameter in player.parameters():
            parameter.requires_grad_(True)
        torch.stack(list(method.losses(name, batch).values())).sum().backward()
        mine = {id(parameter) for parameter in player.parameters()}
        for parameter in method.parameters():
            assert (parameter.grad is not None) == (id(parameter) in mine)


def test_losses_are_finite_scalars(method: Method) -> None:
    batch = example(method)
    for name in method.players:
        for value in method.losses(name, batch).values():
            assert value.shape == ()
            assert torch.isfinite(value)


def test_any_size_in_multiples_of_the_stride(method: Method) -> None:
    if method.size is not None:
        pytest.skip("a method of one size")
    for factor in (3, 5):
        batch = example(method, 1, factor * method.stride)
        assert method.complete(batch).shape == batch["truth"].shape


def test_same_seed_same_result(method: Method) -> None:
    batch = example(method)
    with torch.no_grad():
        assert torch.equal(method.complete(batch), method.complete(batch))


def test_saved_and_opened_it_completes_the_same(method: Method, tmp_path: Path) -> None:
    name = next(name for name, kind in CLASSES.items() if type(method) is kind)
    batch = example(method)
    with torch.no_grad():
        for value in method.generator.state_dict().values():
            value.copy_(value.half())  # what a file holds
    about = {"method": name, "config": method.config.model_dump(mode="json")}
    save_weights(tmp_path / "saved.safetensors", method.generator.state_dict(), about)
    opened, called = open_method(tmp_path / "saved.safetensors")
    assert called == name
    with torch.no_grad():
        assert torch.equal(opened.complete(batch), method.eval().complete(batch))


def test_a_picture_does_not_depend_on_its_batch(method: Method) -> None:
    batch = example(method, 3)
    with torch.no_grad():
        together = method.complete(batch)
        alone = method.complete({name: values[1:2] for name, values in batch.items()})
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=0)


def test_it_learns_one_face(method: Method) -> None:
    if not method.exports:
        pytest.skip("it learns what faces look like, and completes by a search: tested by itself")
    batch = example(method, 1)
    optimizers = {name: torch.optim.Adam(player.parameters(), 2e-3) for name, player in method.players.items()}
    before = method.score(batch)
    for _ in range(40):
        for name, player in method.players.items():
            for parameter in method.parameters():
                parameter.requires_grad_(False)
            for parameter in player.parameters():
                parameter.requires_grad_(True)
            loss = torch.stack(list(method.losses(name, batch).values())).sum()
            optimizers[name].zero_grad()
            loss.backward()
            optimizers[name].step()
    assert method.score(batch) > before + 1
