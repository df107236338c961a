"""What is particular to contextual_attention's losses and outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from facefill.errors import InputError
from facefill.files.photo import read_photo
from facefill.methods.contextual_attention import ContextualAttention, ContextualAttentionConfig, _penalty
from facefill.runtime.engine import engine_kinds
from facefill.runtime.inpainter import open_inpainter
from facefill.training.checkpoint import save_weights
from facefill.training.export import export


def build(**settings: Any) -> ContextualAttention:
    torch.manual_seed(0)
    return ContextualAttention(ContextualAttentionConfig(width=4, critic_width=4, **settings))


def example(count: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    truth = torch.rand((count, 3, 32, 32), generator=generator) * 2 - 1
    mask = torch.zeros(count, 1, 32, 32)
    for index in range(count):
        mask[index, :, 8 : 20 + 2 * index, 6:22] = 1
    return {"truth": truth, "mask": mask, "image": torch.where(mask > 0.5, 1.0, truth), "seed": torch.arange(count)}


def test_the_network_has_the_size_that_the_paper_builds_on() -> None:
    method = ContextualAttention(ContextualAttentionConfig())
    assert 3.4e6 < sum(parameter.numel() for parameter in method.generator.parameters()) < 3.9e6


def test_the_coarse_stage_learns_from_its_reconstruction_only() -> None:
    method = build()
    terms = method.losses("generator", example(2))
    coarse = list(method.generator.coarse.parameters())
    for name in ("refined", "adversarial"):
        gradients = torch.autograd.grad(terms[name], coarse, allow_unused=True, retain_graph=True)
        assert all(gradient is None for gradient in gradients)
    assert all(gradient is not None for gradient in torch.autograd.grad(terms["coarse"], coarse))


def test_the_paper_s_weights_are_the_defaults() -> None:
    config = ContextualAttentionConfig()
    assert (config.reconstruction, config.adversarial, config.discount, config.penalty) == (1.2, 1.0, 0.99, 10.0)
    assert ContextualAttention.hole_value == 1.0


def test_l1_far_inside_the_hole_weighs_less() -> None:
    method, batch = build(adversarial=0.0), example(1)
    batch["mask"][:] = 0
    batch["mask"][:, :, :, :16] = 1
    guess, filled, _ = method.generator(batch["image"], batch["mask"])
    columns = torch.cat([0.99 ** torch.arange(16, 0, -1.0), torch.ones(16)])
    terms = method.losses("generator", batch)
    for name, picture, weight in (("coarse", guess, 1.0), ("refined", filled, 1.2)):
        expected = weight * ((picture - batch["truth"]).abs() * columns).mean()
        torch.testing.assert_close(terms[name], expected)


def test_known_pixels_weigh_what_the_recipe_says() -> None:
    batch = example(1)
    weighs = {
        known: build(adversarial=0.0, known=known).losses("generator", dict(batch))["coarse"]
        for known in (0.0, 0.25, 1.0)
    }
    assert float(weighs[0.0]) < float(weighs[0.25]) < float(weighs[1.0])
    torch.testing.assert_close(weighs[0.25] - weighs[0.0], (weighs[1.0] - weighs[0.0]) / 4)


def test_the_refinement_begins_where_the_coarse_stage_trained_alone_ended() -> None:
    alone, both, batch = build(learns="coarse"), build(), example(2)
    assert list(alone.players) == ["generator"]
    assert list(alone.losses("generator", dict(batch))) == ["coarse"]
    with torch.no_grad():
        for parameter in alone.generator.parameters():
            parameter.add_(0.01)
    both.generator.load_state_dict(alone.generator.state_dict())
    refinement, x = both.generator.refinement, torch.cat([batch["image"], batch["mask"]], 1)
    nn.init.zeros_(refinement.beside.weight)
    nn.init.zeros_(refinement.beside.bias)
    torch.testing.assert_close(refinement(x)[0], both.generator.coarse(x))
    torch.testing.assert_close(
        alone(image=batch["image"], mask=batch["mask"]), both.generator.first(batch["image"], batch["mask"])
    )


class Plane(nn.Module):
    """A critic whose gradient is known: 0.5 everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x.sum((1, 2, 3))


def test_the_penalty_counts_the_gradient_inside_the_hole() -> None:
    hole = torch.zeros(2, 1, 8, 8)
    hole[0, :, :4, :4] = 1
    hole[1] = 1
    pictures = torch.zeros(2, 3, 8, 8)
    got = _penalty(Plane(), pictures, pictures + 1, hole, torch.tensor([0.2, 0.8]).view(2, 1, 1, 1))
    lengths = [0.5 * (3 * 16) ** 0.5, 0.5 * (3 * 64) ** 0.5]
    assert float(got) == pytest.approx(np.mean([(length - 1) ** 2 for length in lengths]), rel=1e-5)


def test_under_autocast_the_penalty_and_its_gradient_stay_near_what_they_are_without() -> None:
    batch = example(2)
    torch.manual_seed(0)
    method = ContextualAttention(ContextualAttentionConfig(width=4, critic_width=16))
    completed = torch.where(batch["mask"] > 0.5, 0.0, batch["truth"])
    values, gradients = [], []
    for bf16 in (False, True):
        method.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            term = method.losses("critic", dict(batch, completed=completed))["penalty"]
        term.backward()
        values.append(float(term.detach()))
        gradients.append(
            torch.cat(
                [parameter.grad.flatten() for parameter in method.critic.parameters() if parameter.grad is not None]
            )
        )
    assert values[1] == pytest.approx(values[0], rel=0.01)
    assert torch.cosine_similarity(gradients[0], gradients[1], 0) > 0.99
    assert float(gradients[1].norm()) == pytest.approx(float(gradients[0].norm()), rel=0.05)


def test_critics_that_see_grey_leave_colour_to_l1() -> None:
    batch = example(2)
    tint = torch.tensor([0.2, -0.1, -0.1]).view(1, 3, 1, 1)
    for sees, same in (("grey", True), ("colour", False)):
        method = build(critics_see=sees)
        plain, tinted = (
            method.losses("critic", dict(batch, completed=0.5 * batch["truth"] + shift)) for shift in (0.0, tint)
        )
        assert torch.allclose(plain["critic_hole"], tinted["critic_hole"], atol=1e-6) is same
        last = method.generator.refinement.decoder[-1]
        nn.init.normal_(last.weight, std=0.01)  # nothing is clipped
        (gradient,) = torch.autograd.grad(method.losses("generator", dict(batch))["adversarial"], last.bias)
        assert torch.allclose(gradient, gradient.mean().expand(3), rtol=1e-4, atol=1e-7) is same


def test_losses_of_a_batch_are_the_mean_of_its_pictures() -> None:
    method, batch = build(), example(3)
    for player in method.players:
        together = method.losses(player, dict(batch))
        alone = [method.losses(player, {name: values[i : i + 1] for name, values in batch.items()}) for i in range(3)]
        for name, value in together.items():
            mean = torch.stack([terms[name] for terms in alone]).mean()
            torch.testing.assert_close(value, mean, atol=1e-5, rtol=1e-4)


def test_without_attention_nothing_is_borrowed() -> None:
    method, batch = build(attention=False), example(1)
    filled, offsets = method.explain(image=batch["image"], mask=batch["mask"])
    assert filled.shape == batch["truth"].shape
    assert offsets.shape == (1, 2, 4, 4)
    assert not offsets.any()


@pytest.mark.parametrize("side_px", [32, pytest.param(None, marks=pytest.mark.soak)])
def test_offsets_stay_inside_the_picture_and_the_exported_file_gives_them_too(
    tmp_path: Path, side_px: int | None
) -> None:
    # Of any size it takes the exporter half a minute: shapes are products of (h + 1)(w + 1) there, and blocks of rows a
    # loop. The shipped file has one size inside.
    method = build(side_px=side_px).eval()
    weights, out = tmp_path / "small.safetensors", tmp_path / "small.onnx"
    half = {name: value.half().float() for name, value in method.generator.state_dict().items()}
    method.generator.load_state_dict(half)
    save_weights(weights, half, {"method": "contextual_attention", "config": method.config.model_dump(mode="json")})
    assert all(difference.largest < 1e-3 for difference in export(weights, out))
    kinds = [node.op_type for node in onnx.load(out).graph.node]
    assert (kinds.count("Scan"), kinds.count("Softmax")) == ((1, 0) if side_px is None else (0, 1))
    batch = example(3)
    with torch.no_grad():
        filled, offsets = method.explain(image=batch["image"], mask=batch["mask"])
    rows, columns = torch.arange(4)[:, None], torch.arange(4)
    for offset, place in ((offsets[:, 0], rows), (offsets[:, 1], columns)):
        assert ((offset + place >= 0) & (offset + place < 4)).all()
    for kind in engine_kinds().values():
        got = kind(out).run({name: batch[name].numpy() for name in ("image", "mask")})
        assert list(got) == ["filled", "borrowed"]
        np.testing.assert_allclose(got["filled"], filled.numpy(), atol=1e-3)
        assert (got["borrowed"] == offsets.numpy()).mean() > 0.95
    # Engines pass one picture at a time; the file itself takes any number of them.
    if "onnxruntime" in engine_kinds():
        import onnxruntime

        session = onnxruntime.InferenceSession(str(out))
        together = session.run(None, {name: batch[name].numpy() for name in ("image", "mask")})
        np.testing.assert_allclose(together[0], filled.numpy(), atol=1e-3)


def test_weights_of_one_side_are_brought_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan brings faces of any size to it; the network resizes nothing."""
    method = build(side_px=32)
    weights, out = tmp_path / "small.safetensors", tmp_path / "small.onnx"
    save_weights(
        weights, method.generator.state_dict(), {"method": "contextual_attention", "config": method.config.model_dump()}
    )
    export(weights, out, half=False)
    assert "Resize" not in {node.op_type for node in onnx.load(out).graph.node}
    face, mask = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8), np.zeros((80, 80), bool)
    mask[20:60, 20:60] = mask[5, 5:70] = True
    drawn = []
    for path in (weights, out):
        inpainter = open_inpainter(str(path), threads=1, exact=True)
        shapes: set[tuple[int, ...]] = set()
        fill = inpainter.model.fill

        def seen(
            faces: Any, *others: Any, fill: Callable[..., Any] = fill, shapes: set[tuple[int, ...]] = shapes
        ) -> Any:
            shapes.add(faces.shape[1:3])
            return fill(faces, *others)

        monkeypatch.setattr(inpainter.model, "fill", seen)
        drawn.append(inpainter.complete(inpainter.plan_complete(read_photo(face), mask, aligned=True)).photo)
        assert shapes == {(32, 32)}
        with pytest.raises(InputError, match="32x32"):
            inpainter.model.complete(face[None], mask[None])
    assert np.abs(drawn[0].astype(int) - drawn[1]).max() <= 2
