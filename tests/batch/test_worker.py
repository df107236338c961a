"""A worker completes each photo as if it were alone, and says of each what became of it."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import c2pa
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

import facefill
from facefill.batch import worker as worker_module
from facefill.batch.folder import LocalFolder, Selection
from facefill.batch.job import Item, make_job
from facefill.batch.manifest import Outcome, hash_sources
from facefill.batch.run import mask_names
from facefill.batch.worker import TOGETHER, Worker, _PhotoWork
from facefill.catalog import METHODS
from facefill.files.provenance import read_signature
from facefill.runtime.inpainter import Inpainter
from facefill.runtime.model import Model
from facefill.runtime.plan import Plan
from tests.batch.photos import DAMAGED, write_photos
from tests.faces import draw_photo
from tests.files.test_provenance import write_key
from tests.runtime.test_inpainter import Covers, FindsAt


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten photos and masks; one photo is damaged, one mask missing, one of another size, one damaged."""
    root = write_photos(tmp_path_factory.mktemp("photos"), 10)
    (root / "in/a/photo 0000.png").write_bytes(DAMAGED)
    (root / "masks/b/photo 0001.png").unlink()
    Image.new("L", (9, 9), 255).save(root / "masks/a/photo 0002.png")
    (root / "masks/b/photo 0003.png").write_bytes(b"no mask")
    for name in ("out", "other"):
        (root / name).mkdir()
    return root


@pytest.fixture(scope="module")
def worker(folder: Path) -> Worker:
    return Worker(make_job(str(folder / "in"), str(folder / "out"), masks=str(folder / "masks"), method="telea"), 1)


def items_of(folder: Path) -> list[Item]:
    names = sorted(entry.name for entry in LocalFolder(folder / "in").entries(Selection()))
    return [Item(name, "s", mask=name if (folder / "masks" / name).exists() else "") for name in names]


def good(folder: Path) -> list[Item]:
    return [item for item in items_of(folder) if item.name[-8:] > "0003.png"]


@pytest.fixture(scope="module")
def lines(folder: Path, worker: Worker) -> dict[str, Outcome]:
    return {line.photo: line for line in worker.complete(items_of(folder))}


def test_bad_ones_fail_and_the_others_are_completed(lines: dict[str, Outcome]) -> None:
    assert len(lines) == 10
    reasons = {line.photo: line.reason for line in lines.values() if line.status != "completed"}
    assert all(line.status in ("completed", "failed") for line in lines.values())
    assert set(reasons) == {f"{folder}/photo 000{index}.png" for index, folder in enumerate("abab")}
    assert "whole JPEG" in reasons["a/photo 0000.png"]
    assert "mask for the photo" in reasons["b/photo 0001.png"]
    assert "9" in reasons["a/photo 0002.png"]
    assert "mask picture" in reasons["b/photo 0003.png"]


def test_each_is_what_it_would_be_alone(folder: Path, lines: dict[str, Outcome], tmp_path: Path) -> None:
    name = "a/photo 0004.png"
    facefill.complete(folder / "in" / name, folder / "masks" / name, method="telea").save(tmp_path / "alone.png")
    assert (folder / "out" / name).read_bytes() == (tmp_path / "alone.png").read_bytes()


@pytest.mark.parametrize("together", [True, False])
def test_what_a_method_doubts_stands_in_the_line_of_its_photo(
    folder: Path, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    def fill(model: Model, faces: np.ndarray, *others: object) -> np.ndarray:
        if not together and len(faces) > 1:
            raise ValueError("one at a time")
        logging.getLogger("facefill").warning("far off", extra={"warning": "far off", "rows": [0]})
        return faces[:, None]

    monkeypatch.setattr(Model, "fill", fill)
    fresh = Worker(replace(worker.job, target=str(tmp_path)), 1)
    fresh._networks[0].inpainter.model = Model(METHODS["telea"].model_copy(update={"kind": "onnx"}), None)
    # `complete` takes together what happens to have been read.
    read = [fresh._step(fresh._read, _PhotoWork(item, item.failed(fresh.job))) for item in good(folder)[:3]]
    warned = ["1 of 1 crops: far off" in work.outcome.warnings for work in fresh._complete(fresh._networks[0], read)]
    assert warned == ([True, False, False] if together else [True, True, True])


def test_each_keeps_its_format(folder: Path, worker: Worker, tmp_path: Path) -> None:
    job, name = worker.job, "b/photo 0005.png"
    kinds = {"a.jpg": "JPEG", "b.webp": "WEBP", "c.tif": "TIFF", "d.bmp": "BMP", "e.avif": "AVIF", "f.png": "PNG"}
    for file in kinds:
        Image.open(folder / "in" / name).save(tmp_path / file)
    (tmp_path / "out").mkdir()
    mixed = Worker(replace(job, source=str(tmp_path), target=str(tmp_path / "out")), 1)
    assert {line.status for line in mixed.complete([Item(file, "s", mask=name) for file in kinds])} == {"completed"}
    assert {file: Image.open(tmp_path / "out" / file).format for file in kinds} == kinds


def test_a_line_says_what_was_done(folder: Path, lines: dict[str, Outcome]) -> None:
    name = "b/photo 0005.png"
    line, mask = lines[name], np.asarray(Image.open(folder / "masks" / name)) > 127
    assert line.source_sha256 == hashlib.sha256((folder / "in" / name).read_bytes()).hexdigest()
    assert line.mask_sha256 == hashlib.sha256((folder / "masks" / name).read_bytes()).hexdigest()
    assert line.result_sha256 == hashlib.sha256((folder / "out" / name).read_bytes()).hexdigest()
    assert line.hole_share == pytest.approx(mask.mean(), abs=1e-6)
    assert line.seconds > 0
    assert (line.method, line.seed, line.faces_found) == ("telea", 0, 0)


def test_the_same_content_under_another_time_is_not_done_again(
    folder: Path, worker: Worker, lines: dict[str, Outcome]
) -> None:
    line = lines["a/photo 0004.png"]
    sources = hash_sources(line.source_sha256, line.mask_sha256, line.recipe)
    item = Item(line.photo, "later", mask=line.photo)
    assert [said.status for said in worker.complete([Item(**{**vars(item), "sources": sources})])] == ["unchanged"]
    assert [said.status for said in worker.complete([Item(**{**vars(item), "sources": 1})])] == ["completed"]


def test_a_photo_without_a_face_is_refused(folder: Path) -> None:
    worker = Worker(make_job(str(folder / "in"), str(folder / "none"), method="telea"), 1)
    lines = list(worker.complete([item for item in items_of(folder) if "0000" not in item.name]))
    assert {line.status for line in lines} == {"refused"}
    assert all("face" in line.reason and line.faces_found == 0 for line in lines)
    assert not (folder / "none").exists()


def test_a_bug_in_one_photo_stops_no_other(
    folder: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Inpainter.run

    def broken(self: Inpainter, plans: list[Plan], **options: int) -> list[np.ndarray]:
        if any(hashlib.sha256(plan.photo.source or b"").hexdigest() == guilty for plan in plans):
            raise ZeroDivisionError("a bug")
        return run(self, plans, **options)

    name = "a/photo 0006.png"
    guilty = hashlib.sha256((folder / "in" / name).read_bytes()).hexdigest()
    monkeypatch.setattr(Inpainter, "run", broken)
    lines = {line.photo: line for line in worker.complete(good(folder))}
    assert lines.pop(name).reason == "a bug: ZeroDivisionError: a bug"
    assert [line.status for line in lines.values()] == ["completed"] * 5
    assert "Traceback" in capsys.readouterr().err


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many photos each call of the model gets, from now on; what there is to read has been read."""
    calls: list[int] = []
    run = Inpainter.run

    def counted(self: Inpainter, plans: list[Plan], **options: int) -> list[np.ndarray]:
        calls.append(len(plans))
        return run(self, plans, **options)

    monkeypatch.setattr(Inpainter, "run", counted)
    monkeypatch.setattr(worker_module, "_take", gathered(worker_module._take))
    return calls


def test_faces_of_several_photos_share_a_call(folder: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch)
    assert len(list(worker.complete(good(folder)))) == 6
    assert max(calls) > 1
    assert sum(calls) == 6
    assert max(calls) <= TOGETHER


def gathered(take: object) -> object:
    """`_take` as it is when the networks are slower than reading: everything is there already."""

    def later(waiting: object) -> object:
        for _ in range(30):
            if waiting.qsize() > 3:  # type: ignore[attr-defined]
                break
            time.sleep(0.01)
        return take(waiting)  # type: ignore[operator]

    return later


def test_items_are_taken_no_sooner_than_they_are_needed(worker: Worker) -> None:
    taken = 0

    def items() -> Iterator[Item]:
        nonlocal taken
        for index in range(300):
            taken += 1
            yield Item(f"gone {index}.png", "s")

    lines = worker.complete(items())
    next(lines)
    assert taken < 100
    assert sum(1 for _ in lines) == 299


def test_photos_in_memory_have_a_limit_but_one_always_fits(
    folder: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(monkeypatch)
    monkeypatch.setattr(worker_module, "MOST_PX", 2 * 64 * 64)
    assert len(list(worker.complete(good(folder)))) == 6
    assert max(calls) == 2
    calls.clear()
    monkeypatch.setattr(worker_module, "MOST_PX", 1)
    assert len(list(worker.complete(good(folder)))) == 6
    assert calls == [1] * 6


@pytest.mark.parametrize("threads", [2, 3])
def test_several_threads_do_what_one_does(folder: Path, lines: dict[str, Outcome], threads: int) -> None:
    several = Worker(
        make_job(str(folder / "in"), str(folder / "other"), masks=str(folder / "masks"), method="telea"), threads
    )
    found = {line.photo: line.result_sha256 for line in several.complete(items_of(folder))}
    assert found == {line.photo: line.result_sha256 for line in lines.values()}


def test_masks_are_found_beside_their_names() -> None:
    assert list(mask_names("a/b.c.jpg")) == ["a/b.c.jpg", "a/b.c.png", "a/b.c.jpg.png", "a/b.c-mask.png"]


def test_a_signed_run_signs_each_result(folder: Path, tmp_path: Path) -> None:
    (folder / "signed").mkdir()
    path = write_key(tmp_path / "key.pem", ec.generate_private_key(ec.SECP256R1()))
    plain, signed = (
        make_job(str(folder / "in"), str(folder / "signed"), masks=str(folder / "masks"), method="telea", signature=key)
        for key in (None, read_signature(path))
    )
    assert plain.recipe != signed.recipe
    assert "PRIVATE" not in repr(signed)
    (line,) = Worker(signed, 1).complete(good(folder)[:1])
    assert line.status == "completed"
    with c2pa.Reader(folder / "signed" / line.photo) as reader:
        assert reader.get_validation_state() == "Valid"


def test_the_kinds_of_covers_that_are_asked_for_come_off_and_the_others_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, landmarks = draw_photo(220, 160, faces=1, seed=1)
    (tmp_path / "in").mkdir()
    Image.fromarray(photo).save(tmp_path / "in" / "a.png")
    cover = Covers(slice(120, 220))
    monkeypatch.setattr(worker_module, "open_finder", lambda **options: FindsAt(landmarks))
    monkeypatch.setattr(worker_module, "open_cover", lambda **options: cover)
    job = make_job(str(tmp_path / "in"), str(tmp_path / "out"), covers="hand, mask", method="telea")
    (tmp_path / "out").mkdir()
    (line,) = Worker(job, 1).complete([Item("a.png", "s")])
    assert (line.status, line.faces_completed) == ("completed", 1)
    assert (line.covers, line.left_on) == (((),), (("sunglasses", "other"),))
    assert cover.asked == ("mask", "hand")
