"""`facefill average`, `facefill settle`, `facefill ship`: from the weights of runs to a shipped file."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facefill.commands.options import Overwrite, need, new_file

Out = Annotated[Path, Option("-o", "--out", metavar="FILE", help="The .safetensors file to write.")]


def average(
    first: Annotated[Path, Argument(metavar="WEIGHTS", help="A .safetensors or .onnx of facefill's.")],
    second: Annotated[
        Path, Argument(metavar="OTHER", help="Another of the same method, on the same path of training.")
    ],
    share: Annotated[float, Argument(min=0.0, max=1.0, help="The weight of OTHER.")],
    out: Out,
    overwrite: Overwrite = False,
) -> None:
    """Write the weighted mean of two weights (needs the extra `train`)."""
    need("train", "torch", "safetensors")
    from facefill.training.average import average_weights

    average_weights(first, second, share, new_file(out, ".safetensors", overwrite))


def settle(
    weights: Annotated[Path, Argument(metavar="WEIGHTS", help="A .safetensors or .onnx of latent_search or swift.")],
    dataset: Annotated[Path, Argument(metavar="DATASET", help="Its dataset; latent_search takes faces of validation.")],
    out: Out,
    faces: Annotated[
        int | None,
        Option(min=1, help="latent_search: faces of validation, 64 by default; swift: faces to choose from, 12,000."),
    ] = None,
    generated: Annotated[int, Option(min=256, help="latent_search: generated faces.")] = 12_800,
    without: Annotated[
        Path | None, Option(metavar="FILE", help="swift: names of faces to leave out, one a line.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure what a method needs beside trained weights, and store it with them: latent_search what its DCGAN
    generates, swift the eyes of typical faces (needs the extra `train`)."""
    need("train", "torch", "safetensors")
    from facefill.training.checkpoint import load_weights
    from facefill.training.settle import settle_eyes, settle_weights, validation_faces

    out = new_file(out, ".safetensors", overwrite)
    if load_weights(weights)[1]["method"] == "swift":
        print(f"eyes of {settle_eyes(weights, out, dataset, faces or 12_000, without)} faces")
        return
    settled = settle_weights(weights, out, validation_faces(dataset, faces or 64), generated)
    print("c_min {:.0f}, c_max {:.0f}, s_min {:.4f}, s_max {:.4f}".format(*settled.bounds))


def ship(
    name: Annotated[str, Argument(metavar="NAME", help="As in src/facefill/weights/weights.toml.")],
    weights: Annotated[
        Path, Argument(metavar="WEIGHTS", help="A .safetensors that `facefill train`, `average` or `settle` wrote.")
    ],
) -> None:
    """Put weights into this checkout as a shipped file, with its hash and history (needs the extra `train`)."""
    need("train", "torch", "safetensors")
    from facefill.training.ship import ship_weights

    for line in ship_weights(name, weights):
        print(line)
