"""The library as an engineer meets it: what it takes, what it prints, and that its examples run."""

from __future__ import annotations

import io
import os
import re
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facefill
from facefill.errors import InputError
from facefill.runtime.finder import Face
from tests.faces import draw_face

ROOT = Path(__file__).parents[1]
PHOTO = draw_face(64, 1)[0]
HOLE = np.zeros((64, 64), bool)
HOLE[30:40, 20:40] = True


def coded(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


class Somewhere(os.PathLike[str]):
    """A path of some other library."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


def complete(photo: object, mask: object = HOLE) -> facefill.Result:
    return facefill.complete(photo, mask, method="telea", aligned=True)


@pytest.mark.parametrize(
    "kind", ["path", "str", "pathlike", "file", "stream", "bytes", "bytearray", "memoryview", "image"]
)
def test_a_photo_and_a_mask_are_taken_in_whatever_form_they_come(tmp_path: Path, kind: str) -> None:
    def form(pixels: np.ndarray, name: str) -> object:
        data, path = coded(pixels), tmp_path / name
        path.write_bytes(data)
        return {
            "path": lambda: path,
            "str": lambda: str(path),
            "pathlike": lambda: Somewhere(path),
            "file": lambda: path.open("rb"),
            "stream": lambda: io.BytesIO(data),
            "bytes": lambda: data,
            "bytearray": lambda: bytearray(data),
            "memoryview": lambda: memoryview(data),
            "image": lambda: Image.open(path),
        }[kind]()

    done = complete(form(PHOTO, "photo.png"), form(HOLE.astype(np.uint8) * 255, "mask.png"))
    assert (done.photo == complete(PHOTO).photo).all()
    assert (done.mask == HOLE).all()


def test_tensors_are_taken_where_they_hold_pictures_and_else_refused() -> None:
    torch = pytest.importorskip("torch")
    assert (complete(torch.from_numpy(PHOTO), torch.from_numpy(HOLE)).photo == complete(PHOTO).photo).all()
    for tensor in (
        torch.zeros(3, 64, 64),
        torch.zeros(64, 64, 3),
        torch.zeros(64, 64, 3, requires_grad=True),
        torch.zeros(64, 64, 3, dtype=torch.uint8, device="meta"),
    ):
        with pytest.raises(InputError):
            complete(tensor)


@pytest.mark.parametrize(
    "photo", [None, 3, ["photo.png"], io.StringIO("text"), object(), np.zeros((4, 4)), b"", "", {}]
)
def test_anything_else_is_refused_in_three_parts(photo: object) -> None:
    for wrong in (lambda: complete(photo), lambda: complete(PHOTO, photo), lambda: facefill.unmask(photo)):
        with pytest.raises(InputError) as error:
            wrong()
        assert "\n" not in str(error.value)


def test_a_result_is_saved_to_whatever_takes_bytes_and_to_nothing_else(tmp_path: Path) -> None:
    result, path, stream = complete(PHOTO), tmp_path / "o.png", io.BytesIO()
    for name in (str(path), path, Somewhere(path), os.fsencode(path)):
        result.save(name, overwrite=True)
    result.save(stream)
    assert (np.asarray(Image.open(stream)) == np.asarray(Image.open(path))).all()
    for wrong in (None, 3, [path], io.StringIO(), object(), "", ".", tmp_path):
        with pytest.raises(InputError) as error:
            result.save(wrong)
        assert "\n" not in str(error.value)


def test_a_model_takes_arrays_and_tensors_and_refuses_anything_else() -> None:
    model, faces, masks = facefill.load("telea"), PHOTO[None], HOLE[None]
    filled = model.complete(faces, masks)
    torch = pytest.importorskip("torch")
    assert (model.complete(torch.from_numpy(faces), torch.from_numpy(masks)) == filled).all()
    for wrong in (None, 3, "photo.png", [PHOTO], faces.tolist(), Image.fromarray(PHOTO), torch.zeros(1, 3, 64, 64)):
        for given in ((wrong, masks), (faces, wrong)):
            with pytest.raises(InputError):
                model.complete(*given)


def test_names_seeds_and_kinds_that_are_none_are_refused() -> None:
    for name in (None, 3, ["swift"], object(), b"nope", "", Path("nope")):
        with pytest.raises(InputError):
            facefill.load(name)
        with pytest.raises(InputError):
            facefill.complete(PHOTO, HOLE, method=name, aligned=True)
    for seed in (-1, 1.5, "a", None, [0.5], object()):
        with pytest.raises(InputError, match="a whole number of 0 or more as the seed"):
            facefill.complete(PHOTO, HOLE, method="telea", seed=seed, aligned=True)
    assert facefill.complete(PHOTO, HOLE, method="telea", seed=np.int64(3), aligned=True).provenance.seed == 3
    with pytest.raises(InputError, match="got 'hat'"):
        facefill.unmask(PHOTO, covers="hat")


def test_the_finder_that_is_given_is_the_one_that_looks() -> None:
    class Nobody:
        looks = 0

        def find(self, photo: np.ndarray) -> list[Face]:
            self.looks += 1
            return []

    for finder in (Nobody(), Nobody()):
        with pytest.raises(InputError, match="a photo with a face"):
            facefill.unmask(PHOTO, method="telea", finder=finder)
        assert finder.looks == 1


def test_a_result_prints_in_one_line() -> None:
    assert repr(complete(PHOTO)) == "Result(64x64, 200 pixels and 0 of 0 faces completed by telea, 0 warnings)"


def test_the_examples_of_the_readme_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(
        r"^```python\n(import facefill\n.*?)^```",
        (ROOT / "README.md").read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    shutil.copy(ROOT / "examples" / "astronaut-surgical.jpg", tmp_path / "photo.jpg")
    with Image.open(tmp_path / "photo.jpg") as photo:
        hole = np.zeros((photo.height, photo.width), np.uint8)
    hole[10:40, 10:40] = 255
    Image.fromarray(hole).save(tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code, names)
    assert (tmp_path / "photo-unmasked.jpg").exists()
    assert np.shape(names["filled"]) == (1, 1, 256, 256, 3)  # type: ignore[call-overload]


def test_its_types_are_for_others_too() -> None:
    assert (files("facefill") / "py.typed").is_file()


def test_every_public_name_is_in_the_page_of_the_api() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [name for name in facefill.__all__ if not re.search(rf"\.{name}\b", page)] == []
