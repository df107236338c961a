"""The command `facefill evaluate`: its reports and results, and one line for each mistake."""

from __future__ import annotations

import csv
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.command import Run
from tests.datasets.test_faces import spoil
from tests.toy_datasets import write_dataset


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("faces"), 12, split="test", side=64)


@pytest.fixture
def run(run: Run) -> Run:
    return partial(run, "evaluate")


def test_the_command_writes_reports_and_results(run: Run, faces: Path, tmp_path: Path) -> None:
    words = (faces, "--methods", "telea,navier_stokes", "--holes", "random20@64", "--limit", 4, "--no-timings")
    results = tmp_path / "results.md"
    results.write_text("# Results\n\nWritten by hand.\n", encoding="utf-8")
    code, out, err = run(*words, "--report", tmp_path / "report", "--results", results)
    assert code == 0, err
    assert "report.html" in out
    lines = list(csv.DictReader((tmp_path / "report" / "report.csv").open(encoding="utf-8")))
    assert {line["method"] for line in lines} == {"telea", "navier_stokes"}
    assert {line["versus"] for line in lines} == {"", "navier_stokes"}
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3 * len(("truth", "hole", "telea", "navier_stokes"))
    assert all(f"<th scope='row'>{rank}<br>face" in page for rank in ("best", "median", "worst"))
    assert page.count("<svg") == 4
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ), "self-contained"
    text = results.read_text(encoding="utf-8")
    assert text.startswith("# Results\n\nWritten by hand.\n\n<!-- table report: {")
    assert str(tmp_path) not in text + page
    assert f"facefill evaluate {faces.name} --methods telea,navier_stokes --holes random20@64 --limit 4" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--methods", "swfit", "--holes", "random20@64"), "did you mean 'swift'"),
        (("--methods", "gone.onnx", "--holes", "random20@64"), "an .onnx file, got nothing"),
        (("--methods", "telea", "--holes", "center@256"), "did you mean 'centre@256'"),
        (("--methods", "telea", "--holes", "centre@256"), "at least 256 px"),
        (("--methods", "telea", "--protocol", "masked-gan"), "did you mean 'masked-gan-paper'"),
        (("--methods", "telea", "--split", "tset"), "did you mean 'test'"),
        (("--methods", "telea", "--holes", "random20@64", "--embedder", "gone.onnx"), "face embedder, got nothing"),
        (("--methods", "telea", "--holes", "random20@64", "--features", "gone.npz"), "weights, got nothing"),
        (("--methods", "telea,telea:3", "--holes", "random20@64"), "telea twice"),
    ],
)
def test_each_mistake_is_one_line_that_says_what_to_do(
    run: Run, faces: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    code, _, err = run(faces, *words, "--report", tmp_path / "report")
    assert code == 2, err
    assert err.count("\n") == 1
    assert said in err
    assert not (tmp_path / "report").exists()


def test_a_method_without_weights_is_one_line(
    run: Run, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facefill import catalog

    monkeypatch.setattr(catalog, "shipped_weights", dict)
    code, _, err = run(faces, "--methods", "swift", "--holes", "random20@64", "--report", tmp_path / "report")
    assert code == 2
    expected = "expected weights of swift, got none in this installation: install a release that ships them"
    assert err == f"facefill: {expected}\n"


def test_a_method_whose_package_is_missing_is_one_line_before_any_work(
    run: Run, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "patchmatch", None)
    words = (faces, "--methods", "telea,patchmatch", "--holes", "random20@64", "--report", tmp_path / "report")
    code, _, err = run(*words)
    assert code == 2
    assert err == (
        "facefill: expected patchmatch, which patchmatch needs, got none installed: pip install 'facefill[classic]'\n"
    )
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing file", "a readable picture, got"),
        ("not square", "square faces"),
        ("not a number", "face001.png"),
        ("no picture", "face001.png"),
        ("no rows", "the column file and rows"),
    ],
)
def test_a_dataset_that_cannot_be_judged_on_is_one_line(run: Run, tmp_path: Path, how: str, said: str) -> None:
    folder = write_dataset(tmp_path / "faces", 3, side=64)
    spoil(folder, how)
    code, _, err = run(folder, "--methods", "telea", "--holes", "random20@64", "--report", tmp_path / "report")
    assert code == 2
    assert err.count("\n") == 1
    assert said in err
    assert not (tmp_path / "report").exists()


def test_an_empty_folder_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    code, _, err = run(tmp_path / "faces", "--methods", "telea", "--report", tmp_path / "report")
    assert code == 2
    assert err.startswith("facefill: expected a dataset with a manifest.csv, tar shards or pictures, got none in ")
    assert err.count("\n") == 1


def test_a_folder_with_other_things_is_left_alone(run: Run, faces: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    code, _, err = run(faces, "--methods", "telea", "--holes", "random20@64", "--report", tmp_path)
    assert code == 2
    assert "holds other things" in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
