"""The search and the networks that it searches, with settings small enough for a test."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from facefill.errors import InputError
from facefill.imaging.crop import Crop
from facefill.methods.latent_search import PAPER_BOUNDS, Dip, LatentSearch, LatentSearchConfig
from facefill.nets.dcgan import folded
from facefill.nets.ssim import Likeness
from facefill.runtime import model as runtime
from facefill.training.checkpoint import save_weights

SMALL: dict[str, Any] = {"width": 4, "critic_width": 4, "code_length": 8, "encoder_width": 4, "bf16": False}


def build(kind: type[LatentSearch] = LatentSearch, **settings: Any) -> LatentSearch:
    torch.manual_seed(0)
    method = kind(LatentSearchConfig(**{**SMALL, **settings}))
    for network in (method.generator.faces, method.generator.critic):
        for parameter in network.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return method.eval()


def pictures(count: int) -> tuple[Tensor, Tensor]:
    """Random pictures, and masks of their upper halves."""
    mask = torch.zeros(count, 1, 64, 64)
    mask[:, :, :32] = 1
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1, mask


def test_weights_beside_one_missing_pixel_are_those_of_equation_7() -> None:
    known = torch.ones(1, 1, 64, 64)
    known[0, 0, 20, 30] = 0
    weight = build().border_weight(known)[0, 0]
    beside = torch.zeros(64, 64, dtype=torch.bool)
    beside[17:24, 27:34] = True
    torch.testing.assert_close(weight[beside], torch.full((49,), 1 + 2 / 49))
    assert (weight[~beside] == 1).all()


def test_likeness_is_scikit_image_s_ssim() -> None:
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    ours = rng.random((40, 40, 3), np.float32)
    other = np.clip(ours + 0.2 * rng.standard_normal(ours.shape, np.float32), 0, 1)
    _, everywhere = structural_similarity(
        ours,
        other,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=-1,
        data_range=1,
        full=True,
    )
    tensors = [torch.from_numpy(picture).permute(2, 0, 1)[None] for picture in (ours, other)]
    assert float(Likeness(40)(*tensors)) == pytest.approx(everywhere[5:-5, 5:-5].mean(), abs=1e-4)


def test_likeness_is_the_same_under_autocast() -> None:
    image, _ = pictures(2)
    dark = (image + 1) / 40
    with torch.autocast("cpu", torch.bfloat16):
        got = Likeness(64)(dark, dark.flip(3))
    torch.testing.assert_close(got, Likeness(64)(dark, dark.flip(3)))


def test_both_terms_are_0_at_the_good_bound_1_at_the_bad_one_and_go_on_beyond() -> None:
    method = build(bounds="paper")
    c_min, c_max, s_min, s_max = PAPER_BOUNDS
    image, mask = pictures(1)
    known = method.look(image, mask)
    same = method.weigh(image, torch.zeros(1, 2), known)
    assert float(same["context"]) == pytest.approx(0.2 * -c_min / (c_max - c_min), abs=1e-5)
    assert float(same["structure"]) == pytest.approx(0.797 * (s_max - 1) / (s_max - s_min), abs=1e-5)
    assert float(same["adversarial"]) == pytest.approx(0.003 * np.log(0.5), abs=1e-6)
    assert [float(method.clamped(name, same[name])) for name in ("context", "structure")] == [0, 0]
    assert pytest.approx((2800 - 3 * 687, 2800 + 3 * 687, 0.4836 - 3 * 0.1198, 0.4836 + 3 * 0.1198)) == PAPER_BOUNDS


def test_l1_counts_known_pixels_only_and_does_not_shrink_with_the_hole() -> None:
    method = build(border=0)
    for rows in (8, 48):
        mask = torch.zeros(1, 1, 64, 64)
        mask[:, :, :rows] = 1
        image = torch.zeros(1, 3, 64, 64)
        off = torch.where(mask > 0.5, 1.0, image + 0.2)
        distance, _ = method.measure(off, method.look(image, mask))
        assert float(distance) == pytest.approx(0.1 * 3 * 64 * 64, rel=1e-4)


def test_dip_weighs_known_pixels_by_their_neighbourhood_s_missing_share() -> None:
    known = np.ones((64, 64))
    known[10:20, 0:30] = 0
    known[60, 61] = 0
    mirrored = np.pad(1 - known, 3, mode="symmetric")
    naive = [[mirrored[row : row + 7, column : column + 7].mean() for column in range(64)] for row in range(64)]
    weight = build(Dip).border_weight(torch.from_numpy(known).float()[None, None])[0, 0]
    torch.testing.assert_close(weight, torch.tensor(naive, dtype=torch.float32), atol=1e-6, rtol=0)
    assert (build(Dip, border=0).border_weight(torch.ones(1, 1, 64, 64)) == 1).all()


def test_pixels_far_from_the_hole_do_not_move_dip() -> None:
    method = build(Dip)
    image, mask = pictures(1)
    other = image.clone()
    other[:, :, 35:] *= -1  # the hole ends at row 31; a block reaches 3 pixels
    same, far = (method.weigh(face, torch.zeros(1, 2), method.look(image, mask))["context"] for face in (image, other))
    assert max(float(same), float(far)) < 1e-8


def test_dip_is_the_weighted_l1_and_its_prior() -> None:
    method = build(Dip)
    image, mask = pictures(1)
    other = -image
    terms = method.weigh(other, torch.tensor([[1.0, 0.0]]), method.look(image, mask))
    values = 3 * 64 * 64
    expected = float(((other - image).abs() * (1 - mask) * method.border_weight(1 - mask)).sum())
    assert float(terms["context"]) * values == pytest.approx(expected, rel=1e-5)
    assert float(terms["adversarial"]) * values == pytest.approx(0.003 * -np.log1p(np.exp(-1)), rel=1e-4)
    assert set(terms) == {"adversarial", "context"}


@pytest.mark.parametrize("kind", [LatentSearch, Dip])
def test_searching_longer_finds_a_lower_loss(kind: type[LatentSearch]) -> None:
    image, mask = pictures(2)
    seeds = torch.tensor([3, 4])
    short, long = (build(kind, iterations=steps, patience=100).search(image, mask, seeds) for steps in (1, 30))
    assert (long.loss < short.loss).all()
    assert (long.codes.abs() <= 1).all()
    assert (long.steps == 30).all()


def test_of_several_restarts_the_one_with_the_lowest_loss_wins() -> None:
    image, mask = pictures(1)
    several = build(iterations=4, restarts=3)
    codes, _ = several._descend(
        several.draw_codes(torch.tensor([7]), 3),
        several.look(*(part.repeat_interleave(3, 0) for part in (image, mask))),
    )
    with torch.no_grad():
        faces = several.generator.faces(codes)
        known = several.look(image.expand(3, -1, -1, -1), mask.expand(3, -1, -1, -1))
        terms = several.weigh(faces, several.generator.critic(faces), known)
    losses = torch.stack(list(terms.values())).sum(0)
    found = several.search(image, mask, torch.tensor([7]))
    assert losses.unique().numel() == 3
    torch.testing.assert_close(found.loss[0], losses.min())
    torch.testing.assert_close(found.codes[0], codes[losses.argmin()])


def test_rows_that_stand_still_stop_and_the_others_go_on() -> None:
    method = build(iterations=200, patience=4, better=0.02)
    image, mask = pictures(3)
    found = method.search(image, mask, torch.arange(3))
    assert (found.steps < 200).all()
    assert found.steps.unique().numel() > 1
    alone = method.search(image[1:2], mask[1:2], torch.tensor([1]))
    torch.testing.assert_close(alone.codes[0], found.codes[1], atol=1e-4, rtol=1e-4)
    assert alone.steps[0] == found.steps[1]


def test_rows_that_do_not_fit_are_searched_in_turn() -> None:
    image, mask = pictures(3)
    seeds = torch.arange(3)
    one, three = (build(iterations=5, rows=rows).search(image, mask, seeds) for rows in (1, 64))
    torch.testing.assert_close(one.faces, three.faces, atol=1e-5, rtol=1e-5)


def test_the_encoder_starts_the_first_restart() -> None:
    method = build(start="encoder", restarts=3)
    image, mask = pictures(2)
    starts = method.starts(image, mask, torch.arange(2)).view(2, 3, -1)
    with torch.no_grad():
        guess = method.generator.encoder(torch.where(mask > 0.5, 0.0, image), mask)
    torch.testing.assert_close(starts[:, 0], guess)
    assert (starts[:, 1] != guess).all()


def test_a_search_that_the_mean_face_beats_says_so(caplog: pytest.LogCaptureFixture) -> None:
    method = build(iterations=2)
    image, mask = pictures(2)
    method.generator.mean_face.copy_(image[0])
    with caplog.at_level(logging.WARNING):
        found = method.search(image, mask, torch.arange(2))
    assert found.lost.tolist()[0] is True
    assert "mean face" in caplog.text


def test_the_log_has_the_terms_as_equations_5_and_6_clamp_them(caplog: pytest.LogCaptureFixture) -> None:
    method = build(iterations=2)
    method.generator.bounds.copy_(torch.tensor([1e5, 2e5, 0.0, 1.0]))  # every l1 lies below c_min
    with caplog.at_level(logging.INFO, "facefill"):
        found = method.search(*pictures(2), torch.arange(2))
    assert float(found.terms["context"].abs().max()) == 0
    assert ((found.terms["structure"] > 0) & (found.terms["structure"] <= 1)).all()
    assert "2 faces: mean loss 0." in caplog.text
    assert "context 0.000, structure 0." in caplog.text


def test_folded_networks_compute_the_same() -> None:
    method = build()
    codes = method.draw_codes(torch.arange(3))
    with torch.no_grad():
        faces = method.generator.faces(codes)
        quick = folded(method.generator.faces.layers, torch.float32)(codes[:, :, None, None])
        torch.testing.assert_close(quick, faces, atol=1e-5, rtol=1e-4)
        logits = folded(method.generator.critic.layers, torch.float32)(faces).flatten(1)
        torch.testing.assert_close(logits, method.generator.critic(faces), atol=1e-5, rtol=1e-4)


def test_symmetry_and_the_mean_face_are_terms_that_a_mirrored_and_a_mean_face_do_not_pay() -> None:
    method = build(symmetry=1.0, mean_face=1.0)
    image, mask = pictures(1)
    mirrored = (image + image.flip(3)) / 2
    method.generator.mean_face.copy_(mirrored[0])
    known = method.look(image, mask)
    good, bad = (method.weigh(face, torch.zeros(1, 2), known) for face in (mirrored, image))
    for name in ("symmetry", "mean_face"):
        assert float(good[name]) == pytest.approx(0, abs=1e-5)
        assert float(bad[name]) > 0.1


def test_symmetry_is_about_the_landmarks_because_an_aligned_crop_is() -> None:
    face = 4 * np.array([[-20, 0], [20, 0], [0, 15], [-14, 32], [14, 32]], float)
    turn = np.radians(25)
    placed = face @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + (400, 300)
    crop = Crop.around_face(placed, 64)
    landmarks = crop.to_crop(placed)
    mirrored = np.stack([63 - landmarks[:, 0], landmarks[:, 1]], 1)
    two_photo_px = 2 / crop.scale
    np.testing.assert_allclose(mirrored[[1, 0, 2, 4, 3]], landmarks, atol=two_photo_px)


def test_the_networks_learn_the_colour_of_faces() -> None:
    torch.manual_seed(0)
    method = LatentSearch(LatentSearchConfig(**{**SMALL, "width": 8}))
    truth = torch.tensor([0.6, -0.6, 0.2]).view(1, 3, 1, 1).expand(8, 3, 64, 64)
    optimizers = {
        name: torch.optim.Adam(player.parameters(), 1e-2, (0.5, 0.999)) for name, player in method.players.items()
    }

    def gap() -> float:
        with torch.no_grad():
            return float((method.generator.faces.train()(method.draw_codes(torch.arange(8))) - truth).abs().mean())

    before = gap()
    for step in range(40):
        batch = {"truth": truth, "seed": torch.arange(8) + 8 * step}
        for name in method.players:
            optimizers[name].zero_grad()
            torch.stack(list(method.losses(name, batch).values())).sum().backward()
            optimizers[name].step()
    assert gap() < 0.6 * before


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    method = build(iterations=4)
    path = tmp_path / "small.safetensors"
    about = {"method": "latent_search", "config": method.config.model_dump(mode="json")}
    save_weights(path, method.generator.state_dict(), about)
    return path


def test_a_model_completes_in_several_ways_and_keeps_the_known_pixels(weights: Path) -> None:
    model = runtime.load(weights, threads=1)
    faces = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    masks = np.zeros((2, 64, 64), bool)
    masks[:, 20:46, 14:52] = True
    got = model.complete(faces, masks, seeds=[5, 6], samples=3)
    assert got.shape == (2, 3, 64, 64, 3)
    for sample in range(3):
        assert (got[:, sample][~masks] == faces[~masks]).all()
    assert (got[:, 0] != got[:, 1]).any()
    assert (model.complete(faces, masks, seeds=[5, 6], samples=3) == got).all()
    assert (model.complete(faces[1:], masks[1:], seeds=[6])[0, 0] == got[1, 0]).all()


def test_settings_named_at_loading_replace_those_of_the_weights(weights: Path) -> None:
    model: Any = runtime.load(weights, threads=1, settings=["restarts=2", "bounds=paper"])
    assert model.method.config.restarts == 2
    assert model.method.limits() == PAPER_BOUNDS
    assert model.method.config.iterations == 4


@pytest.mark.parametrize(
    ("name", "setting", "said"),
    [
        ("small.safetensors", "restart=2", "restarts"),
        ("small.safetensors", "width=8", "fit"),
        ("telea", "restarts=2", "a method with settings"),
        ("some.onnx", "restarts=2", "a method with settings"),
    ],
)
def test_settings_that_nothing_has_are_refused(weights: Path, name: str, setting: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        runtime.load(weights.with_name(name) if "." in name else name, threads=1, settings=[setting])


def test_without_torch_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"torch.*pip install 'facefill\[train\]'"):
        runtime.load("latent_search")
