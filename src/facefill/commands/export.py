"""`facefill export`: weights of a run as ONNX."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facefill.commands.options import Overwrite, need, new_file


def export(
    weights: Annotated[
        Path,
        Argument(
            metavar="WEIGHTS",
            help="A .safetensors file written by `facefill train`, or an .onnx file exported from one.",
        ),
    ],
    out: Annotated[Path, Option("-o", "--out", help="The .onnx file to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Write weights as ONNX and compare with torch (needs the extra `train`)."""
    need("train", "torch", "safetensors")
    from facefill.training.export import export as write

    for difference in write(weights, new_file(out, ".onnx", overwrite)):
        print(
            f"{difference.engine}: largest difference from torch {difference.largest:.1e}, mean {difference.mean:.1e}"
        )
