"""swift: facefill's own method, the default. No paper; two convolution-only U-Nets that a laptop runs in milliseconds.

What it is made of, and why:
- *small* draws the whole face at 64 px. Whether it is a face is decided there, where a picture costs a sixteenth, and
  where a critic sees a whole mouth. It is told where the eyes, the nose and the mouth are: what is left of a turned
  face beside a mask does not say how far it is turned.
- *detail* adds what 64 px cannot show. It learns on crops around holes: half of them are told the true face's small
  picture, bent a little, and should become the truth; the others are told the first stage's, and must keep it when
  shrunk. A critic judges both, patch by patch: unjudged, those others get cracked lips and scalloped jaws.
- The mirrored picture must give the mirrored face, or one corner of all mouths gets the same smudge; and what is judged
  is the mean of both drawings, which is what goes on to *detail*, or the mean is soft.
- The critics have no normalisation of any kind, learn alone before anybody listens to them, and compare a completion
  with the truth of the same picture. Bounded ones stayed near chance and drew dark corners of the mouth.
- Residual blocks without normalisation: nothing depends on what shares the batch. Widths in multiples of 32.
- Where both eyes are hidden *small* is told them as a soft sketch, or they would be unlike each other.
- Noise joins in *small* alone: other mouths, not other skin. Without it comes the default completion.
"""

from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, cat, nn

from facefill.config import Frozen
from facefill.methods.base import Batch, Method, draw_noise
from facefill.nets.critics import ROUGHEN, ResidualCritic, move_and_tone, relative_loss, sum_over_maps
from facefill.nets.enlargement import enlarge
from facefill.nets.hints import FACTOR, UNKNOWN, heat_maps
from facefill.nets.layers import UNet
from facefill.nets.losses import HOLE_SHARE, hole_l1
from facefill.nets.perceptual import open_perceptual
from facefill.nets.sketches import trace
from facefill.nets.small_and_detail import POINTS, STEP, DrawnOnce, SmallAndDetail, SmallNet, hidden, shrink
from facefill.nets.texture import sharp_places

NOISY = 4
"""One picture in this many is drawn with noise."""
ROUGHENED = 4
"""One picture in this many is also shown to a critic with noise, on behalf of all."""
SAID = (3, 7)
"""In how many pictures out of ten *small* is given the sketch of the mouth, and of the eyes."""
TOLD = 2
"""One crop in this many is given the first stage's small picture instead of the true one."""


class SwiftConfig(Frozen):
    """Sizes of the networks and weights of the loss terms; a stage of training may change the weights."""

    small_widths: tuple[int, ...] = (64, 128, 256, 384)
    """Channels of *small* at 1/2, 1/4, 1/8 and 1/16 of its side, which is a quarter of the picture's."""
    detail_widths: tuple[int, ...] = (32, 64, 128, 192)
    """Channels of *detail* at 1/2 to 1/16 of the picture's side."""
    detail_block: int = Field(2, multiple_of=2)
    """*detail* works on blocks of so many pixels."""
    bottom_dilations: tuple[int, ...] = (1, 1)
    """One residual block each, at the bottom of both."""
    noise: int = Field(8, ge=1, le=256)
    """Channels of noise at the bottom of *small*."""
    critic_widths: tuple[int, ...] = (64, 128, 256, 256)
    """Channels of the critic of *small* at 1/2 to 1/16 of the small picture's side."""
    detail_critic_widths: tuple[int, ...] = (32, 64, 128, 192)
    """Channels of the critic of *detail* at 1/2 to 1/16 of a crop's side."""
    once: bool = False
    """*small* draws once, and is told no sketch, as a camera's frames need it."""
    crop_px: int = Field(128, multiple_of=16)
    """Side of the crops around holes that *detail* learns on."""
    landmark_noise: float = 0.04
    """How far the landmarks that *small* is told are off while it learns, over the distance of the eyes, as a finder's
    are under a cover."""
    adversarial: float = 0.03
    """Weight of what the critics say; 0: nobody listens to them, and none is asked."""
    penalty: float = 0.5
    """Weight of how far a critic's scores move under noise, true and drawn pictures alike: R1 and R2 of Huang et al.
    2024, by a difference instead of a gradient (Lin et al. 2025, "Diffusion adversarial post-training")."""
    mirror: float = 0.3
    """Weight of the distance between the face of the mirrored picture and the mirrored face."""
    perceptual: float = 0.0
    """Weight of the distance between features of a network that somebody else trained (Zhang et al. 2018)."""
    perceptual_net: Path | None = None
    """Its file, squeezenet_v1.1.npz; needed in training only, where the weight above is above 0."""


class Swift(Method):
    """The two networks, and a critic for each."""

    Config = SwiftConfig
    generator: SmallAndDetail
    inputs: ClassVar[tuple[str, ...]] = ("image", "mask", "landmarks", "noise")
    stride: ClassVar[int] = STEP

    def __init__(self, config: SwiftConfig) -> None:
        super().__init__(config)
        self.config: SwiftConfig = config
        self.generator = (DrawnOnce if config.once else SmallAndDetail)(
            SmallNet(config.small_widths, config.bottom_dilations, config.noise),
            UNet(7, 3, config.detail_widths, config.bottom_dilations, config.detail_block),
        )
        self.critic = ResidualCritic(4 + POINTS, config.critic_widths)
        self.detail_critic = ResidualCritic(4, config.detail_critic_widths)

    @property
    def players(self) -> dict[str, nn.Module]:
        """The networks, each followed by its critic, which judges what it left in the batch."""
        return {
            "small": self.generator.small,
            "critic_small": self.critic,
            "detail": self.generator.detail,
            "critic_detail": self.detail_critic,
        }

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
            "detail": self._detail_losses,
            "critic_detail": self._detail_critic_losses,
        }[player](batch)

    # The first stage

    def _small_losses(self, batch: Batch) -> dict[str, Tensor]:
        average, share = shrink(batch["image"], batch["mask"])
        truth, beyond = F.avg_pool2d(batch["truth"], FACTOR), F.avg_pool2d(outside_of(batch), FACTOR)
        heat = heat_maps(self._hints(batch), share)
        average = self._tell(batch, average, truth, share)
        noisy = (batch["seed"] % NOISY == 0)[:, None, None, None]
        bottom = self.generator.noise_at_bottom(draw_noise(batch["seed"], batch["mask"])) * noisy
        once, again = (
            drawn.float().lerp(truth, beyond) for drawn in self.generator.draw_twice(average, share, heat, bottom)
        )
        batch["small"] = (once + again) / 2
        terms = {
            "l1": hole_l1(batch["small"], truth, share),
            "mirror": self.config.mirror * hole_l1(once, again, share),
        }
        terms |= self._perceptual_term(batch["small"], truth) | self._adversarial_term(
            self.critic, batch["small"], truth, self._seen_with_small(batch), batch["seed"]
        )
        batch["small"] = batch["small"].detach()
        return terms

    def _critic_losses(self, batch: Batch) -> dict[str, Tensor]:
        self._draw_small(batch)
        truth = F.avg_pool2d(batch["truth"], FACTOR)
        beyond = F.avg_pool2d(outside_of(batch), FACTOR)
        completed = batch["small"].lerp(truth, beyond)
        return self._critic_terms(self.critic, completed, truth, self._seen_with_small(batch), batch["seed"])

    def _draw_small(self, batch: Batch) -> None:
        """Put into the batch what *small* makes of it, unless it has been its turn."""
        if "small" not in batch:
            with torch.no_grad():
                batch["small"] = self.generator.draw(**self.shown(batch)).float()

    def _seen_with_small(self, batch: Batch) -> Tensor:
        """What its critic sees beside a small picture: the share to be judged, first, and the landmarks."""
        share = F.avg_pool2d(batch["mask"] - outside_of(batch), FACTOR)
        return cat([share, heat_maps(self.shown(batch)["landmarks"], share)], 1)

    def _hints(self, batch: Batch) -> Tensor:
        """The landmarks as a finder would tell them; of one picture in eight none."""
        points = self.shown(batch)["landmarks"].nan_to_num(UNKNOWN)
        apart = (points[:, 1] - points[:, 0]).norm(dim=-1) * self.config.landmark_noise
        moved = []
        for face, scale, seed in zip(points, apart, batch["seed"].tolist(), strict=True):
            errors = torch.randn(6, 2, generator=torch.Generator().manual_seed(seed)).to(face)
            together = torch.cat([errors.new_zeros(2, 2), errors[5:].expand(3, 2)])  # what a cover hides errs alike
            moved.append(torch.full_like(face, UNKNOWN) if seed % 8 == 2 else face + scale * (errors[:5] + together))
        return torch.stack(moved)

    def _tell(self, batch: Batch, average: Tensor, truth: Tensor, share: Tensor) -> Tensor:
        """Small pictures with what the truth tells of hidden parts in them, each part of some pictures."""
        points, unseen = self.shown(batch)["landmarks"].nan_to_num(UNKNOWN), hidden(share)
        digits = batch["seed"] // 16
        mouth, eyes = (digits // 10**place % 10 < tenths for place, tenths in enumerate(SAID))
        known = batch["landmarks"].isfinite().all((1, 2)) if "landmarks" in batch else torch.zeros_like(mouth)
        self.generator.sketches.learn(truth[known], points[known])
        told = unseen * torch.stack([mouth & known, eyes & known], 1).to(truth)[..., None, None]
        return trace(average, truth, points, told, batch["seed"])

    # The second stage

    def _detail_losses(self, batch: Batch) -> dict[str, Tensor]:
        crops = self._draw_crops(batch)
        completed, truth, told, hole = (crops[name] for name in ("completed", "truth", "told", "judgeable"))
        # For crops that are told the first stage's picture the truth is not what they should become.
        shrunk, wanted, where = (
            F.avg_pool2d(picture, FACTOR) for picture in (completed, crops["coarse"], hole * (1 - told))
        )
        batch["detail"], batch["detail_truth"], batch["detail_hole"] = completed.detach(), truth, hole
        terms = {"l1": hole_l1(completed, truth, hole * told), "keep": hole_l1(shrunk, wanted, where)}
        likely = completed * told + truth * (1 - told)
        terms |= self._perceptual_term(likely, truth) | self._adversarial_term(
            self.detail_critic, completed, truth, hole, batch["seed"]
        )
        return {f"detail_{name}": term for name, term in terms.items()}

    def _detail_critic_losses(self, batch: Batch) -> dict[str, Tensor]:
        if "detail" not in batch:
            with torch.no_grad():
                crops = self._draw_crops(batch)
            batch["detail"], batch["detail_truth"], batch["detail_hole"] = (
                crops[name] for name in ("completed", "truth", "judgeable")
            )
        completed, truth, hole = (batch[name] for name in ("detail", "detail_truth", "detail_hole"))
        terms = self._critic_terms(self.detail_critic, completed, truth, hole, batch["seed"])
        return {f"detail_{name}": term for name, term in terms.items()}

    def _draw_crops(self, batch: Batch) -> Batch:
        """Crops around holes: `truth`, `coarse` (the enlarged small picture that *detail* was told),
        `completed`, `judgeable` (missing within the photo), and `told` (N, 1, 1, 1), 1 where that small picture was the
        truth's."""
        self._draw_small(batch)
        told = (batch["seed"] % TOLD != 0)[:, None, None, None]
        share, small_truth = (F.avg_pool2d(batch[name], FACTOR) for name in ("mask", "truth"))
        hint = torch.where(told, bend(small_truth, share, batch["seed"]), batch["small"])
        within, corners = batch["mask"] - outside_of(batch), self.shown(batch)["landmarks"][:, 3:]
        truth, mask, image, coarse, sharp, judgeable = cut_at_hole(
            [
                batch["truth"],
                batch["mask"],
                batch["image"],
                enlarge(hint),
                sharp_places(batch["mask"], corners),
                within,
            ],
            within,
            batch["seed"],
            self.config.crop_px,
        )
        filled = self.generator.refine(image, mask, coarse, sharp).float()
        return {
            "truth": truth,
            "coarse": coarse,
            "completed": filled * judgeable + truth * (1 - judgeable),
            "judgeable": judgeable,
            "told": told.float(),
        }

    # What both share

    def _perceptual_term(self, completed: Tensor, truth: Tensor) -> dict[str, Tensor]:
        if not self.config.perceptual:
            return {}
        flat = completed.contiguous(memory_format=torch.channels_last)
        distance = open_perceptual(self.config.perceptual_net, truth.device)(flat, truth).mean() / HOLE_SHARE
        return {"perceptual": self.config.perceptual * distance}

    def _adversarial_term(
        self, critic: nn.Module, completed: Tensor, truth: Tensor, seen: Tensor, seeds: Tensor
    ) -> dict[str, Tensor]:
        """seen: the part to be judged, first, and what else the critic is told."""
        if not self.config.adversarial:
            return {}
        (shown, real), told = move_and_tone([completed, truth], seen, seeds)
        with torch.no_grad():
            wanted = critic(cat([real, told], 1))
        drawn = critic(cat([shown, told], 1))
        return {"adversarial": self.config.adversarial * relative_loss(drawn, wanted, told[:, :1])}

    def _critic_terms(
        self, critic: nn.Module, completed: Tensor, truth: Tensor, seen: Tensor, seeds: Tensor
    ) -> dict[str, Tensor]:
        """The critic's own loss, and how far its scores move under noise in the hole."""
        (real, fake), told = move_and_tone([truth, completed], seen, seeds + 1)
        chosen = seeds % ROUGHENED == 1
        some, beside = cat([real[chosen], fake[chosen]]), cat([told[chosen]] * 2)
        rough = some + ROUGHEN * beside[:, :1] * draw_noise(cat([seeds[chosen], seeds[chosen] + 1]), some)
        maps = critic(cat([cat([real, fake, rough]), cat([told, told, beside])], 1))
        true, drawn, moved = zip(*(at.split([len(real), len(fake), len(rough)]) for at in maps), strict=True)
        still = [cat([a[chosen], b[chosen]]) for a, b in zip(true, drawn, strict=True)]
        steep = [((b.float() - a.float()) / ROUGHEN).square() for a, b in zip(still, moved, strict=True)]
        return {
            "critic": relative_loss(true, drawn, told[:, :1]),
            "penalty": self.config.penalty / 2 * ROUGHENED * sum_over_maps(steep, beside[:, :1]).sum() / len(real),
        }


def outside_of(batch: Batch) -> Tensor:
    """(N, 1, H, W), 1 beyond the photo: missing, and not to be judged."""
    return batch["outside"] if "outside" in batch else torch.zeros_like(batch["mask"])


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
