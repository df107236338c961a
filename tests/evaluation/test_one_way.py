"""What is measured is what people get: evaluation's picture is that of the public function, byte for byte."""

from __future__ import annotations

from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import facefill
from facefill.catalog import METHODS
from facefill.evaluation.photos import complete_cases, draw_photo_case
from facefill.evaluation.protocols import PHOTOS, PROTOCOLS, Case, draw_case, seed_of
from facefill.imaging.classical import CLASSICAL, fill_total_variation
from facefill.runtime import inpainter as inpainter_module
from facefill.runtime.cover import FoundCover
from facefill.runtime.inpainter import open_inpainter
from facefill.runtime.model import load
from facefill.training.checkpoint import save_weights
from tests.faces import draw_face, draw_photo
from tests.methods.test_contract import SMALL, build
from tests.runtime.test_inpainter import StandIn

PHOTO, (LANDMARKS,) = draw_photo(300, 280, faces=1, seed=1)
FILES = ("face005.png", "face004.png")


class LowerHalf:
    def find(self, photo: np.ndarray, faces: list[object]) -> list[FoundCover]:
        side = len(photo)
        return [FoundCover((slice(side // 2, side), slice(0, side)), np.ones((side // 2, side), bool))]


@cache
def cases_of(protocol: str) -> list[Case]:
    one = PROTOCOLS[protocol]
    faces = (draw_face(one.size_px, seed) for seed in (5, 4))
    return [draw_case(one, *face, file, LowerHalf()) for face, file in zip(faces, FILES, strict=True)]


@pytest.fixture(scope="module", params=METHODS)
def method(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A name, or the file of a small network with a method's settings."""
    record = METHODS[request.param]
    if record.package and find_spec(record.package) is None:
        pytest.skip(f"no {record.package}")
    if record.kind == "classical":
        return record.name
    path: Path = tmp_path_factory.mktemp("nets") / f"{record.name}.safetensors"
    settings = SMALL[record.name] | ({"iterations": 1, "restarts": 1} if record.kind == "torch" else {})
    save_weights(path, build(record.name).generator.state_dict(), {"method": record.name, "config": settings})
    return str(path)


def test_evaluation_completes_as_the_public_functions_do(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a network completes another picture beside it; rules take one after the other."""
    monkeypatch.setenv("FACEFILL_THREADS", "1")
    monkeypatch.setitem(CLASSICAL, "total_variation", partial(fill_total_variation, steps=2))
    inpainter = open_inpainter(method, threads=1)
    for protocol in PROTOCOLS.values():
        cases, seed = cases_of(protocol.name)[method in CLASSICAL :], seed_of(protocol, FILES[-1])
        case, measured = cases[-1], complete_cases(inpainter, protocol, cases)[-1]
        public = facefill.complete(
            case.shown, case.mask, method=method, seed=seed, aligned=True, covered=protocol.covers
        )
        assert (measured == public.photo).all(), protocol.name
        assert (measured[~case.mask] == case.shown[~case.mask]).all(), protocol.name
        assert (measured != case.shown).any(), protocol.name


@pytest.mark.parametrize("name", PHOTOS)
def test_evaluation_completes_whole_photos_as_the_public_functions_do(
    name: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CLASSICAL, "total_variation", partial(fill_total_variation, steps=2))
    inpainter = StandIn([LANDMARKS]).inpainter(load(method, threads=1))
    monkeypatch.setattr(inpainter_module, "_open_once", lambda *_, **__: inpainter)
    case, seed = draw_photo_case(PHOTOS[name], PHOTO, LANDMARKS, FILES[0]), seed_of(PHOTOS[name], FILES[0])
    assert case.crop is not None
    if case.drawn is None:
        public = facefill.unmask(case.photo, method=method, seed=seed)
    else:
        public = facefill.complete(case.photo, case.drawn, method=method, seed=seed)
    assert (complete_cases(inpainter, PHOTOS[name], [case])[0] == case.crop.take(public.photo)).all()
    assert (public.photo != case.photo).any()
