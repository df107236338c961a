"""finder: a small single-shot network that finds faces, covered ones too. No paper of its own; it borrows

- anchor-free points on strides 8, 16 and 32 with the classes of Tian et al. 2019 (FCOS: the size of a face picks its
  level, points near its centre are its own);
- a score that also tells how well the box fits (Li et al. 2020, generalized focal loss, equation 10);
- the box distance of Zheng et al. 2020 (DIoU), and landmarks measured in sides of the face.

What it leaves out, and why: normalisation (nothing depends on what shares the batch, and the exported weights are
exactly the trained ones), anchors, a tower for each output (a shared one costs half and is enough for one class).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefill.config import Frozen
from facefill.nets.layers import Up, conv
from facefill.nets.trainable import Helper, Trunk

STRIDES = (8, 16, 32)
"""Pixels between the points of each level."""
SIDES_PX = ((0.0, 64.0), (44.0, 144.0), (104.0, 1e9))
"""Faces that each level learns, by the square root of the box's area. They overlap: between two levels both answer."""
OUTPUTS = 15
"""What each point says: score logit; centre x, y in strides from the point; log of width and height in units of
4 strides; x, y of five landmarks in strides from the point."""


class FinderConfig(Frozen):
    widths: tuple[int, int, int, int] = (32, 48, 96, 112)
    """Channels at 1/4, 1/8, 1/16 and 1/32 of the picture's side."""
    dilations: tuple[tuple[int, ...], ...] = ((1,), (1,), (2,))
    """One residual block for each number, at 1/8, 1/16 and 1/32."""
    neck: int = 48
    """Channels that the three levels share before the outputs."""
    box: float = 2.0
    """Weight of the box distance."""
    landmarks: float = 10.0
    """Weight of the landmark distance."""


class FinderGenerator(Trunk):
    """(N, 3, H, W) in [-1, 1], H and W multiples of 32, to (N, 15, K): what each of K points says, see `OUTPUTS`.

    The points of stride 8 come first, row by row, then those of 16 and 32.
    """

    def __init__(self, config: FinderConfig) -> None:
        super().__init__(config.widths, config.dilations)
        widths, neck = config.widths[1:], config.neck
        self.sides = nn.ModuleList(conv(c, neck, kernel=1) for c in widths)
        self.ups = nn.ModuleList(Up(neck, neck, "nearest") for _ in widths[1:])
        self.tower = conv(neck, neck)
        heads = [conv(neck, OUTPUTS) for _ in widths]
        for head in heads:
            nn.init.normal_(head.weight, std=0.01)
            assert head.bias is not None
            head.bias.data[0] = -4.6  # one point in a hundred: the prior of Lin et al. 2017, section 3.3
        self.heads = nn.ModuleList(heads)

    def forward(self, image: Tensor) -> Tensor:
        features = [side(self.act(x)) for side, x in zip(self.sides, self.levels(image), strict=True)]
        for level in (1, 0):
            features[level] = features[level] + self.ups[level](features[level + 1])
        towers = [self.act(self.tower(self.act(feature))) for feature in features]
        return torch.cat([head(tower).flatten(2) for head, tower in zip(self.heads, towers, strict=True)], 2)


class Predictions(NamedTuple):
    """What every point of every level says, K points together; pixels of the input picture."""

    logits: Tensor
    """(N, K) scores before the sigmoid."""
    boxes: Tensor
    """(N, K, 4) x0, y0, x1, y1."""
    landmarks: Tensor
    """(N, K, 5, 2) x, y."""
    points: Tensor
    """(K, 2) x, y of the points; a pixel's centre is at integer coordinates."""
    strides: Tensor
    """(K,) pixels."""


def points_of(height: int, width: int, stride: int) -> Tensor:
    """(height * width, 2) x, y of a level's points, row by row: the middles of squares of stride x stride pixels."""
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (torch.stack([xs, ys], -1).reshape(-1, 2) + 0.5) * stride - 0.5


def decode(said: Tensor, height: int, width: int) -> Predictions:
    """Turn what the points say, (N, 15, K), into boxes and landmarks. height, width: of the network's input, pixels."""
    levels = [points_of(height // stride, width // stride, stride) for stride in STRIDES]
    point = torch.cat(levels).to(said.device)
    step = torch.cat([torch.full((len(level),), float(s)) for level, s in zip(levels, STRIDES, strict=True)])
    step = step.to(said.device)
    row = said.float().transpose(1, 2)
    centre = point + row[..., 1:3] * step[:, None]
    half = row[..., 3:5].clamp(-6, 6).exp() * (2 * step[:, None])
    landmarks = point[:, None] + row[..., 5:].reshape(*row.shape[:2], 5, 2) * step[:, None, None]
    return Predictions(row[..., 0], torch.cat([centre - half, centre + half], -1), landmarks, point, step)


def side_of(boxes: Tensor) -> Tensor:
    """(..., 4) boxes to the side of the square of the same area, in pixels."""
    return ((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])).clamp_min(1e-6).sqrt()


class Owners(NamedTuple):
    face: Tensor
    """(N, K) int64, the face's index; meaningless where not `positive`."""
    positive: Tensor
    """(N, K) bool."""
    judged: Tensor
    """(N, K) bool: its score has a target. False in the middle of faces that count neither way."""


def assign(found: Predictions, boxes: Tensor, counts: Tensor) -> Owners:
    """Give points to faces: those of the face's levels within 0.3 sides of its centre, at least half and at most one
    and a half strides; of several faces the one whose centre is nearest, in sides.

    boxes: (N, M, 4). counts: (N, M), 1 = a face, 0 = learn neither a face nor its absence there, -1 = filling.
    """
    centres, side = (boxes[..., :2] + boxes[..., 2:]) / 2, side_of(boxes)
    off = (found.points[None, :, None] - centres[:, None]).abs().amax(-1)  # (N, K, M)
    step = found.strides[None, :, None]
    low = torch.tensor([span[0] for span in SIDES_PX], device=boxes.device)
    high = torch.tensor([span[1] for span in SIDES_PX], device=boxes.device)
    level = (found.strides / STRIDES[0]).log2().round().long()
    fits = (side[:, None] >= low[level][None, :, None]) & (side[:, None] < high[level][None, :, None])
    reach = torch.minimum(torch.maximum(0.3 * side[:, None], 0.5 * step), 1.5 * step)
    owns = fits & (off <= reach) & (counts == 1)[:, None]
    distance = torch.where(owns, off / side[:, None], torch.inf)
    face = distance.argmin(-1)
    undecided = (off <= 0.4 * side[:, None]) & (counts == 0)[:, None]
    positive = owns.any(-1)
    return Owners(face, positive, positive | ~undecided.any(-1))


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and DIoU (Zheng et al. 2020, equation 7) of (..., 4) boxes pair by pair."""
    corner = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    inner = corner.clamp_min(0).prod(-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2]).clamp_min(0).prod(-1) for box in (a, b))
    iou = inner / (area_a + area_b - inner).clamp_min(1e-6)
    span = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    apart = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    return iou, iou - apart.square().sum(-1) / span.square().sum(-1).clamp_min(1e-6)


class FinderNet(Helper):
    Config = FinderConfig

    def __init__(self, config: FinderConfig) -> None:
        super().__init__(config)
        self.config: FinderConfig = config
        self.generator = FinderGenerator(config)

    def losses(self, player: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """batch: `image` (N, 3, H, W), `boxes` (N, M, 4), `landmarks` (N, M, 5, 2) in its pixels, `counts` (N, M) as in
        `assign`. A face scores 0.5 + IoU / 2: it is a face even where its chin is a guess."""
        image = batch["image"]
        found = decode(self(image=image), image.shape[-2], image.shape[-1])
        owners = assign(found, batch["boxes"], batch["counts"])
        picture, point = owners.positive.nonzero(as_tuple=True)
        face = owners.face[picture, point]
        boxes = batch["boxes"][picture, face]
        iou, diou = overlap(found.boxes[picture, point], boxes)
        target = torch.zeros_like(found.logits)
        target[picture, point] = 0.5 + 0.5 * iou.detach()
        cross = F.binary_cross_entropy_with_logits(found.logits, target, reduction="none")
        surprise = (target - found.logits.sigmoid()).square()
        total = float(max(len(picture), 1))
        side = side_of(boxes)
        off = (found.landmarks[picture, point] - batch["landmarks"][picture, face]) / side[:, None, None]
        near = F.smooth_l1_loss(off, torch.zeros_like(off), beta=0.02, reduction="none").mean((1, 2))
        return {
            "face": (cross * surprise * owners.judged).sum() / total,
            "box": self.config.box * (1 - diou).sum() / total,
            "landmarks": self.config.landmarks * (near * (side / 32).clamp_max(1)).sum() / total,
        }

    def show(self, batch: dict[str, Tensor]) -> list[Tensor]:
        """Pictures for a sample sheet: the scene, and the scene with all but what scores 0.5 or more darkened."""
        image = batch["image"]
        height, width = image.shape[-2:]
        found = decode(self(image=image), height, width)
        ys, xs = torch.arange(height, device=image.device)[:, None], torch.arange(width, device=image.device)
        lit = torch.zeros_like(image[:, :1], dtype=torch.bool)
        for picture, point in (found.logits >= 0).nonzero().tolist():
            x0, y0, x1, y1 = found.boxes[picture, point]
            lit[picture, 0] |= (xs >= x0) & (xs <= x1) & (ys >= y0) & (ys <= y1)
        return [image, torch.where(lit, image, (image - 3) / 4)]

    def score(self, batch: dict[str, Tensor]) -> Tensor:
        """For each picture the mean, over the faces that count, of the best IoU with what scores 0.5 or more, (N,);
        1 where there is no face."""
        image, boxes, counted = batch["image"], batch["boxes"], batch["counts"] == 1
        found = decode(self(image=image), image.shape[-2], image.shape[-1])
        iou = overlap(found.boxes[:, :, None], boxes[:, None])[0] * (found.logits >= 0)[..., None]
        mean = (iou.amax(1) * counted).sum(1) / counted.sum(1).clamp_min(1)
        return torch.where(counted.any(1), mean, 1.0)
