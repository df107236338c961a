"""An evaluation from the command to its reports."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from facefill.catalog import file_hash
from facefill.datasets.faces import read_dataset
from facefill.evaluation import benchmark
from facefill.evaluation import evaluate as evaluate_module
from facefill.evaluation.benchmark import Bench, EvaluationSettings, prepare
from facefill.evaluation.evaluate import evaluate, measure_costs
from facefill.evaluation.marks import read_tables
from facefill.evaluation.page import COLOURS, MARKERS
from facefill.evaluation.photos import show_covered
from facefill.evaluation.protocols import PROTOCOLS, Case, draw_case
from facefill.imaging import metrics
from facefill.imaging.classical import fill_telea
from facefill.runtime.adapter import ADAPTERS
from facefill.runtime.cover import FoundCover
from facefill.runtime.finder import Face
from facefill.runtime.inpainter import Inpainter
from facefill.runtime.model import Model
from tests.evaluation.embedder import write_embedder
from tests.faces import draw_face
from tests.networks import write_inpainting
from tests.runtime.test_adapter import write_foreign
from tests.toy_datasets import write_dataset

FACES = 12
HOLES = ("random20@64", "random60@64")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("faces"), FACES, split="test", side=64)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inpainting(tmp_path_factory.mktemp("network") / "means.onnx")


def settings(faces: Path, network: Path, report: Path, **changes: object) -> EvaluationSettings:
    options: dict[str, Any] = {"methods": (str(network), "telea"), "holes": HOLES, "timings": False, "threads": 1}
    return EvaluationSettings(faces, report, **(options | changes))


def finish(chosen: EvaluationSettings) -> dict[str, Any]:
    for _ in evaluate(chosen):
        pass
    found: dict[str, Any] = json.loads((chosen.report / "report.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module", autouse=True)
def same_commit() -> Iterator[None]:
    """Reports name the commit; somebody who commits while tests run makes no other report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate_module, "code_commit", lambda: "0123456789ab")
        yield


@pytest.fixture(scope="module")
def done(faces: Path, network: Path, tmp_path_factory: pytest.TempPathFactory) -> EvaluationSettings:
    """A finished evaluation; read it only."""
    chosen = settings(faces, network, tmp_path_factory.mktemp("done"))
    finish(chosen)
    return chosen


def pick_rows(report: dict[str, Any], **names: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = report["rows"]
    return [row for row in rows if all(row[key] == value for key, value in ({"kind": ""} | names).items())]


def texts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name.startswith("report.")}


def test_values_are_those_of_the_completed_pictures(done: EvaluationSettings) -> None:
    report = json.loads((done.report / "report.json").read_text(encoding="utf-8"))
    expected = []
    for index in range(FACES):
        face, landmarks = draw_face(64, index)
        case = draw_case(PROTOCOLS["random60@64"], face, landmarks, f"face{index:03d}.png", None)
        filled = np.where(case.mask[..., None], fill_telea(face, case.mask), face)
        expected.append(metrics.measure(filled, face, case.mask))
    for name, statistic in (("psnr", np.mean), ("hole_ssim", np.mean), ("sharpness", np.median), ("l1", np.mean)):
        (row,) = pick_rows(report, method="telea", protocol="random60@64", metric=name)
        assert row["value"] == pytest.approx(statistic([values[name] for values in expected]))
        assert (row["n"], row["low"], row["high"]) == (FACES, None, None), "12 faces are too few for an interval"
    assert not pick_rows(report, metric="ms_ssim", method="telea")[0]["n"], "64 px are too few for five scales"


def test_differences_are_paired(done: EvaluationSettings) -> None:
    report = json.loads((done.report / "report.json").read_text(encoding="utf-8"))
    for one in report["differences"]:
        pair = [
            pick_rows(report, protocol=one["protocol"], metric=one["metric"], method=one[end])[0]["value"]
            for end in ("first", "second")
        ]
        if None not in pair:
            assert one["value"] == pytest.approx(pair[0] - pair[1], abs=1e-12)
            assert (one["first"], one["second"]) == ("means", "telea")


def test_the_same_command_writes_the_same_bytes(
    done: EvaluationSettings, faces: Path, network: Path, tmp_path: Path
) -> None:
    first = texts(done.report)
    assert set(first) == {"report.json", "report.csv", "report.md", "report.html"}
    finish(settings(faces, network, tmp_path / "again", batch=5))
    assert texts(tmp_path / "again") == first
    finish(settings(faces, network, tmp_path / "again"))
    assert texts(tmp_path / "again") == first


def test_an_evaluation_goes_on_where_it_stopped(
    done: EvaluationSettings, faces: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(faces, network, tmp_path / "resumed", batch=2)
    steps = evaluate(chosen)
    for _ in range(4):
        next(steps)
    steps.close()  # type: ignore[attr-defined]
    path = chosen.report / "pictures" / "test" / "random20@64" / "telea.csv"
    path.write_bytes(path.read_bytes()[:-7])
    left = len(path.read_text(encoding="utf-8").splitlines()) - 2
    assert 0 < left < FACES
    completed: list[int] = []
    real = benchmark._complete

    def counted(bench: Bench, protocol: object, label: str, cases: list[object]) -> object:
        completed.append(len(cases) if label == "telea" else 0)
        return real(bench, protocol, label, cases)

    monkeypatch.setattr(benchmark, "_complete", counted)
    finish(chosen)
    shown_and_checked = 2 * 3 + 1
    assert sum(completed) == 2 * FACES - left + shown_and_checked
    assert texts(chosen.report) == texts(done.report)


def test_another_picture_or_code_is_measured_again(
    faces: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = write_dataset(tmp_path / "mine", 4, side=64)
    chosen = settings(mine, network, tmp_path / "report", methods=("telea",), holes=("random20@64",))
    before = finish(chosen)
    Image.fromarray(draw_face(64, 9)[0]).save(mine / "train" / "face002.png")
    after = finish(chosen)
    assert pick_rows(after, metric="psnr") != pick_rows(before, metric="psnr")
    assert after["datasets"] != before["datasets"]
    real = metrics.measure
    monkeypatch.setattr(metrics, "measure", lambda *arrays: real(*arrays) | {"psnr": 1.0})
    assert pick_rows(finish(chosen), metric="psnr")[0]["value"] == 1.0


def test_identical_pictures_are_counted_apart_and_never_inf(
    faces: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = benchmark._complete

    def perfect(bench: Bench, protocol: object, label: str, cases: list[Case]) -> object:
        completed = real(bench, protocol, label, cases).copy()
        for index, case in enumerate(cases):
            if label == "telea" or case.file == "face003.png":
                completed[index] = case.truth
        return completed

    monkeypatch.setattr(benchmark, "_complete", perfect)
    report = finish(settings(faces, network, tmp_path / "report", holes=("random20@64",)))
    text = "".join(content.decode() for content in texts(tmp_path / "report").values()).lower()
    assert "inf," not in text
    assert "inf " not in text.replace("<", " ")
    (row,) = pick_rows(report, method="means", metric="psnr")
    assert (row["n"], row["identical"]) == (FACES - 1, 1)
    assert math.isfinite(row["value"])
    (row,) = pick_rows(report, method="telea", metric="psnr")
    assert (row["n"], row["identical"], row["value"]) == (0, FACES, None)
    (row,) = pick_rows(report, method="telea", metric="ssim")
    assert (row["n"], row["value"]) == (FACES, 1.0)


def test_identity_is_told_for_covered_completed_and_true_faces(faces: Path, network: Path, tmp_path: Path) -> None:
    embedder = write_embedder(tmp_path / "embedder.onnx")
    report = finish(settings(faces, network, tmp_path / "report", embedder=embedder, holes=("random60@64",)))
    cosines = {row["method"]: row["value"] for row in pick_rows(report, metric="cosine")}
    assert set(cosines) == {"means", "telea", "covered"}
    assert cosines["covered"] < cosines["telea"] < 1
    distances = {row["method"]: row["value"] for row in pick_rows(report, metric="frechet_embedder")}
    assert distances["telea"] < distances["covered"]
    accepted = {row["method"] for row in pick_rows(report, metric="accepted_0.01")}
    assert accepted == {"means", "telea", "covered", "truth"}


def test_a_report_says_that_faces_were_shrunk_and_covariances_are_singular(network: Path, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "mixed", 3, split="test", side=64)
    Image.fromarray(draw_face(128, 1)[0]).save(folder / "test" / "face001.png")
    embedder = write_embedder(tmp_path / "embedder.onnx")
    chosen = settings(folder, network, tmp_path / "report", embedder=embedder, holes=("random60@64",))
    finish(chosen)
    page = (chosen.report / "report.md").read_text(encoding="utf-8")
    assert "64 px (of up to 128, shrunk)" in page
    assert "with 3 pictures, no more than dimensions, covariances are singular" in page


def test_methods_with_fewer_faces_are_compared_on_those(faces: Path, network: Path, tmp_path: Path) -> None:
    chosen = settings(faces, network, tmp_path / "report", methods=(str(network), "telea:5"), holes=("random20@64",))
    report = finish(chosen)
    assert pick_rows(report, method="telea", metric="psnr")[0]["n"] == 5
    assert pick_rows(report, method="means", metric="psnr")[0]["n"] == FACES
    one = next(one for one in report["differences"] if one["metric"] == "psnr")
    assert one["n"] == 5
    shown: list[dict[str, str]] = report["cases"]
    first = [face.file for face in read_dataset(faces).faces[:5]]
    page = (chosen.report / "report.html").read_text(encoding="utf-8")
    assert page.count("not among its first 5") == sum(case["file"] not in first for case in shown) > 0


def test_a_network_of_somebody_else_takes_part_by_an_adapter(faces: Path, network: Path, tmp_path: Path) -> None:
    theirs = write_foreign(tmp_path / "theirs.onnx", ADAPTERS["migan"])
    report = finish(
        settings(
            faces, network, tmp_path / "report", methods=("telea", str(theirs)), adapter="migan", holes=("random20@64",)
        )
    )
    (row,) = pick_rows(report, method="theirs", metric="hole_psnr")
    assert row["n"] == FACES
    assert "--adapter migan" in str(report["command"])


def test_papers_print_the_same_pictures_by_other_definitions(faces: Path, network: Path, tmp_path: Path) -> None:
    options = {"methods": ("telea",), "holes": (), "papers": ("latent-search-paper",), "limit": 3}
    chosen = settings(faces, network, tmp_path / "report", **options)
    report = finish(chosen)
    (paper,) = report["papers"]
    assert [line["protocol"] for line in paper["lines"]] == [f"random{percent}@64" for percent in (20, 40, 60, 80)]
    line = paper["lines"][0]
    assert len({round(ssim, 6) for _, ssim in line["values"].values()}) == 4
    assert len(paper["printed"]) == 8
    assert "DIP (Yeh et al. 2017)" in (chosen.report / "report.md").read_text(encoding="utf-8")


def test_covers_are_drawn_and_what_cover_misses_stays(tmp_path: Path, network: Path) -> None:
    mine = write_dataset(tmp_path / "mine", 2, side=256)
    bench = prepare(settings(mine, network, tmp_path / "report", methods=("telea",), holes=("worn@256", "centre@256")))

    class NoCovers:
        def find(self, photo: np.ndarray, faces: list[Face]) -> list[FoundCover]:
            return [FoundCover((slice(0), slice(0)), np.zeros((0, 0), bool))]

    bench.cover = NoCovers()  # type: ignore[assignment]
    auto = PROTOCOLS["worn-auto@256"]
    case, completed = benchmark.complete_case(bench, bench.datasets[0], auto, "telea", "face000.png")
    assert (completed == case.shown).all()
    assert metrics.measure(completed, case.truth, case.hole)["hole_psnr"] < 30
    case, completed = benchmark.complete_case(bench, bench.datasets[0], bench.protocols[0], "telea", "face000.png")
    assert (completed[~case.mask] == case.shown[~case.mask]).all()
    assert (completed[case.mask] != case.shown[case.mask]).any()


def test_what_a_method_sees_of_the_cover_is_never_the_truth_under_a_plain_hole(
    faces: Path, network: Path, tmp_path: Path
) -> None:
    """A method that copies its `worn` input gets the drawn cover, and mid-grey where none was drawn."""
    bench = prepare(settings(faces, network, tmp_path / "report", methods=("telea",), holes=("random60@64",)))
    seen: list[np.ndarray] = []

    class CopiesWorn(Model):
        def fill(
            self, faces: np.ndarray, masks: np.ndarray, seeds: object, samples: object, inputs: dict[str, np.ndarray]
        ) -> np.ndarray:
            seen.append(inputs["worn"])
            return inputs["worn"][:, None]

    record = bench.entries[0].model.record.model_copy(
        update={"inputs": ("worn",), "kind": "onnx", "size_px": 64, "blend": "paste"}
    )
    bench.entries = [replace(bench.entries[0], inpainter=Inpainter(CopiesWorn(record, None), Mock(), Mock()))]
    case, completed = benchmark.complete_case(bench, bench.datasets[0], bench.protocols[0], "telea", "face000.png")
    assert (completed[case.mask] == 128).all()
    assert (seen[0][0][~case.mask] == case.truth[~case.mask]).all()
    worn = PROTOCOLS["worn@256"]
    assert (show_covered(worn, case.shown[None], case.mask[None]) == case.shown).all()


def test_methods_of_a_plot_never_look_alike() -> None:
    looks = {(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]) for place in range(40)}
    assert len(looks) == 40


def test_costs_are_those_of_a_process_each(faces: Path, network: Path, tmp_path: Path) -> None:
    bench = prepare(settings(faces, network, tmp_path / "report", methods=("telea",), holes=("random20@64",)))
    (cost,) = measure_costs(bench)
    assert cost.method == "telea"
    assert cost.ms["random20@64"] > 0
    assert cost.peak_mb is None or 10 < cost.peak_mb < 10_000


def test_a_page_gets_short_tables_that_say_what_they_are_of(done: EvaluationSettings, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Mine\n\nAbove.\n")
    for _ in evaluate(done, page):
        pass
    (table,) = read_tables(page.read_text(encoding="utf-8"))
    assert page.read_text(encoding="utf-8").startswith("# Mine\n\nAbove.\n\n")
    assert (table.name, table.commit) == (done.report.name, "0123456789ab")
    assert "| random60@64 | telea | – | 12 |" in table.body
    assert table.of["means"] == file_hash(Path(done.methods[0]))[:12]
    assert table.outdated(lambda name: table.of[name]) == []
    assert table.outdated(lambda name: "0") == [f"{name} changed" for name in table.of]
    before = page.read_bytes()
    for _ in evaluate(done, page):
        pass
    assert page.read_bytes() == before
