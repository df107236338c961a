"""What networks see in pictures: perceptual distance, vectors for distances between sets of pictures, and identity.

No weights ship with facefill: the user points to a file. Only with AlexNet or VGG-16 and their heads is the perceptual
distance LPIPS (Zhang et al. 2018), and only with Inception v3 is the distance of Gaussians FID (Heusel et al. 2017).
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facefill.arrays import F32, F64, U8, Points
from facefill.catalog import file_hash
from facefill.errors import InputError
from facefill.imaging.crop import Crop
from facefill.runtime.engine import load_engine

if TYPE_CHECKING:
    from torch import Tensor

    from facefill.evaluation.backbones import Backbone


PROBE_PX = 96
"""Side of the empty picture that tells how long a network's vectors are."""
SIDE_PX = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where eyes, nose and mouth corners lie in the embedder's picture, pixels (Deng et al. 2019, ArcFace's alignment)."""
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
RATES = (1e-2, 1e-3)
"""False accept rates at which verification is told."""
FEWEST = 10
"""Pairs of two people that must lie above a threshold for its rate to mean something."""


class Features:
    """One network on one file of weights, perhaps with the heads of LPIPS."""

    def __init__(self, backbone: Backbone, heads: list[Tensor] | None, sha256: str) -> None:
        self._backbone, self._heads = backbone, heads
        self.title = backbone.title
        self.name = backbone.title.lower().replace(" ", "").replace("-", "").replace(".", "")
        """Names its columns and files."""
        self.sha256 = sha256
        """Hash of the weights, joined with that of the heads where there are any."""
        self.perceptual = "" if heads is None else "LPIPS" if self.name in ("alexnet", "vgg16") else "LPIPS-like"
        """What its perceptual distance may be called; empty where it has none."""
        self.distance = "FID" if self.name == "inceptionv3" else f"Fréchet ({self.title})"
        self.width = self.look(np.zeros((1, PROBE_PX, PROBE_PX, 3), np.uint8))[1].shape[1]

    def look(self, pictures: U8) -> tuple[list[Tensor], F32]:
        """Activations of (N, H, W, 3) pictures, each scaled to length 1 over its channels, and vectors (N, D)."""
        import torch

        with torch.inference_mode():
            planes = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float()
            found, vectors = self._backbone.look(planes)
            if self._heads is None:
                return [], vectors.numpy()
            return [layer / (layer.square().sum(1, keepdim=True).sqrt() + 1e-10) for layer in found], vectors.numpy()

    def compare(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> F64:
        """LPIPS of pictures by their activations, (N,), 0 or more (Zhang et al. 2018, equation 1)."""
        import torch

        with torch.inference_mode():
            total: Any = 0.0
            for ours, theirs, head in zip(first, second, self._heads or (), strict=True):
                total = total + ((ours - theirs).square() * head).sum(1).mean((1, 2)).double()
            return np.asarray(total.numpy(), np.float64)


def load_features(paths: Sequence[Path], heads: Path | None = None) -> list[Features]:
    """Networks for features. paths: .npz or .safetensors of SqueezeNet 1.1 (Caffe's names), AlexNet, VGG-16 or
    Inception v3 (torchvision's). heads: those of LPIPS, for the first network that they fit.

    Raises InputError: torch is missing, a file is missing, damaged, of another network, or heads that fit none.
    """
    if not paths:
        if heads is not None:
            raise InputError("a network for the heads", "--lpips-heads alone", "add --features NETWORK")
        return []
    try:
        from facefill.evaluation.backbones import which
    except ImportError:
        fix = "pip install 'facefill[train]'"
        raise InputError("the package torch for --features", "none installed", fix) from None
    head_list: list[Tensor] | None = None
    if heads is not None:
        named = _read_weights(heads)
        head_list = [named[name] for name in sorted(named) if name.startswith("lin")]
        if not head_list or any(head.ndim != 4 for head in head_list):
            expected = "heads of LPIPS, lin0.model.1.weight and so on"
            raise InputError(expected, f"other names in {heads.name}", "give the file of heads")
    loaded: list[Features] = []
    for path in paths:
        weights = _read_weights(path)
        kind = which(weights)
        if kind is None:
            expected = "weights of SqueezeNet 1.1, AlexNet, VGG-16 or Inception v3"
            fix = "give the layout of torchvision, or of Caffe for SqueezeNet"
            raise InputError(expected, f"other names in {path.name}", fix)
        sha256, fitting = file_hash(path), None
        if head_list is not None and heads is not None and kind.layers == tuple(h.shape[1] for h in head_list):
            fitting, head_list, sha256 = head_list, None, f"{sha256}+{file_hash(heads)}"
        try:
            loaded.append(Features(kind(weights), fitting, sha256))
        except (KeyError, RuntimeError) as error:
            raise InputError(f"whole weights of {kind.title}", f"{path.name} ({error})", "get the file again") from None
    if head_list is not None and heads is not None:
        fits = ", ".join(f"{features.title}" for features in loaded)
        fix = "give the heads that were calibrated for the network"
        raise InputError(f"heads for {fits}", f"{heads.name} with {[h.shape[1] for h in head_list]} channels", fix)
    return loaded


def _read_weights(path: Path) -> dict[str, Tensor]:
    import torch

    if not path.is_file():
        raise InputError("a file of weights", f"nothing at {path}", "check the path")
    if path.suffix not in (".npz", ".safetensors"):
        fix = "save its state_dict by safetensors.torch.save_file first: pickles are never opened"
        raise InputError("weights as .npz or .safetensors", path.name, fix)
    arrays: dict[str, Any]
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
        else:
            from safetensors.numpy import load_file

            arrays = load_file(path)
    except ImportError:
        raise InputError("the package safetensors", "none installed", "pip install 'facefill[train]'") from None
    except Exception as error:
        raise InputError("whole weights", f"{path.name} ({error})", "get the file again") from error
    return {name: torch.from_numpy(np.ascontiguousarray(values)).float() for name, values in arrays.items()}


# --- Identity -----------------------------------------------------------------------------------


class Embedder:
    """A network from an aligned face to a vector whose cosines tell people apart.

    Its ONNX file takes one (1, 3, 112, 112) float32 RGB picture, (x / 255 - mean) / deviation of ImageNet.
    """

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None) -> None:
        """Raises InputError for a missing file, or one that takes something else."""
        if not path.is_file():
            raise InputError("an .onnx face embedder", f"nothing at {path}", "check the path")
        self.sha256 = file_hash(path)
        self._engine = load_engine(path, device=device, threads=threads, exact=True)
        try:
            self.width = self.look(np.zeros((1, SIDE_PX, SIDE_PX, 3), np.uint8), TEMPLATE[None]).shape[1]
        except Exception as error:
            got = f"{path.name}, which takes another"
            fix = "give an ONNX file with the input 1x3x112x112"
            raise InputError(f"an embedder of one {SIDE_PX}x{SIDE_PX} RGB picture", got, fix) from error

    def look(self, faces: U8, landmarks: Points) -> F32:
        """Vectors of length 1, (N, D). faces: (N, S, S, 3). landmarks: (N, 5, 2) pixels of the uncovered faces."""
        aligned = np.stack([align(face, points) for face, points in zip(faces, landmarks, strict=True)])
        values = (aligned.astype(np.float32) / np.float32(255) - MEAN) / DEVIATION
        planes = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        # Its only input, whatever the file calls it.
        inputs: dict[str, F32] = defaultdict(lambda: planes)
        found = next(iter(self._engine.run(inputs).values())).reshape(len(faces), -1)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True).clip(1e-12), np.float32)


def align(face: U8, landmarks: Points) -> U8:
    """(112, 112, 3) with the landmarks on the template as well as turning, scaling and shifting can."""
    source, target = landmarks - landmarks.mean(axis=0), TEMPLATE - TEMPLATE.mean(axis=0)
    # Least squares of target against (a, -b; b, a) source, in closed form.
    spread = float((target**2).sum())
    a = float((source * target).sum()) / spread
    b = float((target[:, 0] * source[:, 1] - target[:, 1] * source[:, 0]).sum()) / spread
    turn = np.array([[a, -b], [b, a]])
    matrix = np.column_stack([turn, landmarks.mean(axis=0) - turn @ TEMPLATE.mean(axis=0)])
    return Crop(SIDE_PX, matrix).take(face)


def partners(identities: Sequence[str], files: Sequence[str]) -> NDArray[np.int64]:
    """For each face the place of another picture of the same person, -1 where there is none.

    Of several the one with the least SHA-256 of "file/other file". Faces without an identity have none.
    """
    people: dict[str, list[int]] = defaultdict(list)
    for index, identity in enumerate(identities):
        if identity:
            people[identity].append(index)
    found = np.full(len(files), -1, np.int64)
    for index, identity in enumerate(identities):
        others = [other for other in people.get(identity, ()) if other != index]
        if others:
            found[index] = min(others, key=lambda o: hashlib.sha256(f"{files[index]}/{files[o]}".encode()).digest())
    return found


def accept_from(truths: F32, identities: Sequence[str], rate: float) -> float:
    """The cosine above which `rate` of all pairs of true pictures of two people lie; nan where fewer than `FEWEST` do.

    A threshold of the true pictures is the same for every method, as a system that knows nothing of completion has it.
    """
    names = np.array(identities)
    strangers = np.triu((names[:, None] != names[None]) & (names != "")[:, None] & (names != "")[None], 1)
    scores = (truths @ truths.T)[strangers]
    above = math.floor(rate * len(scores))
    return float(-np.partition(-scores, above)[above]) if above >= FEWEST else math.nan


def verify(vectors: F32, truths: F32, partner: NDArray[np.int64], threshold: float) -> F64:
    """Whether each face (n, D) is accepted as the person of its partner's true picture: 1, 0, or nan where it has no
    partner, or the threshold is nan. truths: (N, D) of the whole split, of which the faces are the first n."""
    accepted = np.full(len(vectors), math.nan)
    there = partner[: len(vectors)] >= 0
    if not math.isnan(threshold):
        accepted[there] = (vectors[there] * truths[partner[: len(vectors)][there]]).sum(axis=1) > threshold
    return accepted
