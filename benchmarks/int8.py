"""swift in 8-bit integers: what post-training quantisation costs in quality and saves in time.

    pip install nncf
    python benchmarks/int8.py DATASET COVERS [--calibrate 200] [--faces 100] [--threads 2] [--sheet sheet.png]

NNCF quantises the shipped ONNX file, calibrated on validation faces (the first by the SHA-256 of their names) with
training's mixture of holes; the next ones judge it against float32 and bf16: hole PSNR of the completed picture with a
95 % bootstrap interval over people, paired differences, median milliseconds in turn in one run, and a sheet of
pictures with --sheet: truth, bf16, int8.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from quality import by_hash

from facefill.arrays import U8
from facefill.catalog import find_weights
from facefill.datasets.cache import list_entries
from facefill.evaluation.intervals import bootstrap
from facefill.imaging.metrics import measure
from facefill.runtime.model import from_network
from facefill.training.data import batches, open_faces, plan_steps, to_batch
from facefill.training.export import open_method
from facefill.training.recipe import read_recipe

ROOT = Path(__file__).parents[1]
SIDE_PX = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("covers", type=Path)
    parser.add_argument("--weights", type=Path, default=ROOT / "src/facefill/weights/swift.onnx")
    parser.add_argument("--calibrate", type=int, default=200)
    parser.add_argument("--faces", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    import nncf
    import openvino

    method = open_method(given.weights)
    folders = (("folder", given.dataset), ("covers", given.covers))
    recipe = read_recipe(ROOT / "configs/swift.toml", [f"data.{name}={folder.resolve()}" for name, folder in folders])
    assert recipe.data is not None
    source = open_faces(recipe.data)
    entries = list_entries(recipe.data.folder, recipe.data.split)
    people = {entry.row["file"]: entry.row.get("identity") or entry.row["file"] for entry in entries}
    shown, truths, masks, whose = [], [], [], []
    drawn = batches(source.validation, plan_steps(0, source.validation_images, 1, [SIDE_PX]), 0)
    for raw in by_hash(drawn, lambda raw: source.names[int(raw["index"])])[: given.calibrate + given.faces]:
        batch = to_batch(raw, method, torch.device("cpu"))
        shown.append({name: value.numpy() for name, value in method.shown(batch).items()})
        truths.append(raw["truth"].numpy()[0])
        masks.append(raw["mask"].numpy()[0])
        whose.append(people[source.names[int(raw["index"])]])

    core = openvino.Core()
    model = core.read_model(find_weights("swift")[0])
    model.reshape({name: value.shape for name, value in shown[0].items()})
    small = nncf.quantize(
        model.clone(),
        nncf.Dataset(shown[: given.calibrate]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=given.calibrate,
    )
    hint = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": given.threads, "NUM_STREAMS": 1}
    kinds = {
        "float32": (model, {**hint, "INFERENCE_PRECISION_HINT": "f32"}),
        "bf16": (model, hint),
        "int8": (small, hint),
    }
    ready = {
        name: core.compile_model(one, "CPU", settings).create_infer_request() for name, (one, settings) in kinds.items()
    }
    found: dict[str, list[float]] = {name: [] for name in kinds}
    times: dict[str, list[float]] = {name: [] for name in kinds}
    rows: list[U8] = []
    places = range(given.calibrate, given.calibrate + given.faces)
    for place in places:
        truth, mask = truths[place], masks[place]
        row = [truth]
        for name, request in ready.items():
            start = time.perf_counter()
            filled = from_network(request.infer(shown[place])[0])[0]
            times[name].append(time.perf_counter() - start)
            completed = np.where(mask[..., None], filled, truth)
            found[name].append(measure(completed, truth, mask)["hole_psnr"])
            row += [completed] if name != "float32" else []
        rows.append(np.concatenate(row, 1))
    if given.sheet:
        cv2.imwrite(str(given.sheet), np.concatenate(rows[:12])[..., ::-1])
    _print(found, times, whose[given.calibrate :])


def _print(found: dict[str, list[float]], times: dict[str, list[float]], people: list[str]) -> None:
    values: dict[str, Any] = {name: np.array(column) for name, column in found.items()}
    print("| | hole PSNR dB | against bf16 | ms, median |\n|---|---|---|---|")
    for name, column in values.items():
        mean, lost = (bootstrap(some, people=people).estimate() for some in (column, column - values["bf16"]))
        print(
            f"| {name} | {mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}] | "
            f"{lost.value:+.3f} [{lost.low:+.3f}, {lost.high:+.3f}] | {1e3 * float(np.median(times[name])):.1f} |"
        )


if __name__ == "__main__":
    main()
