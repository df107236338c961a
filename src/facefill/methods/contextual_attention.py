"""contextual_attention: coarse-to-fine completion that borrows known patches (Shah, Gautam & Singh 2022); its networks
are from Yu et al. 2018, its critics from Iizuka et al. 2017.

Where the paper and the work that it builds on differ, or leave something open, and what we do:
- The coarse stage learns from reconstruction only (the paper): what the refinement sees of it is cut off from the
  gradient. In Yu et al. it is not.
- The generator minimises 1.2 * reconstruction - mean critic score (equation 1). In Yu et al. the second term weighs
  0.001, and so it must where the reconstruction is a mean over pixels: the gradient of a critic, of length 1,
  outweighs it by hundreds. The default is the paper's, the recipe's is theirs.
- Algorithm 1 gives the critics five batches, then the generator one of its own (lines 2 to 12): configs/paper does
  (`critic_turns`). The recipe moves both on every batch; what that changes was not measured.
- ELU in critics, too, as in the paper; in Yu et al. they have leaky ReLU, and so had those that what ships learnt from,
  which were half as wide, too (`critic_width` 32). What either changes was not measured.
- Algorithm 1 draws interpolates but prints no penalty. The penalty (Gulrajani et al. 2017, weight 10) and its
  restriction to the hole (Yu et al., equation 4) are our choice.
- l1 is discounted by 0.99 to the power of the distance to the nearest known pixel, for holes of any shape; Yu et al.
  have it for rectangles. It is a mean over the whole picture, in which known pixels weigh 1 (`known`, which the recipe
  lowers, because known pixels are put back anyway).
- The local critic sees a square of half the side that holds the hole, for holes of any shape. Both critics end in one
  linear layer each (Yu et al.); in Iizuka et al. they share one. They see colour; the recipe shows them grey
  (`critics_see`), because against colour they brought spots of pure blue and red.
- The input has no constant channel, and scores are cosines of both patches (equation 1 of Yu et al.; their code
  normalises one side). What each does at a row's end, see `nets.attention`.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from facefill.config import Frozen
from facefill.methods.base import Batch, Method
from facefill.nets.attention import Borrowed
from facefill.nets.coarse_to_fine import Coarse, Critic, Refinement, crop_around
from facefill.nets.losses import distance_to_known


class ContextualAttentionConfig(Frozen):
    width: int = 32
    """Channels at full size; twice as many at half, four times at a quarter of the side."""
    critic_width: int = 64
    attention: bool = True
    """False: the second encoder goes on without borrowing, for an ablation."""
    softmax_scale: float = 10.0
    learns: Literal["both", "coarse"] = "both"
    """coarse: the first stage alone. The second is made of the same layers then, and begins where the first ended when
    both are trained from those weights."""
    known: float = 1.0
    """What l1 is worth on known pixels."""
    discount: float = 0.99
    """What l1 is worth per pixel of distance to the nearest known one; 1 = no discount."""
    reconstruction: float = 1.2
    """Weight of the refinement's l1."""
    adversarial: float = 1.0
    """Weight of the mean critic score; 0 trains without critics."""
    penalty: float = 10.0
    """Weight of the gradient penalty."""
    critics_see: Literal["colour", "grey"] = "colour"
    """grey: the critics judge the mean of the channels; colour is left to l1."""
    side_px: int | None = None
    """The only side of a picture that these weights complete, which is what the exported file is made for; None: any
    multiple of 8."""


class Stages(nn.Module):
    def __init__(self, config: ContextualAttentionConfig) -> None:
        super().__init__()
        self.coarse = Coarse(config.width)
        self.refinement = Refinement(config.width, config.softmax_scale, attends=config.attention)
        if config.learns == "coarse":
            self.refinement.begin_as(self.coarse)

    def first(self, image: Tensor, mask: Tensor) -> Tensor:
        guess: Tensor = self.coarse(torch.cat([image, mask], 1)).clamp(-1, 1)
        return guess

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Borrowed | None]:
        """The first guess, the filled picture, and what was borrowed."""
        guess = self.first(image, mask)
        around = torch.where(mask > 0.5, guess.detach().to(image.dtype), image)
        filled, borrowed = self.refinement(torch.cat([around, mask], 1))
        return guess, filled.clamp(-1, 1), borrowed


class ContextualAttention(Method):
    """Two stages against a global and a local critic, by Wasserstein distance."""

    Config = ContextualAttentionConfig
    outputs: ClassVar[tuple[str, ...]] = ("filled", "borrowed")
    hole_value: ClassVar[float] = 1.0
    stride: ClassVar[int] = 8

    def __init__(self, config: ContextualAttentionConfig) -> None:
        super().__init__(config)
        self.config: ContextualAttentionConfig = config
        self.size = config.side_px
        self.generator: Stages = Stages(config)
        self.critic = nn.ModuleDict({"whole": Critic(config.critic_width), "hole": Critic(config.critic_width)})

    @property
    def players(self) -> dict[str, nn.Module]:
        if self.config.adversarial and self.config.learns == "both":
            return {**super().players, "critic": self.critic}
        return super().players

    def forward(self, **inputs: Tensor) -> Tensor:
        return self._fill(**inputs)[0]

    def explain(self, **inputs: Tensor) -> tuple[Tensor, ...]:
        """The filled picture, and (N, 2, H/8, W/8): from how many cells below and to the right each cell of 8x8 pixels
        takes most. Without attention all zeros."""
        filled, borrowed = self._fill(**inputs)
        if borrowed is None:
            return filled, torch.zeros_like(inputs["mask"][:, :, ::8, ::8]).expand(-1, 2, -1, -1)
        source = borrowed.source
        high, wide = source.shape[1:]
        rows, columns = torch.arange(high, device=source.device), torch.arange(wide, device=source.device)
        row = source // wide
        return filled, torch.stack([row - rows[:, None], source - row * wide - columns], 1).float()

    def _fill(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Borrowed | None]:
        if self.config.learns == "coarse":
            return self.generator.first(image, mask), None
        _, filled, borrowed = self.generator(image, mask)
        return filled, borrowed

    def losses(self, player: str, batch: Batch) -> dict[str, Tensor]:
        truth, mask = batch["truth"], batch["mask"]
        if player == "critic":
            completed = batch["completed"] if "completed" in batch else self.complete(batch).detach()
            return self._critic_losses(self._judged(truth), self._judged(completed), mask, batch["seed"])
        weight = torch.where(mask > 0.5, self.config.discount ** distance_to_known(mask), self.config.known)
        if self.config.learns == "coarse":
            guess = self.generator.first(batch["image"], mask)
            return {"coarse": ((guess.float() - truth).abs() * weight).mean()}
        guess, filled, _ = self.generator(batch["image"], mask)
        terms = {
            "coarse": ((guess.float() - truth).abs() * weight).mean(),
            "refined": self.config.reconstruction * ((filled.float() - truth).abs() * weight).mean(),
        }
        if self.config.adversarial:
            completed = torch.where(mask > 0.5, filled.float(), truth)
            batch["completed"] = completed.detach()
            seen = self._judged(completed)
            (local,) = crop_around(mask, [seen])
            score = self.critic["whole"](seen).float() + self.critic["hole"](local).float()
            terms["adversarial"] = -self.config.adversarial * score.mean()
        return terms

    def _judged(self, picture: Tensor) -> Tensor:
        """What the critics see of a picture."""
        return picture.mean(1, keepdim=True).expand_as(picture) if self.config.critics_see == "grey" else picture

    def _critic_losses(self, truth: Tensor, completed: Tensor, mask: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        """Wasserstein distances with their sign turned, and the gradient penalty of both critics."""
        local = crop_around(mask, [truth, completed, mask.expand_as(truth)])
        share = torch.stack([torch.rand(1, generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()])
        terms, penalties = {}, []
        for name, real, fake, hole in (("whole", truth, completed, mask), ("hole", local[0], local[1], local[2])):
            critic = self.critic[name]
            scores = critic(torch.cat([fake, real])).float().view(2, -1).mean(1)
            terms[f"critic_{name}"] = scores[0] - scores[1]
            penalties.append(_penalty(critic, real, fake, hole, share.view(-1, 1, 1, 1).to(real.device)))
        return terms | {"penalty": self.config.penalty * torch.stack(penalties).sum()}


def _penalty(critic: nn.Module, real: Tensor, fake: Tensor, hole: Tensor, share: Tensor) -> Tensor:
    """Mean of (|gradient inside the hole| - 1)² between true and completed pictures (Gulrajani et al. 2017, equation 3;
    Yu et al. 2018, equation 4). Its second derivative stands autocast: docs/contextual-attention.md compares.
    """
    with torch.enable_grad():
        between = torch.lerp(real, fake, share).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        return ((gradient.float() * hole).square().sum((1, 2, 3)).clamp_min(1e-12).sqrt() - 1).square().mean()
