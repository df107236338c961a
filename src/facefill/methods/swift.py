"""swift: facefill's own method, the default. No paper; two convolution-only U-Nets that a laptop runs in milliseconds.

What it is made of, and why:
- *small* draws the whole face at 64 px. Whether it is a face is decided there, where a picture costs a sixteenth, and
  where a critic sees a whole mouth. It is told where the eyes, the nose and the mouth are: what is left of a turned
  face beside a mask does not say how far it is turned.
- *detail* adds what 64 px cannot show. It learns on crops around holes and judges nothing but sharpness: most crops are
  told the true face's small picture, bent a little, and only they meet a critic; the others are told the first stage's,
  and must keep it when shrunk. A critic on those draws cracks around lips.
- The mirrored picture must give the mirrored face, or one corner of all mouths gets the same smudge.
- Residual blocks without normalisation: nothing depends on what shares the batch. Widths in multiples of 32.
- Noise joins in *small* alone: other mouths, not other skin. Without it comes the default completion.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, cat, nn

from facefill.arrays import MIRRORED
from facefill.config import Frozen
from facefill.methods.base import Batch, Method, draw_noise
from facefill.nets.critics import PatchCritic, critic_hinge, feature_distance, generator_hinge, gradient_penalty
from facefill.nets.layers import UNet
from facefill.nets.losses import HOLE_SHARE, hole_l1
from facefill.nets.perceptual import open_perceptual
from facefill.nets.projected import ProjectedCritic, shift_and_tone
from facefill.nets.small_and_detail import FACTOR, STEP, UNKNOWN, SmallAndDetail, SmallNet, enlarge, heat_maps, shrink

PENALISED = 8
"""Of how many pictures one bears the gradient penalty, for all of them."""
TOLD = 4
"""Of how many crops one is told the first stage's small picture instead of the truth's."""


class SwiftConfig(Frozen):
    """Sizes of the networks and weights of the loss terms; a stage of training may change the weights."""

    small_widths: tuple[int, ...] = (64, 128, 256, 384)
    """Channels of *small* at 1/2, 1/4, 1/8 and 1/16 of its side, which is a quarter of the picture's."""
    detail_widths: tuple[int, ...] = (32, 64, 128, 192)
    """Channels of *detail* at 1/2 to 1/16 of the picture's side."""
    bottom_dilations: tuple[int, ...] = (1, 1)
    """One residual block each, at the bottom of both."""
    noise: int = Field(8, ge=1, le=256)
    """Channels of noise at the bottom of *small*."""
    critic_width: int = 48
    """Channels of the critics' first layers."""
    critic_scales: int = Field(2, ge=1, le=3)
    """How many critics judge the small picture, each at half the side of the one before (Wang et al. 2018, section
    3.2)."""
    crop_px: int = Field(128, multiple_of=16)
    """Side of the crops around holes that *detail* learns on."""
    landmark_noise: float = 0.04
    """How far the landmarks that *small* is told are off while it learns, over the distance of the eyes, as a finder's
    are under a cover."""
    adversarial: float = 0.02
    """Weight of the patch critics' hinge loss (Lim & Ye 2017)."""
    feature_matching: float = 2.0
    """Weight of the distance between the patch critics' features of truth and completion (Wang et al. 2018)."""
    penalty: float = 0.2
    """Weight of R1 (Mescheder et al. 2018) on the critics of *small*."""
    mirror: float = 0.5
    """Weight of the distance between the face of the mirrored picture and the mirrored face."""
    perceptual: float = 0.0
    """Weight of the distance between features of a network that somebody else trained (Zhang et al. 2018)."""
    projected: float = 0.0
    """Weight of a hinge loss on those features (Sauer et al. 2021), for *small*; only if it is above 0 in [model] is
    there such a critic."""
    perceptual_net: Path | None = None
    """Its file, squeezenet_v1.1.npz; needed in training only, where one of the two weights above is above 0."""


class Swift(Method):
    """The two networks, patch critics at several scales for *small*, one at the full side for *detail*."""

    Config = SwiftConfig
    generator: SmallAndDetail
    inputs: ClassVar[tuple[str, ...]] = ("image", "mask", "landmarks", "noise")
    stride: ClassVar[int] = STEP

    def __init__(self, config: SwiftConfig) -> None:
        super().__init__(config)
        self.config: SwiftConfig = config
        self.generator = SmallAndDetail(
            SmallNet(config.small_widths, config.bottom_dilations, config.noise),
            UNet(7, 3, config.detail_widths, config.bottom_dilations),
        )
        self.critics = nn.ModuleList(PatchCritic(4, config.critic_width) for _ in range(config.critic_scales))
        self.detail_critic = PatchCritic(7, config.critic_width)
        self.projected = ProjectedCritic() if config.projected else None

    @property
    def players(self) -> dict[str, nn.Module]:
        """The networks, each followed by its critics, which judge what it left in the batch."""
        found: dict[str, nn.Module] = {"small": self.generator.small, "critic_small": self.critics}
        if self.projected is not None:
            found["critic_projected"] = self.projected
        return found | {"detail": self.generator.detail, "critic_detail": self.detail_critic}

    def shown(self, batch: Batch) -> Batch:
        """The picture with its hole, the mask, the landmarks as far as they are known, and no noise where none is."""
        image, mask = batch["image"], batch["mask"]
        unknown = image.new_full((len(image), 5, 2), torch.nan)
        return {
            "image": image,
            "mask": mask,
            "landmarks": batch.get("landmarks", unknown),
            "noise": batch["noise"] if "noise" in batch else torch.zeros_like(mask),
        }

    def forward(self, **inputs: Tensor) -> Tensor:
        filled: Tensor = self.generator(**inputs)
        return filled

    def losses(self, player: str, batch: Batch) -> dict[str, Tensor]:
        return {
            "small": self._small_losses,
            "critic_small": self._critic_losses,
            "critic_projected": self._projected_losses,
            "detail": self._detail_losses,
            "critic_detail": self._detail_critic_losses,
        }[player](batch)

    # The first stage

    def _small_losses(self, batch: Batch) -> dict[str, Tensor]:
        config, seeds = self.config, batch["seed"]
        average, share = shrink(batch["image"], batch["mask"])
        truth, points = F.avg_pool2d(batch["truth"], FACTOR), self._hints(batch)
        quiet = seeds % 2 == 0
        noise = self.generator.throw(draw_noise(seeds, batch["mask"])) * ~quiet[:, None, None, None]
        completed = self.generator.complete(average, share, heat_maps(points, share), noise)
        hole = share
        if "outside" in batch:
            beyond = F.avg_pool2d(batch["outside"], FACTOR)
            completed, hole = completed.lerp(truth, beyond), share - beyond
        batch["small"], batch["small_truth"], batch["share"] = completed.detach(), truth, share
        terms = {"l1": hole_l1(completed, truth, share)}
        if config.mirror:
            lack = completed.new_zeros(())
            if quiet.any():
                seen = mirror_points(points[quiet], batch["image"].shape[-1])
                other = self.generator.complete(
                    average[quiet].flip(3), share[quiet].flip(3), heat_maps(seen, share[quiet]), noise[quiet]
                ).flip(3)
                lack = hole_l1(other, completed[quiet], hole[quiet]) * quiet.float().mean()
            terms["mirror"] = config.mirror * lack
        looks = [self.judge(shown, share) for shown in (completed, truth)] if self._has_critics else []
        terms |= self._learned_terms(completed, truth, share, looks)
        if config.projected and self.projected is not None:
            moved, where = shift_and_tone(completed, share, seeds)
            scores = self.projected(open_perceptual(self.config.perceptual_net, truth.device), moved, where)
            terms["projected"] = config.projected * torch.stack([generator_hinge(at, where) for at in scores]).mean()
        return terms

    def _critic_losses(self, batch: Batch) -> dict[str, Tensor]:
        completed, truth, share = self._small_pictures(batch)
        looks = zip(self.judge(truth, share), self.judge(completed, share), strict=True)
        terms = {"critic": torch.stack([critic_hinge(real[-1], fake[-1], share) for real, fake in looks]).sum()}
        if self.config.penalty:
            chosen = batch["seed"] % PENALISED == 0
            steep = truth.new_zeros(())
            if chosen.any():
                steep = gradient_penalty(
                    lambda x: [look[-1] for look in self.judge(x, share[chosen])], truth[chosen], share[chosen]
                ).sum()
            terms["penalty"] = self.config.penalty / 2 * PENALISED * steep / len(truth)
        return terms

    def _projected_losses(self, batch: Batch) -> dict[str, Tensor]:
        assert self.projected is not None
        completed, truth, share = self._small_pictures(batch)
        net, seeds = open_perceptual(self.config.perceptual_net, truth.device), batch["seed"]
        (real, hole), (fake, _) = (shift_and_tone(picture, share, seeds) for picture in (truth, completed))
        pairs = zip(self.projected(net, real, hole), self.projected(net, fake, hole), strict=True)
        return {"critic_projected": torch.stack([critic_hinge(a, b, hole) for a, b in pairs]).mean()}

    def _small_pictures(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """What *small* made in its turn, which leaves it in the batch, the truth, the share missing."""
        if "small" not in batch:
            with torch.no_grad():
                batch["small"] = self.generator.draw(**self.shown(batch))
            batch["small_truth"] = F.avg_pool2d(batch["truth"], FACTOR)
            batch["share"] = F.avg_pool2d(batch["mask"], FACTOR)
        return batch["small"], batch["small_truth"], batch["share"]

    def _hints(self, batch: Batch) -> Tensor:
        """The landmarks as a finder would tell them; of one picture in eight none."""
        points = self.shown(batch)["landmarks"].nan_to_num(UNKNOWN)
        apart = (points[:, 1] - points[:, 0]).norm(dim=-1) * self.config.landmark_noise
        moved = []
        for face, scale, seed in zip(points, apart, batch["seed"].tolist(), strict=True):
            thrown = torch.randn(6, 2, generator=torch.Generator().manual_seed(seed)).to(face)
            together = torch.cat([thrown.new_zeros(2, 2), thrown[5:].expand(3, 2)])  # what a cover hides errs alike
            moved.append(torch.full_like(face, UNKNOWN) if seed % 8 == 2 else face + scale * (thrown[:5] + together))
        return torch.stack(moved)

    def judge(self, small: Tensor, share: Tensor) -> list[list[Tensor]]:
        """Of each critic of *small* the features of a small picture, (N, C, h, w) each, its map of scores last."""
        shown = cat([small, share], 1)
        return [critic(F.avg_pool2d(shown, 2**scale)) for scale, critic in enumerate(self.critics)]

    # The second stage

    def _detail_losses(self, batch: Batch) -> dict[str, Tensor]:
        seeds = batch["seed"]
        small, small_truth, share = self._small_pictures(batch)
        told = (seeds % TOLD != 0)[:, None, None, None]
        hint = torch.where(told, bend(small_truth, share, seeds), small)
        beyond = batch["outside"] if "outside" in batch else torch.zeros_like(batch["mask"])
        truth, mask, image, coarse, outside = cut_at_hole(
            [batch["truth"], batch["mask"], batch["image"], enlarge(hint), beyond],
            batch["mask"] * (1 - beyond),
            seeds,
            self.config.crop_px,
        )
        filled = self.generator.refine(image, mask, coarse)
        judgeable = mask * (1 - outside)
        completed = filled * judgeable + truth * (1 - judgeable)
        # For crops that are told the first stage's picture the truth is not what they should become.
        judged = torch.where(told, completed, truth)
        batch["detail"], batch["detail_truth"], batch["detail_seen"] = judged.detach(), truth, cat([mask, coarse], 1)
        shrunk, wanted, where = (F.avg_pool2d(picture, FACTOR) for picture in (completed, coarse, judgeable * ~told))
        terms = {"detail_l1": hole_l1(judged, truth, mask), "keep": hole_l1(shrunk, wanted, where)}
        looks = (
            [[self.detail_critic(cat([shown, batch["detail_seen"]], 1))] for shown in (judged, truth)]
            if self._has_critics
            else []
        )
        return terms | self._learned_terms(judged, truth, judgeable * told, looks, "detail_")

    def _detail_critic_losses(self, batch: Batch) -> dict[str, Tensor]:
        if "detail" not in batch:
            with torch.no_grad():
                self._detail_losses(batch)
        seen = batch["detail_seen"]
        told = (batch["seed"] % TOLD != 0)[:, None, None, None]
        real, fake = (self.detail_critic(cat([batch[name], seen], 1))[-1] for name in ("detail_truth", "detail"))
        return {"critic_detail": critic_hinge(real, fake, seen[:, :1] * told)}

    # What both share

    @property
    def _has_critics(self) -> bool:
        return bool(self.config.adversarial or self.config.feature_matching)

    def _learned_terms(
        self, completed: Tensor, truth: Tensor, mask: Tensor, looks: list[list[list[Tensor]]], name: str = ""
    ) -> dict[str, Tensor]:
        """What other networks say of a completion. looks: each critic's features of it, and of the truth; or none."""
        config, terms = self.config, {}
        if config.perceptual:
            flat = completed.contiguous(memory_format=torch.channels_last)
            distance = open_perceptual(config.perceptual_net, truth.device)(flat, truth).mean() / HOLE_SHARE
            terms[f"{name}perceptual"] = config.perceptual * distance
        if looks:
            hinge = torch.stack([generator_hinge(fake[-1], mask) for fake in looks[0]]).sum()
            features = torch.stack(
                [
                    feature_distance(fake[:-1], [layer.detach() for layer in real[:-1]])
                    for fake, real in zip(*looks, strict=True)
                ]
            ).mean()
            terms[f"{name}adversarial"] = config.adversarial * hinge
            terms[f"{name}feature_matching"] = config.feature_matching * features
        return terms


def mirror_points(points: Tensor, side_px: int) -> Tensor:
    """Landmarks (N, 5, 2) of the mirrored picture."""
    return torch.stack([side_px - 1 - points[..., 0], points[..., 1]], -1)[:, MIRRORED]


def bend(small: Tensor, share: Tensor, seeds: Tensor) -> Tensor:
    """The truth's small pictures as a first stage might draw them: in the hole softer, noisier, of another tone."""
    soft = small
    for _ in range(2):
        soft = F.avg_pool2d(F.pad(soft, (1,) * 4, mode="replicate"), 3, 1)
    bent = []
    for picture, softer, seed in zip(small, soft, seeds.tolist(), strict=True):
        generator = torch.Generator().manual_seed(seed + 1)
        blur, grain = torch.rand(2, generator=generator).tolist()
        tone = torch.randn(3, 1, 1, generator=generator).to(picture) * (3 * grain / 127.5)
        noise = torch.randn(picture.shape, generator=generator).to(picture) * (6 * (1 - blur) / 127.5)
        bent.append(picture + blur * (softer - picture) + tone + noise)
    return small + (torch.stack(bent) - small) * share


def cut_at_hole(pictures: list[Tensor], mask: Tensor, seeds: Tensor, side_px: int) -> list[Tensor]:
    """The same square of each picture (N, C, H, W) around some missing pixel, chosen by the seed, `FACTOR` its grid."""
    height, width = mask.shape[2:]
    if side_px >= height and side_px >= width:
        return pictures
    cut: list[list[Tensor]] = [[] for _ in pictures]
    for index, seed in enumerate(seeds.tolist()):
        generator = torch.Generator().manual_seed(seed + 2)
        places = mask[index, 0].nonzero()
        chance, *shift = torch.rand(3, generator=generator).tolist()
        middle = places[int(chance * len(places))].tolist() if len(places) else [height // 2, width // 2]
        top, left = (
            min(max(int(at + (move - 1.5) * side_px / 2), 0), limit - side_px) // FACTOR * FACTOR
            for at, move, limit in zip(middle, shift, (height, width), strict=True)
        )
        for part, picture in zip(cut, pictures, strict=True):
            part.append(picture[index, :, top : top + side_px, left : left + side_px])
    return [torch.stack(part) for part in cut]
