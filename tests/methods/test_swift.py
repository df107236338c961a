"""swift: two stages, each with its own players; a grey photo stays grey; what is unknown changes nothing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facefill.arrays import mirror_points
from facefill.methods.base import draw_noise
from facefill.methods.swift import Swift, SwiftConfig, bend, cut_at_hole
from facefill.nets.enlargement import BICUBIC, BILINEAR, enlarge
from facefill.nets.hints import heat_maps, luminance
from facefill.nets.mending import mend
from facefill.nets.small_and_detail import brightest_near, is_grey, shrink
from facefill.nets.texture import sharp_places

SMALL = {
    "small_widths": (8, 16),
    "detail_widths": (8, 16),
    "bottom_dilations": (1,),
    "critic_widths": (8, 8, 8),
    "detail_critic_widths": (8, 8, 8),
}


def build(**settings: object) -> Swift:
    torch.manual_seed(0)
    return Swift(SwiftConfig.model_validate(SMALL | settings))


def example(count: int = 2, side: int = 128) -> dict[str, Tensor]:
    truth = torch.rand((count, 3, side, side), generator=torch.Generator().manual_seed(1)) * 2 - 1
    mask = torch.zeros(count, 1, side, side)
    mask[:, :, side // 2 :, side // 4 : -side // 4] = 1
    return {"truth": truth, "mask": mask, "image": truth * (1 - mask), "seed": torch.arange(count)}


def test_each_stage_moves_its_own_network_only() -> None:
    method = build()
    for player, other in (("small", "detail"), ("detail", "small")):
        method.zero_grad()
        torch.stack(list(method.losses(player, example()).values())).sum().backward()
        moved = {
            name
            for name, part in method.players.items()
            if any(p.grad is not None and p.grad.any() for p in part.parameters())
        }
        assert player in moved
        assert other not in moved


@pytest.mark.parametrize("player", ["critic_small", "critic_detail"])
def test_a_critic_learns_alone_what_it_learns_beside_its_network(player: str) -> None:
    method, batch, drawn = build(), example(4), example(4)
    alone = method.losses(player, batch)
    method.losses(player.removeprefix("critic_"), drawn)
    beside = method.losses(player, drawn)
    torch.stack(list(alone.values())).sum().backward()
    assert {name for name, part in method.players.items() if any(p.grad is not None for p in part.parameters())} == {
        player
    }
    if player == "critic_detail":  # noise and landmarks' errors, which the default picture has not, come with `small`
        for one, same in zip(alone.values(), beside.values(), strict=True):
            torch.testing.assert_close(one, same)


def test_nobody_asks_a_critic_that_nobody_listens_to() -> None:
    method = build(adversarial=0.0)
    assert set(method.losses("small", example())) == {"l1", "mirror"}
    assert set(method.losses("detail", example())) == {"detail_l1", "detail_keep"}


def test_noise_moves_the_hole_only_and_no_noise_is_the_default() -> None:
    method, batch = build().eval(), example()
    loud = batch | {"noise": draw_noise(batch["seed"], batch["mask"])}
    with torch.no_grad():
        default, silent, moved = (
            method.complete(given) for given in (batch, batch | {"noise": torch.zeros_like(batch["mask"])}, loud)
        )
    assert torch.equal(default, silent)
    changed = (default != moved).any(1, keepdim=True)
    assert changed.any()
    assert not changed[batch["mask"] == 0].any()


def test_unknown_landmarks_are_as_none_and_known_ones_count() -> None:
    method, batch = build().eval(), example()
    points = torch.tensor([[[40.0, 50], [90, 50], [64, 70], [45, 95], [85, 95]]]).expand(2, 5, 2)
    with torch.no_grad():
        without, unknown, known = (
            method.complete(given)
            for given in (batch, batch | {"landmarks": torch.full((2, 5, 2), torch.nan)}, batch | {"landmarks": points})
        )
    assert torch.equal(without, unknown)
    assert not torch.equal(without, known)


def test_the_mirrored_face_has_mirrored_landmarks() -> None:
    points = torch.tensor([[[10.0, 1], [50, 2], [20, 3], [12, 4], [48, 5]]])
    heat, mirrored = (
        heat_maps(p, torch.zeros(1, 1, 16, 16)) for p in (points, torch.from_numpy(mirror_points(points.numpy(), 64)))
    )
    torch.testing.assert_close(heat.flip(3)[:, [1, 0, 2, 4, 3]], mirrored)


def test_a_mirrored_picture_is_drawn_as_the_mirrored_face() -> None:
    method, batch = build().eval(), example()
    points = torch.tensor([[[40.0, 50], [90, 50], [64, 70], [45, 95], [85, 95]]]).expand(2, 5, 2)
    silent = torch.zeros_like(batch["mask"])
    with torch.no_grad():
        drawn = method.generator.draw(batch["image"], batch["mask"], points, silent)
        mirrored = method.generator.draw(
            batch["image"].flip(3), batch["mask"].flip(3), torch.from_numpy(mirror_points(points.numpy(), 128)), silent
        )
        once = method.generator.complete(
            *shrink(batch["image"], batch["mask"]),
            heat_maps(points, batch["mask"][..., ::4, ::4]),
            method.generator.noise_at_bottom(silent),
        )
    torch.testing.assert_close(drawn.flip(3), mirrored, rtol=0, atol=1e-6)
    assert (drawn - once).abs().max() > 1e-3


def test_nothing_is_brighter_than_the_small_picture_around_it() -> None:
    small = torch.zeros(1, 3, 16, 16)
    small[..., 8] = 0.5
    most = brightest_near(small)
    assert most.shape == (1, 3, 64, 64)
    torch.testing.assert_close(most[..., 34], torch.full((1, 3, 64), 0.5 + 4 / 127.5))
    torch.testing.assert_close(most[..., :24], torch.full((1, 3, 64, 24), 4 / 127.5))
    method, batch = build().eval(), example()
    shown = method.shown(batch | {"image": batch["image"] * 0.1})
    with torch.no_grad():
        for values in method.generator.detail.parameters():
            values.fill_(0.3)
        drawn = mend(method.generator.draw(**shown), F.avg_pool2d(shown["mask"], 4), shown["landmarks"])
        most = brightest_near(drawn)
        sharp = sharp_places(shown["mask"], shown["landmarks"][:, 3:])
        assert (method.generator.refine(shown["image"], shown["mask"], enlarge(drawn), sharp) > most).any()
        assert (method(**shown) <= most).all()


def test_averages_are_of_known_pixels_and_hidden_ones_change_nothing() -> None:
    image, mask = torch.full((1, 3, 4, 8), 0.5), torch.zeros(1, 1, 4, 8)
    mask[..., :3] = 1
    mask[..., 4:] = 1
    average, share = shrink(image * (1 - mask), mask)
    assert torch.equal(share, torch.tensor([[[[0.75, 1.0]]]]))
    assert torch.equal(average[0, :, 0], torch.tensor([[0.5, 0.0]]).expand(3, 2))


def test_a_grey_photo_is_completed_in_grey_and_a_coloured_one_is_not() -> None:
    method, batch = build().eval(), example()
    grey = batch["image"].mean(1, keepdim=True).expand(2, 3, -1, -1) * (1 - batch["mask"])
    assert is_grey(grey, batch["mask"]).all()
    assert not is_grey(batch["image"], batch["mask"]).any()
    with torch.no_grad():
        shown, coloured = (method(**method.shown(batch | {"image": image})) for image in (grey, batch["image"]))
    assert (shown.amax(1) - shown.amin(1)).max() < 1e-6
    assert (coloured.amax(1) - coloured.amin(1)).max() > 0.05


def test_crops_lie_around_the_hole_on_the_small_pictures_grid_and_are_the_same_of_all() -> None:
    mask = torch.zeros(3, 1, 256, 256)
    mask[:, :, 200:220, 30:40] = 1
    place = torch.arange(256.0).expand(3, 1, 256, 256)
    cut, across = cut_at_hole([mask, place], mask, torch.arange(3), 128)
    assert cut.shape == (3, 1, 128, 128)
    assert (cut.sum((1, 2, 3)) > 0).all()
    assert (across[:, 0, 0, 0] % 4 == 0).all()


def test_bending_leaves_what_is_known() -> None:
    small, share = torch.rand(2, 3, 16, 16), torch.zeros(2, 1, 16, 16)
    share[..., 8:, :] = 1
    bent = bend(small, share, torch.arange(2))
    assert torch.equal(bent[..., :8, :], small[..., :8, :])
    assert not torch.equal(bent[..., 8:, :], small[..., 8:, :])


@pytest.mark.parametrize("player", ["small", "detail"])
def test_what_lies_outside_the_photo_is_not_judged(player: str) -> None:
    method, outside = build(crop_px=32), torch.zeros(2, 1, 128, 128)
    outside[..., 64:] = 1
    batch = example()
    batch |= {"outside": outside, "mask": torch.maximum(batch["mask"], outside)}
    batch["image"] = batch["truth"] * (1 - batch["mask"])
    other = batch | {"truth": torch.where(outside > 0.5, -batch["truth"], batch["truth"])}
    one, same = (method.losses(player, dict(given)) for given in (batch, other))
    for name in {"l1", "mirror", "detail_l1", "detail_keep"} & set(one):
        torch.testing.assert_close(one[name], same[name])


@pytest.mark.parametrize(("mode", "blocks"), [("bicubic", BICUBIC), ("bilinear", BILINEAR)])
def test_a_small_picture_is_enlarged_as_by_interpolation_also_under_autocast(mode: str, blocks: Tensor) -> None:
    small = torch.rand((2, 3, 5, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1
    wanted = F.interpolate(small, scale_factor=4.0, mode=mode, align_corners=False)
    torch.testing.assert_close(enlarge(small, blocks), wanted, atol=1e-5, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(enlarge(small, blocks), wanted, atol=1e-5, rtol=0)


def test_luminance_is_that_of_television() -> None:
    pixels = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5]]).T.reshape(1, 3, 2, 2)
    torch.testing.assert_close(luminance(pixels).flatten(), torch.tensor([0.299, 0.587, 0.114, 0.5]))


def test_hidden_eyes_get_their_sketch_and_a_hidden_mouth_one_if_there_is_noise() -> None:
    method, points = build().eval(), torch.tensor([[[40.0, 50], [90, 50], [64, 70], [45, 95], [85, 95]]])
    image, mask = torch.zeros(1, 3, 128, 128), torch.ones(1, 1, 128, 128)
    noise = draw_noise(torch.tensor([3]), mask)

    def drawn(mouths: float, eyes: float, noise: Tensor) -> Tensor:
        method.generator.sketches.mouths.fill_(mouths)
        method.generator.sketches.eyes.fill_(eyes)
        with torch.no_grad():
            return method.generator.draw(image, mask, points, noise)

    silent = torch.zeros_like(noise)
    assert not torch.equal(drawn(0, 0, silent), drawn(0, 0.5, silent))
    assert torch.equal(drawn(0, 0, silent), drawn(0.5, 0, silent))
    assert not torch.equal(drawn(0, 0, noise), drawn(0.5, 0, noise))
