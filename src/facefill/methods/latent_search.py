"""latent_search: completion by searching a generator's latent space (Qiang et al. 2019); dip: Yeh et al. 2017.

A DCGAN learns whole faces (Radford et al. 2016; the critic ends in a softmax of two classes). To complete a face, its
code is moved until the generated face agrees with the known pixels; the hole is taken from the generated face, and
Poisson blending (in the compositing step, `imaging.blend`) removes the seam.

What the paper leaves open or prints otherwise, and what we do:
- Equation 6 does not subtract c_min as printed, and then does not reach 0 where it should: we subtract it.
- Equations 5 and 6 are flat outside their bounds, where good fits lie: the search minimises them unclamped, and the
  clamped values are what is reported.
- The printed s_min 0.1198 is its sigma: mean - 3 sigma is 0.1242.
- L1 is the sum of absolute differences on [0, 1] over the mean of W * M, so that a large hole does not look like a
  better fit. SSIM has a Gaussian window of 11 pixels and sigma 1.5 (Wang et al. 2004), on RGB.
- Codes are uniform in [-1, 1] and stay there, as sines of what moves. How is not stated: BFGS (`nets.descent`) from
  the encoder's code needs a hundred iterations for what takes Adam a thousand from a random one. Every row has its own
  state, so that nothing depends on what shares the batch.
- "Symmetry" and "a standard face" are the paper's future work: here an l1 between the face and its mirror image (an
  aligned crop is mirrored about its middle: it was cut so that this is the axis of its landmarks), and the SSIM to the
  mean face.
SearchNetworks with batch normalisation learn from batches: two processes do not equal one.
"""

import logging
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefill.config import Frozen
from facefill.methods.base import Batch, Method
from facefill.nets.dcgan import CodeEncoder, FaceCritic, FaceGenerator, folded
from facefill.nets.descent import descend
from facefill.nets.ssim import Likeness

SIDE_PX = 64
FAKE, REAL = 0, 1
PAPER_BOUNDS = (739.0, 4861.0, 0.1242, 0.8430)
"""c_min, c_max, s_min, s_max: mean -+ 3 sigma of L1 (2800, 687) and SSIM (0.4836, 0.1198), section 3.4."""
INSIDE = 0.98
"""How far out a search may start: a sine does not move from 1."""
LOST = "no restart came as near to the known pixels as the mean face does"
DIP_PRIOR = 0.003
"""The lambda of Yeh et al. 2017, section 4."""


class LatentSearchConfig(Frozen):
    width: int = 128
    """Channels before the generator's last layer; 8 times as many at 4x4."""
    critic_width: int = 128
    """Channels after the critic's first layer; 8 times as many at 4x4."""
    code_length: int = 100
    encoder_width: int = 32
    learns: Literal["faces", "encoder"] = "faces"
    """What training trains: the DCGAN, or (start from its weights with `init`) the encoder that inverts it."""
    adversarial: float = 0.003
    """Weight of log(1 - D(G(z))), lambda 1."""
    context: float = 0.2
    """Weight of the l1 term, lambda 2."""
    structure: float = 0.797
    """Weight of the SSIM term, lambda 3."""
    border: float = 2.0
    """How much more known pixels beside the hole weigh, alpha of equation 7; 0: all alike, for an ablation."""
    block_px: int = 7
    """Side of the block that counts as beside, k of equation 7; odd."""
    symmetry: float = 0.0
    """Weight of the mean |face - mirrored face| on [0, 1]."""
    mean_face: float = 0.0
    """Weight of 1 - SSIM to the mean face."""
    bounds: Literal["own", "paper"] = "own"
    """Constants that normalise l1 and SSIM: those stored with the weights, or those that the paper prints."""
    start: Literal["random", "encoder"] = "random"
    """Where codes start. encoder: the first restart where the encoder says, the others around there."""
    restarts: int = 1
    """Codes per face; the one with the lowest loss of its own wins, never the nearest to the truth."""
    iterations: int = 1000
    """Gradients that a restart may take."""
    patience: int = 5
    """Iterations within which a restart's loss has to come down by enough; otherwise it stops."""
    better: float = 1e-3
    """What is enough: this share of what it came down since the start."""
    rows: int = 64
    """Restarts, of all faces, that search at once."""
    bf16: bool = True
    """Networks of the search in bfloat16; codes, losses and the final choice are float32 in any case."""


class SearchResult(NamedTuple):
    faces: Tensor
    """(N, 3, 64, 64) in [-1, 1], generated in float32 from `codes`."""
    codes: Tensor
    """(N, code_length)."""
    loss: Tensor
    """(N,) what was minimised, in float32."""
    terms: dict[str, Tensor]
    """(N,) each: adversarial, and context and structure clamped to [0, 1] as equations 5 and 6 have them."""
    steps: Tensor
    """(N,) iterations of the winning restart."""
    lost: Tensor
    """(N,) bool: the mean face fits the known pixels better."""


class Target(NamedTuple):
    """What codes are compared with, one row each."""

    weight: Tensor
    """(N, 1, S, S): W * M of equation 8."""
    face: Tensor
    """(N, 3, S, S): W * M * I on [0, 1]."""
    mean: Tensor
    square: Tensor
    """Local means of `face` and of its square."""


class SearchNetworks(nn.Module):
    """Everything that a search needs, and that the weights file holds."""

    def __init__(self, config: LatentSearchConfig) -> None:
        super().__init__()
        self.faces = FaceGenerator(config.code_length, config.width)
        self.critic = FaceCritic(config.critic_width)
        self.encoder = CodeEncoder(config.code_length, config.encoder_width)
        self.register_buffer("bounds", torch.tensor(PAPER_BOUNDS))
        self.register_buffer("mean_face", torch.zeros(3, SIDE_PX, SIDE_PX))
        self.bounds: Tensor
        self.mean_face: Tensor


class LatentSearch(Method):
    """Qiang et al. 2019: known pixels by l1 and SSIM, both normalised and heavier beside the hole."""

    Config = LatentSearchConfig
    inputs: ClassVar[tuple[str, ...]] = ("image", "mask", "seed")
    size = SIDE_PX
    exports: ClassVar[bool] = False

    def __init__(self, config: LatentSearchConfig) -> None:
        super().__init__(config)
        self.config: LatentSearchConfig = config
        self.generator: SearchNetworks = SearchNetworks(config)
        self.likeness = Likeness(SIDE_PX)

    @property
    def players(self) -> dict[str, nn.Module]:
        if self.config.learns == "encoder":  # the loop averages the player of this name
            return {"generator": self.generator.encoder}
        return {"generator": self.generator.faces, "critic": self.generator.critic}

    def forward(self, **inputs: Tensor) -> Tensor:
        return self.search(inputs["image"], inputs["mask"], inputs["seed"]).faces

    # Training

    def losses(self, player: str, batch: Batch) -> dict[str, Tensor]:
        if self.config.learns == "encoder":
            return self._encoder_losses(batch)
        self.generator.train()
        if player == "generator":
            faces = self.generator.faces(self.draw_codes(batch["seed"]))
            batch["generated"] = faces.detach()
            return {"generator": self._cross_entropy(faces, REAL)}
        if "generated" not in batch:
            with torch.no_grad():
                batch["generated"] = self.generator.faces(self.draw_codes(batch["seed"]))
        true, generated = self._cross_entropy(batch["truth"], REAL), self._cross_entropy(batch["generated"], FAKE)
        return {"critic_true": true, "critic_generated": generated}

    def _cross_entropy(self, faces: Tensor, kind: int) -> Tensor:
        """Mean -log of a class's softmax (the generator's is the one of Goodfellow et al. 2014 that does not fade)."""
        logits = self.generator.critic(faces).float()
        return F.cross_entropy(logits, torch.full((len(logits),), kind, device=logits.device))

    def _encoder_losses(self, batch: Batch) -> dict[str, Tensor]:
        """l1 and SSIM of the regenerated face to the truth, and for generated faces the distance to their codes."""
        self.generator.eval()
        truth, known = batch["truth"], 1 - batch["mask"]
        made = self.generator.faces(self.generator.encoder(batch["image"], batch["mask"])).float()
        codes = self.draw_codes(batch["seed"])
        with torch.no_grad():
            generated = self.generator.faces(codes).float()
        again = self.generator.encoder(generated * known, batch["mask"]).float()
        alike = self.likeness((made + 1) / 2, (truth + 1) / 2).mean()
        return {"l1": (made - truth).abs().mean(), "structure": 1 - alike, "code": (again - codes).square().mean()}

    def show(self, batch: Batch) -> list[Tensor]:
        self.generator.eval()
        if self.config.learns == "encoder":
            made = self.generator.faces(self.generator.encoder(batch["image"], batch["mask"])).float()
            return [batch["image"], made, batch["truth"]]
        codes = (self.draw_codes(batch["seed"] + place) for place in range(6))
        return [*(self.generator.faces(part).float() for part in codes), batch["truth"]]

    def score(self, batch: Batch) -> Tensor:
        """PSNR in dB of the encoder's face, or of the DCGAN's nearest of 256 faces: a search would take too long."""
        self.generator.eval()
        if self.config.learns == "encoder":
            made = self.generator.faces(self.generator.encoder(batch["image"], batch["mask"])).float()[:, None]
        else:
            made = self.generator.faces(self.draw_codes(torch.arange(256, device=batch["seed"].device))).float()[None]
        error = ((batch["truth"][:, None] - made) * 127.5).square().mean((2, 3, 4)).amin(1)
        return 10 * torch.log10(255**2 / error.clamp_min(1e-4))

    def draw_codes(self, seeds: Tensor, count: int = 1) -> Tensor:
        """(N * count, code_length) uniform in [-1, 1], each seed's own."""
        length = self.config.code_length
        rows = [torch.rand(count, length, generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
        return (torch.cat(rows) * 2 - 1).to(seeds.device)

    # Search

    def border_weight(self, known: Tensor) -> Tensor:
        """W of equation 7, (N, 1, S, S): 1 + alpha * the missing share of the block around each pixel. What lies
        outside the picture is not missing, it is not there."""
        block = self.config.block_px
        return 1 + self.config.border * F.avg_pool2d(1 - known, block, 1, block // 2)

    def look(self, image: Tensor, mask: Tensor) -> Target:
        """Prepare pictures (N, 3, S, S) in [-1, 1] with masks (N, 1, S, S), 1 = missing, to be compared with."""
        known = (mask < 0.5).float()
        weight = self.border_weight(known) * known
        face = (image.float() + 1) / 2 * weight
        return Target(weight, face, self.likeness.local_mean(face), self.likeness.local_mean(face.square()))

    def weigh(self, faces: Tensor, logits: Tensor, known: Target) -> dict[str, Tensor]:
        """Equation 8's terms (N,), unclamped and weighted; faces (N, 3, S, S) in [-1, 1], logits (N, 2)."""
        config = self.config
        c_min, c_max, s_min, s_max = self.limits()
        distance, alike = self.measure(faces, known)
        terms = {
            "adversarial": config.adversarial * F.log_softmax(logits.float(), 1)[:, FAKE],
            "context": config.context * (distance - c_min) / (c_max - c_min),
            "structure": config.structure * (s_max - alike) / (s_max - s_min),
        }
        if config.symmetry:
            terms["symmetry"] = config.symmetry * (faces - faces.flip(3)).abs().mean((1, 2, 3)) / 2
        if config.mean_face:
            mean = self.generator.mean_face.expand_as(faces)
            terms["mean_face"] = config.mean_face * (1 - self.likeness((faces + 1) / 2, (mean + 1) / 2))
        return terms

    def limits(self) -> tuple[float, ...]:
        return PAPER_BOUNDS if self.config.bounds == "paper" else tuple(self.generator.bounds.tolist())

    def measure(self, faces: Tensor, known: Target) -> tuple[Tensor, Tensor]:
        """L1 and SSIM (N,) of equation 8 before they are normalised."""
        ours = (faces + 1) / 2 * known.weight
        distance = (ours - known.face).abs().sum((1, 2, 3)) / known.weight.mean((1, 2, 3))
        return distance, self.likeness.compare(ours, known.face, known.mean, known.square)

    def search(self, image: Tensor, mask: Tensor, seeds: Tensor) -> SearchResult:
        """Complete N pictures with all their restarts in batches of `rows`, and keep each picture's best restart."""
        self.generator.eval()
        per = max(1, self.config.rows // self.config.restarts)
        with torch.autocast(image.device.type, enabled=False):
            some = zip(*(torch.split(values, per) for values in (image.float(), mask, seeds)), strict=True)
            parts = [self._search_some(*inputs) for inputs in some]
        joined: dict[str, Any] = {
            name: torch.cat([getattr(part, name) for part in parts]) for name in SearchResult._fields if name != "terms"
        }
        terms = {name: torch.cat([part.terms[name] for part in parts]) for name in parts[0].terms}
        found = SearchResult(**joined, terms=terms)
        log = logging.getLogger("facefill")
        clamped = ", ".join(f"{name} {float(values.mean()):.3f}" for name, values in found.terms.items())
        loss, steps = float(found.loss.mean()), float(found.steps.float().mean())
        log.info("%d faces: mean loss %.4f after %.0f iterations; %s", len(image), loss, steps, clamped)
        if found.lost.any():
            rows = found.lost.nonzero()[:, 0].tolist()
            log.warning("%d of %d faces: %s", len(rows), len(image), LOST, extra={"warning": LOST, "rows": rows})
        return found

    def _search_some(self, image: Tensor, mask: Tensor, seeds: Tensor) -> SearchResult:
        count = self.config.restarts
        known = self.look(image, mask)
        rows = Target(*(part.repeat_interleave(count, 0) for part in known))
        codes, steps = self._descend(self.starts(image, mask, seeds), rows)
        with torch.no_grad():
            faces = self.generator.faces(codes)
            terms = self.weigh(faces, self.generator.critic(faces), rows)
            loss = torch.stack(list(terms.values())).sum(0)
            best = loss.view(-1, count).argmin(1) + torch.arange(len(image), device=loss.device) * count
            mean = self.generator.mean_face.expand_as(image)
            plain = self.weigh(mean, torch.zeros(len(image), 2, device=image.device), known)
        terms = {name: values[best] for name, values in terms.items()}
        fits = (terms[name] - plain[name] for name in ("context", "structure") if name in terms)
        shown = {name: self.clamped(name, values) for name, values in terms.items()}
        lost = torch.stack(list(fits)).sum(0) > 0
        return SearchResult(faces[best], codes[best], loss[best], shown, steps[best], lost)

    def clamped(self, name: str, value: Tensor) -> Tensor:
        """A weighted term without its weight, as equations 5 and 6 print it."""
        weight: float = getattr(self.config, name)
        return (value / weight).clamp(0, 1) if name in ("context", "structure") and weight else value

    def starts(self, image: Tensor, mask: Tensor, seeds: Tensor) -> Tensor:
        """(N * restarts, code_length): where the search begins."""
        count = self.config.restarts
        codes = self.draw_codes(seeds, count)
        if self.config.start == "encoder":
            with torch.no_grad():
                guess = self.generator.encoder(torch.where(mask > 0.5, 0.0, image), mask)
            spread = torch.linspace(0, 0.5, count, device=codes.device).repeat(len(image))[:, None]
            codes = (guess.repeat_interleave(count, 0) + spread * codes).clamp(-1, 1)
        return codes

    def _descend(self, codes: Tensor, known: Target) -> tuple[Tensor, Tensor]:
        """The codes with the lowest loss, and how many iterations each row took; rows that stopped leave the batch."""
        config = self.config
        kind = torch.bfloat16 if config.bf16 else torch.float32
        faces_of, critic_of = (folded(part.layers, kind) for part in (self.generator.faces, self.generator.critic))

        def loss_of(angles: Tensor, rows: Tensor) -> Tensor:
            faces = faces_of(angles.sin().to(kind)[:, :, None, None])
            terms = self.weigh(faces.float(), critic_of(faces).flatten(1), Target(*(part[rows] for part in known)))
            return torch.stack(list(terms.values())).sum(0)

        angles = codes.clamp(-INSIDE, INSIDE).asin()
        angles, steps = descend(loss_of, angles, config.iterations, config.patience, config.better)
        return angles.sin(), steps


class Dip(LatentSearch):
    """Yeh et al. 2017 with the same networks: the l1 of the known pixels, weighted as there (section 3.2), and
    `DIP_PRIOR` times the critic's term; neither structure nor normalisation. Pictures on [-1, 1]; both terms are
    divided by the number of a picture's values, which moves no minimum. `border=0` weighs all known pixels alike."""

    def border_weight(self, known: Tensor) -> Tensor:
        """Their W, (N, 1, S, S): the missing share of the block around each pixel, so that known pixels far from any
        hole do not count. The block is mirrored at the picture's edge, as their published code has it."""
        if not self.config.border:
            return torch.ones_like(known)
        reach, side = self.config.block_px // 2, known.shape[-1]
        inside = list(range(side))
        at = [*inside[:reach][::-1], *inside, *inside[side - reach :][::-1]]
        return F.avg_pool2d((1 - known)[..., at, :][..., at], self.config.block_px, 1)

    def weigh(self, faces: Tensor, logits: Tensor, known: Target) -> dict[str, Tensor]:
        distance = (faces * known.weight - (2 * known.face - known.weight)).abs().mean((1, 2, 3))
        prior = DIP_PRIOR / faces[0].numel() * F.log_softmax(logits.float(), 1)[:, FAKE]
        return {"adversarial": prior, "context": distance}

    def clamped(self, name: str, value: Tensor) -> Tensor:
        return value
