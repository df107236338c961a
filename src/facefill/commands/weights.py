"""`facefill average`, `facefill settle`, `facefill ship`: from the weights of runs to a shipped file."""

from pathlib import Path
from typing import Annotated

import typer

from facefill.commands.options import Overwrite, need, new_file

Out = Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The .safetensors file to write.")]


def average(
    first: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="A .safetensors or .onnx of facefill's.")],
    second: Annotated[
        Path, typer.Argument(metavar="OTHER", help="Another of the same method, on the same path of training.")
    ],
    share: Annotated[float, typer.Argument(min=0.0, max=1.0, help="The weight of OTHER.")],
    out: Out,
    overwrite: Overwrite = False,
) -> None:
    """Write the weighted mean of two weights (needs the extra `train`)."""
    need("train", "torch", "safetensors")
    from facefill.training.average import average_weights

    average_weights(first, second, share, new_file(out, ".safetensors", overwrite))


def settle(
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="A .safetensors of latent_search.")],
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Faces for validation, which the DCGAN never saw.")
    ],
    out: Out,
    faces: Annotated[int, typer.Option(min=1, help="Validation faces.")] = 64,
    generated: Annotated[int, typer.Option(min=256, help="Generated faces.")] = 12_800,
    overwrite: Overwrite = False,
) -> None:
    """Measure what a search needs to know about a trained DCGAN, and store it in the file (needs the extra `train`)."""
    need("train", "torch", "safetensors")
    from facefill.training.settle import settle_weights, validation_faces

    out = new_file(out, ".safetensors", overwrite)
    settled = settle_weights(weights, out, validation_faces(dataset, faces), generated)
    print("c_min {:.0f}, c_max {:.0f}, s_min {:.4f}, s_max {:.4f}".format(*settled.bounds))


def ship(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As in src/facefill/weights/weights.toml.")],
    weights: Annotated[
        Path,
        typer.Argument(metavar="WEIGHTS", help="A .safetensors that `facefill train`, `average` or `settle` wrote."),
    ],
) -> None:
    """Put weights into this checkout as a shipped file, with its hash and history (needs the extra `train`)."""
    need("train", "torch", "safetensors")
    from facefill.training.ship import ship_weights

    for line in ship_weights(name, weights):
        print(line)
