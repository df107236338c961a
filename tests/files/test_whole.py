"""A file appears whole or not at all, whoever else writes it at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from facefill.errors import InputError
from facefill.files.whole import beside, whole, write_whole


def test_the_last_of_many_writers_wins_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new/out.bin"
    texts = [bytes([number]) * 10_000 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_whole(path, text), texts))
    assert path.read_bytes() in texts
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_keeps_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")

    def write() -> None:
        with whole(path) as part:
            part.write_text("ne")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out.txt").mkdir()
    with pytest.raises(InputError, match="a folder that can be written"):
        write_whole(tmp_path / "out.txt", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]


def test_the_part_may_lie_elsewhere_and_has_the_suffix_otherwise(tmp_path: Path) -> None:
    with beside(tmp_path / "a.npz") as part:
        assert part.suffix == ".npz"
        part.touch()
    (tmp_path / "state").mkdir()
    with beside(tmp_path / "b", tmp_path / "state/b.part") as part:
        part.write_text("b")
    assert (tmp_path / "b").read_text() == "b"
    assert list((tmp_path / "state").iterdir()) == []
