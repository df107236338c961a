"""What networks see is what the same network gives when it is built another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facefill.errors import InputError
from facefill.evaluation.features import load_features

torch = pytest.importorskip("torch")
nn = torch.nn

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def pictures(n: int = 2, side: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3)).astype(np.uint8)


def weights_of(module: object, prefix: str = "features.") -> dict[str, np.ndarray]:
    return {prefix + name: values.numpy() for name, values in module.state_dict().items()}  # type: ignore[attr-defined]


def write(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(path, **arrays)
    return path


def alexnet() -> object:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, 1, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, 1, 1),
        nn.ReLU(),
    )


def vgg16() -> object:
    torch.manual_seed(0)
    layers, channels = [], 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512):
        layers += [nn.MaxPool2d(2)] if not width else [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        channels = width or channels
    return nn.Sequential(*layers)


def heads(widths: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    shapes = [(1, width, 1, 1) for width in widths]
    return {f"lin{place}.model.1.weight": rng.random(shape, np.float32) for place, shape in enumerate(shapes)}


@pytest.mark.parametrize(
    ("build", "ends", "widths", "title"),
    [
        (alexnet, (1, 4, 7, 9, 11), (64, 192, 384, 256, 256), "AlexNet"),
        (vgg16, (3, 8, 15, 22, 29), (64, 128, 256, 512, 512), "VGG-16"),
    ],
)
def test_lpips_of_torchvisions_networks_worked_in_numpy(
    tmp_path: Path, build: object, ends: tuple[int, ...], widths: tuple[int, ...], title: str
) -> None:
    network = build()  # type: ignore[operator]
    linear = heads(widths)
    path = write(tmp_path / "net.npz", weights_of(network))
    features = load_features([path], write(tmp_path / "heads.npz", linear))[0]
    assert (features.title, features.perceptual) == (title, "LPIPS")

    def look(picture: np.ndarray) -> list[np.ndarray]:
        x = torch.from_numpy(((picture / 255 - MEAN) / DEVIATION).transpose(2, 0, 1)[None]).float()
        found = []
        with torch.no_grad():
            for place, layer in enumerate(network):
                x = layer(x)
                if place in ends:
                    found.append(x[0].numpy())
        return [layer / (np.sqrt((layer**2).sum(0)) + 1e-10) for layer in found]

    first, second = pictures()
    expected = sum(
        ((a - b) ** 2 * linear[f"lin{place}.model.1.weight"][0]).sum(0).mean()
        for place, (a, b) in enumerate(zip(look(first), look(second), strict=True))
    )
    seen = [features.look(picture[None])[0] for picture in (first, second)]
    assert features.compare(*seen)[0] == pytest.approx(expected, rel=1e-4)
    assert features.compare(seen[0], seen[0])[0] == 0


def squeezenet() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"conv1": (64, 3, 3, 3)}
    channels = 64
    for number, (thin, wide) in enumerate([(16, 64)] * 2 + [(32, 128)] * 2 + [(48, 192)] * 2 + [(64, 256)] * 2, 2):
        shapes |= {
            f"fire{number}/squeeze1x1": (thin, channels, 1, 1),
            f"fire{number}/expand1x1": (wide, thin, 1, 1),
            f"fire{number}/expand3x3": (wide, thin, 3, 3),
        }
        channels = 2 * wide
    arrays = {}
    for name, shape in shapes.items():
        arrays[f"{name}.w"] = (rng.normal(0, 1, shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float16)
        arrays[f"{name}.b"] = np.zeros(shape[0], np.float16)
    return arrays


SQUEEZE = (64, 128, 256, 384, 384, 512, 512)


def test_squeezenet_is_not_called_lpips_or_fid(tmp_path: Path) -> None:
    paths = [write(tmp_path / "s.npz", squeezenet())]
    features = load_features(paths, write(tmp_path / "heads.npz", heads(SQUEEZE)))[0]
    assert (features.perceptual, features.distance) == ("LPIPS-like", "Fréchet (SqueezeNet 1.1)")
    assert load_features(paths)[0].perceptual == ""
    layers, vectors = features.look(pictures())
    assert tuple(layer.shape[1] for layer in layers) == SQUEEZE
    assert vectors.shape == (2, features.width) == (2, 512)


def test_squeezenet_takes_bgr_less_its_mean(tmp_path: Path) -> None:
    """A first layer that passes red on: what comes out is red less 123."""
    arrays = squeezenet()
    arrays["conv1.w"] = np.zeros((64, 3, 3, 3), np.float16)
    arrays["conv1.w"][0, 2, 1, 1] = 1
    backbone = load_features([write(tmp_path / "s.npz", arrays)])[0]._backbone
    picture = np.full((1, 64, 64, 3), (200, 10, 10), np.uint8)
    layers, _ = backbone.look(torch.from_numpy(picture.transpose(0, 3, 1, 2)).float())
    assert (layers[0][0, 0] == 200 - 123).all()


def test_inception_uses_every_weight_of_torchvisions_layout(tmp_path: Path) -> None:
    from facefill.evaluation.backbones import Inception, which

    arrays = inception()
    backbone = Inception({name: torch.from_numpy(values) for name, values in arrays.items()})
    assert which(backbone.weights) is Inception
    used = set()

    class Watched(dict):  # type: ignore[type-arg]
        def __getitem__(self, name: str) -> object:
            used.add(name)
            return super().__getitem__(name)

    backbone.weights = Watched(backbone.weights)
    with torch.inference_mode():
        vectors = backbone.look(torch.zeros(1, 3, 64, 64))[1]
    assert vectors.shape == (1, 2048)
    assert used == set(arrays)
    assert len(used) == 94 * 5 + 1


def inception() -> dict[str, np.ndarray]:
    """Shapes of Inception v3 from its paper's table and figures: (name, in, out, kernel)."""
    convs: list[tuple[str, int, int, tuple[int, int]]] = [
        ("Conv2d_1a_3x3", 3, 32, (3, 3)),
        ("Conv2d_2a_3x3", 32, 32, (3, 3)),
        ("Conv2d_2b_3x3", 32, 64, (3, 3)),
        ("Conv2d_3b_1x1", 64, 80, (1, 1)),
        ("Conv2d_4a_3x3", 80, 192, (3, 3)),
    ]
    for name, width, pool in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
        at = f"Mixed_{name}.branch"
        convs += [
            (f"{at}1x1", width, 64, (1, 1)),
            (f"{at}5x5_1", width, 48, (1, 1)),
            (f"{at}5x5_2", 48, 64, (5, 5)),
            (f"{at}3x3dbl_1", width, 64, (1, 1)),
            (f"{at}3x3dbl_2", 64, 96, (3, 3)),
            (f"{at}3x3dbl_3", 96, 96, (3, 3)),
            (f"{at}_pool", width, pool, (1, 1)),
        ]
    at = "Mixed_6a.branch"
    convs += [
        (f"{at}3x3", 288, 384, (3, 3)),
        (f"{at}3x3dbl_1", 288, 64, (1, 1)),
        (f"{at}3x3dbl_2", 64, 96, (3, 3)),
        (f"{at}3x3dbl_3", 96, 96, (3, 3)),
    ]
    for name, c in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        at = f"Mixed_{name}.branch"
        convs += [
            (f"{at}1x1", 768, 192, (1, 1)),
            (f"{at}7x7_1", 768, c, (1, 1)),
            (f"{at}7x7_2", c, c, (1, 7)),
            (f"{at}7x7_3", c, 192, (7, 1)),
            (f"{at}7x7dbl_1", 768, c, (1, 1)),
            (f"{at}7x7dbl_2", c, c, (7, 1)),
            (f"{at}7x7dbl_3", c, c, (1, 7)),
            (f"{at}7x7dbl_4", c, c, (7, 1)),
            (f"{at}7x7dbl_5", c, 192, (1, 7)),
            (f"{at}_pool", 768, 192, (1, 1)),
        ]
    at = "Mixed_7a.branch"
    convs += [
        (f"{at}3x3_1", 768, 192, (1, 1)),
        (f"{at}3x3_2", 192, 320, (3, 3)),
        (f"{at}7x7x3_1", 768, 192, (1, 1)),
        (f"{at}7x7x3_2", 192, 192, (1, 7)),
        (f"{at}7x7x3_3", 192, 192, (7, 1)),
        (f"{at}7x7x3_4", 192, 192, (3, 3)),
    ]
    for name, width in (("7b", 1280), ("7c", 2048)):
        at = f"Mixed_{name}.branch"
        convs += [
            (f"{at}1x1", width, 320, (1, 1)),
            (f"{at}3x3_1", width, 384, (1, 1)),
            (f"{at}3x3_2a", 384, 384, (1, 3)),
            (f"{at}3x3_2b", 384, 384, (3, 1)),
            (f"{at}3x3dbl_1", width, 448, (1, 1)),
            (f"{at}3x3dbl_2", 448, 384, (3, 3)),
            (f"{at}3x3dbl_3a", 384, 384, (1, 3)),
            (f"{at}3x3dbl_3b", 384, 384, (3, 1)),
            (f"{at}_pool", width, 192, (1, 1)),
        ]
    arrays = {"fc.weight": np.zeros((1008, 2048), np.float32)}
    for name, before, after, kernel in convs:
        arrays[f"{name}.conv.weight"] = np.zeros((after, before, *kernel), np.float32)
        for part in ("weight", "bias", "running_mean", "running_var"):
            arrays[f"{name}.bn.{part}"] = np.ones(after, np.float32)  # type: ignore[assignment]
    return arrays


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"pickle")
    (tmp_path / "torn.npz").write_bytes(b"PK torn")
    other = write(tmp_path / "other.npz", {"conv.weight": np.zeros((1, 3, 3, 3))})
    half = write(tmp_path / "half.npz", {k: v for k, v in squeezenet().items() if not k.startswith("fire9")})
    whole = write(tmp_path / "whole.npz", squeezenet())
    wrong = write(tmp_path / "wrong.npz", heads((64, 192, 384, 256, 256)))
    for paths, linear, words in (
        ([tmp_path / "gone.npz"], None, "nothing at"),
        ([tmp_path / "net.pth"], None, "pickles are never opened"),
        ([tmp_path / "torn.npz"], None, "whole weights"),
        ([other], None, "other names"),
        ([half], None, "half.npz"),
        ([whole], wrong, "heads for SqueezeNet"),
        ([], whole, "--features"),
        ([whole], other, "heads of LPIPS"),
    ):
        with pytest.raises(InputError, match=words):
            load_features(paths, linear)
