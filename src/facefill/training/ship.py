"""Puts weights into the checkout as a shipped file: one file for inference and for training, its hash, its history."""

import json
import re
import shutil
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from facefill.catalog import METHODS, Run, file_hash, further_folder, weights_folder
from facefill.errors import InputError
from facefill.files.whole import write_whole
from facefill.training.checkpoint import load_weights, save_weights
from facefill.training.export import export
from facefill.training.history import history_of

BLOCK = """[{name}]
file = "{file}"
sha256 = ""
method = "{name}"
params = 0
ms = 0.0
data = "say which pictures it learned from"
licences = {{ code = "Apache-2.0", weights = "LicenseRef-facefill-weights", data = "non-commercial research" }}
"""


def ship_weights(name: str, weights: Path) -> list[str]:
    """Export weights to src/facefill/weights/<name>.onnx, or copy those that stay in torch to weights/; write size,
    hash and history into weights.toml. What only a person knows there is left: milliseconds, data, scores, paper.

    Returns what was done, a sentence each. Raises InputError outside a checkout, and as `export` does.
    """
    further = further_folder()
    if further is None:
        got = f"an installation in {weights_folder().parent}"
        raise InputError("a checkout of facefill", got, "run this with the sources")
    tensors, about = load_weights(weights)
    path = weights_folder() / "weights.toml"
    text = path.read_text(encoding="utf-8")
    listed = tomllib.loads(text)
    sharing = {
        other: load_weights(weights_folder() / f"{other}.onnx")
        for other, entry in listed.items()
        if entry.get("beside") == name
    }
    if name in METHODS and METHODS[name].kind == "torch":
        target = further / f"{name}.safetensors"
        shutil.copyfile(weights, target)
        said = []
    else:
        target = weights_folder() / f"{name}.onnx"
        beside = listed.get(name, {}).get("beside")
        gaps = export(weights, target, beside=weights_folder() / f"{beside}.onnx" if beside else None)
        said = [f"{gap.engine}: largest difference from torch {gap.largest:.1e}" for gap in gaps]
    params = sum(value.numel() for value in tensors.values() if value.is_floating_point())
    runs = history_of(weights)
    if not runs:
        said.append("its runs are not in its header: mend the last entry of training in weights.toml")
        before = listed.get(name, {}).get("training", [])
        last = Run(recipe="", images=about.get("images", 0), side_px=1, note="mend this")
        runs = [*map(Run.model_validate, before), last]
    text = _listed(text, name, target.name, file_hash(target), params, runs)
    for other, (held, said_of_it) in sharing.items():  # their places in the file are others now
        with TemporaryDirectory() as folder:
            save_weights(again := Path(folder) / "again.safetensors", held, said_of_it)
            export(again, file := weights_folder() / f"{other}.onnx", beside=target)
        was = listed[other]
        runs_of_it = [*map(Run.model_validate, was["training"])]
        text = _listed(text, other, file.name, file_hash(file), was["params"], runs_of_it)
        said.append(f"{file.name} too, which shares its tensors")
    write_whole(path, text.encode())
    return [
        *said,
        f"{target.name}: {target.stat().st_size / 1e6:.1f} MB, {params:,} parameters, {len(runs)} runs; "
        f"weights.toml says so. Now weights/{name}.md, and what weights.toml cannot know",
    ]


def _listed(text: str, name: str, file: str, sha256: str, params: int, runs: list[Run]) -> str:
    """weights.toml with a file's new entries, everything else as it was."""
    lines = []
    for run in runs:
        told = {
            key: value for key, value in run.model_dump().items() if value or key in ("recipe", "images", "side_px")
        }
        pairs = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in told.items())
        lines.append(f"  {{ {', '.join(pairs)} }},\n")
    blocks = re.split(r"(?m)^(?=\[\w+\]$)", text)
    if not any(block.startswith(f"[{name}]\n") for block in blocks):
        blocks[-1] = blocks[-1].rstrip("\n") + "\n\n"
        blocks.append(BLOCK.format(name=name, file=file))
    for place, block in enumerate(blocks):
        if block.startswith(f"[{name}]\n"):
            block = re.sub(r"(?ms)^training = \[.*?^\]\n", "", block).rstrip("\n") + "\n"
            block = re.sub(r'(?m)^sha256 = ".*"$', f'sha256 = "{sha256}"', block)
            block = re.sub(r"(?m)^params = .*$", f"params = {params}", block)
            end = "\n" if place < len(blocks) - 1 else ""
            blocks[place] = block + "training = [\n" + "".join(lines) + "]\n" + end
    return "".join(blocks)
