"""Values per picture survive the end of a process at any place."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from facefill.evaluation.records import PictureRecord, Records

KEY = {"method": "telea"}
COLUMNS = ("psnr", "seam")
WIDTHS = {"net": 3}


def open_records(folder: Path, key: dict[str, str] = KEY) -> Records:
    return Records(folder / "values" / "telea.csv", key, COLUMNS, WIDTHS)


def record(index: int) -> PictureRecord:
    vector = np.arange(3, dtype=np.float32) + index
    values = {"psnr": 20 + index / 3, "seam": math.nan}
    return PictureRecord(f"face{index}.png", f"p{index}", f"h{index}", values, {"net": vector})


def filled(folder: Path, count: int = 3) -> Records:
    records = open_records(folder)
    for index in range(len(records.rows), count):
        records.append(record(index))
    return records


def test_what_is_written_is_read(tmp_path: Path) -> None:
    filled(tmp_path)
    table = open_records(tmp_path).table(2)
    assert table.files == ["face0.png", "face1.png"]
    assert table.values["psnr"].tolist() == [20.0, 20 + 1 / 3]
    assert np.isnan(table.values["seam"]).all()
    assert table.vectors["net"].tolist() == [[0, 1, 2], [1, 2, 3]]


def test_names_with_commas_and_quotes(tmp_path: Path) -> None:
    records = open_records(tmp_path)
    records.append(
        PictureRecord('a, "b".png', "p", "h", {"psnr": math.inf, "seam": 1.0}, {"net": np.zeros(3, np.float32)})
    )
    assert open_records(tmp_path).rows == [('a, "b".png', "p", "h")]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_torn_row_is_computed_again(tmp_path: Path, cut: int) -> None:
    filled(tmp_path)
    path = tmp_path / "values" / "telea.csv"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert len(open_records(tmp_path).rows) == 2
    filled(tmp_path)
    assert path.read_bytes() == whole
    assert len(open_records(tmp_path).table(3).vectors["net"]) == 3


def test_a_row_without_its_vector_is_computed_again(tmp_path: Path) -> None:
    filled(tmp_path)
    vectors = tmp_path / "values" / "telea.net.f32"
    whole = vectors.read_bytes()
    vectors.write_bytes(whole[:-2])
    assert len(open_records(tmp_path).rows) == 2
    filled(tmp_path)
    assert vectors.read_bytes() == whole


def test_a_vector_without_its_row_is_dropped(tmp_path: Path) -> None:
    filled(tmp_path)
    vectors = tmp_path / "values" / "telea.net.f32"
    whole = vectors.read_bytes()
    vectors.write_bytes(whole + b"12345")
    assert len(open_records(tmp_path).rows) == 3
    assert vectors.read_bytes() == whole


def test_another_key_starts_over(tmp_path: Path) -> None:
    filled(tmp_path)
    assert open_records(tmp_path, {"method": "swift"}).rows == []
    assert open_records(tmp_path).rows == []


def test_keeping_fewer(tmp_path: Path) -> None:
    records = filled(tmp_path)
    records.keep(1)
    assert open_records(tmp_path).rows == [("face0.png", "p0", "h0")]
    records.keep(0)
    assert open_records(tmp_path).rows == []
