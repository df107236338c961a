"""The REST API: what goes in, what comes out, what is refused and how."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import tracemalloc
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.testclient import TestClient

from facefill.catalog import METHODS
from facefill.errors import InputError
from facefill.files.photo import encode_picture, read_photo
from facefill.files.provenance import read_signature
from facefill.runtime.cover import FoundCover
from facefill.runtime.finder import Face
from facefill.runtime.model import Model
from facefill.server.app import Service, build_app
from facefill.server.jobs import _found
from facefill.server.schema import Completed, Detected, Failure
from facefill.server.upload import Upload, UploadMemory, _take_json
from tests.files.test_provenance import write_key
from tests.server.service import PHOTO, PNG, Gate, coded, service, square_mask

JSON = {"Accept": "application/json"}


def grey(data: str) -> np.ndarray:
    return read_photo(base64.b64decode(data)).pixels[..., 0] > 127


def test_unmask_answers_the_picture_and_changes_nothing_else(client: TestClient) -> None:
    picture = client.post("/v1/unmask", files={"photo": PNG})
    said = client.post("/v1/unmask", files={"photo": PNG}, headers=JSON).json()
    assert picture.status_code == 200
    assert picture.headers["content-type"] == "image/png"
    assert "invented" in picture.headers["facefill-invented"]
    assert json.loads(picture.headers["facefill-warnings"]) == []
    assert "completing;dur=" in picture.headers["server-timing"]
    assert picture.content == base64.b64decode(said["photo"])
    after, mask = read_photo(picture.content).pixels, grey(said["mask"])
    assert mask.any()
    assert (after[~mask] == PHOTO[~mask]).all()
    assert (after[mask] != PHOTO[mask]).any()


def test_a_server_with_a_key_signs_what_it_completes(tmp_path: Path) -> None:
    key = read_signature(write_key(tmp_path / "key.pem", ec.generate_private_key(ec.SECP256R1())))
    made = service(tmp_path, Gate(), signature=key)
    assert "PRIVATE" not in repr(made.settings)
    with TestClient(build_app(made.settings, made), base_url="http://localhost") as client:
        picture = client.post("/v1/unmask", files={"photo": PNG})
        unsigned = client.post("/v1/unmask", files={"photo": PNG}, data={"format": "BMP"})
    with c2pa.Reader("image/png", io.BytesIO(picture.content)) as reader:
        assert reader.get_validation_state() == "Valid"
    assert unsigned.status_code == 422


class Doubting(Model):
    """A method that trusts none of its completions."""

    def fill(self, faces: np.ndarray, masks: np.ndarray, *others: Any) -> np.ndarray:
        logging.getLogger("facefill").warning("far off", extra={"warning": "far off", "rows": [0]})
        return faces[:, None]


def test_what_a_method_doubts_stands_among_the_warnings(tmp_path: Path) -> None:
    made = service(tmp_path, Gate(), model=Doubting(METHODS["telea"].model_copy(update={"kind": "onnx"}), None))
    with TestClient(build_app(made.settings, made), base_url="http://localhost") as client:
        picture = client.post("/v1/unmask", files={"photo": PNG})
        said = client.post("/v1/unmask", files={"photo": PNG}, headers=JSON).json()
    assert json.loads(picture.headers["facefill-warnings"]) == said["warnings"] == ["1 of 1 crops: far off"]


def test_json_tells_faces_masks_warnings_and_timings(client: TestClient) -> None:
    said = Completed.model_validate(client.post("/v1/unmask", files={"photo": PNG}, headers=JSON).json())
    (face,) = said.faces
    assert face.cover is not None
    part = grey(face.cover.png)
    assert part.shape == (face.cover.height, face.cover.width)
    whole = np.zeros(PHOTO.shape[:2], bool)
    whole[face.cover.y : face.cover.y + face.cover.height, face.cover.x : face.cover.x + face.cover.width] = part
    assert (whole == grey(said.mask)).all()
    assert set(said.timings_ms) >= {"waiting", "looking", "completing", "writing"}
    assert (said.width, said.height, said.method, said.warnings) == (220, 160, "swift", [])


def test_a_mask_of_thousands_of_pixels_is_completed_too(client: TestClient) -> None:
    spots = np.tile(np.array([[255, 0], [0, 0]], np.uint8), (80, 110))
    said = client.post("/v1/complete", files={"photo": PNG, "mask": encode_picture(spots)}, headers=JSON).json()
    assert (grey(said["mask"]) == (spots > 0)).all()


def test_a_mask_is_completed_as_a_form_and_as_json_alike(client: TestClient) -> None:
    form = client.post("/v1/complete", files={"photo": PNG, "mask": square_mask()}, data={"seed": "3"})
    sent = {"photo": coded(PNG), "mask": coded(square_mask()), "seed": 3}
    said = client.post("/v1/complete", json=sent, headers=JSON).json()
    assert form.content == base64.b64decode(said["photo"])
    assert (grey(said["mask"]) == grey(coded(square_mask()))).all()
    assert said["seed"] == 3


def test_detect_takes_kinds_of_covers_and_refuses_others(client: TestClient) -> None:
    for kinds, status in {"mask": 200, "hand,sunglasses": 200, "all": 200, "hat": 422, "": 422}.items():
        answer = client.post("/v1/detect", files={"photo": PNG}, data={"covers": kinds})
        assert answer.status_code == status, kinds
        assert (status == 200) == ("faces" in answer.json())
    for path in ("detect", "unmask"):
        how: dict[str, Any] = {"data": {"covers": "mask,hand"}, "headers": JSON}
        (face,) = client.post(f"/v1/{path}", files={"photo": PNG}, **how).json()["faces"]
        assert face["left_on"] == ["sunglasses", "other"]


def test_detect_finds_faces_and_their_covers_and_completes_nothing(client: TestClient) -> None:
    said = client.post("/v1/detect", files={"photo": PNG}, data={"preview": "true"}).json()
    found = Detected.model_validate(said)
    assert len(found.faces) == 1
    assert found.faces[0].cover is not None
    assert read_photo(base64.b64decode(said["preview"])).format == "JPEG"
    assert "photo" not in said


def test_what_of_a_cover_lies_beyond_the_face_does_not_make_it_too_covered() -> None:
    landmarks = np.array([[40.0, 40], [60, 40], [50, 50], [42, 62], [58, 62]])
    face = Face((25.0, 15.0, 75.0, 85.0), landmarks, 0.9)

    def warnings(top: int, bottom: int) -> list[str]:
        return _found(
            face, FoundCover((slice(top, bottom), slice(0, 100)), np.ones((bottom - top, 100), bool)), (400, 100)
        ).warnings

    assert warnings(60, 400) == []
    (said,) = warnings(30, 400)
    assert "of it is covered, more than 60%" in said


def test_another_format_is_answered_on_request(client: TestClient) -> None:
    answer = client.post("/v1/unmask", files={"photo": PNG}, data={"format": "WEBP"})
    assert answer.headers["content-type"] == "image/webp"
    assert read_photo(answer.content).format == "WEBP"


class Varied(Model):
    """Fills with a level that its seed and the sample's number say."""

    def fill(self, faces: np.ndarray, masks: np.ndarray, seeds: Any, samples: range, inputs: Any) -> np.ndarray:
        levels = [[(40 * seed + 30 * sample) % 256 for sample in samples] for seed in seeds]
        return np.broadcast_to(
            np.array(levels, np.uint8)[:, :, None, None, None], (len(faces), len(samples), *faces.shape[1:])
        ).copy()


def test_samples_come_with_the_spread_between_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = METHODS["swift"].model_copy(update={"inputs": ("image", "mask", "seed"), "blend": "paste"})
    monkeypatch.setitem(METHODS, "swift", record)
    made = service(tmp_path, Gate(), model=Varied(record, None))
    with TestClient(build_app(made.settings, made), base_url="http://localhost") as client:
        sent = {"photo": coded(PNG), "mask": coded(square_mask()), "samples": 3, "seed": 1}
        said = Completed.model_validate(client.post("/v1/complete", json=sent, headers=JSON).json())
        assert client.post("/v1/complete", json=sent, headers={"Accept": "image/png"}).status_code == 422
        other = client.post("/v1/complete", json={**sent, "samples": 1, "first": 2}, headers=JSON).json()["photo"]
    pictures = [read_photo(base64.b64decode(data)).pixels for data in said.samples]
    mask = grey(said.mask)
    assert said.samples[0] == said.photo
    assert said.samples[2] == other, "one by its number is one of several"
    assert len(pictures) == 3
    assert all((picture[~mask] == PHOTO[~mask]).all() for picture in pictures)
    assert (pictures[0][mask] != pictures[1][mask]).any()
    assert said.spread is not None
    spread = read_photo(base64.b64decode(said.spread)).pixels[..., 0]
    assert (spread[mask] > 0).all()
    assert (spread[~mask] == 0).all()
    assert said.sample_distance is not None
    assert said.sample_distance > 0


NOISE = encode_picture(np.random.default_rng(0).integers(0, 255, (450, 450), np.uint8))
BROKEN = PNG[: len(PNG) // 2]
FULL = encode_picture(np.full(PHOTO.shape[:2], 255, np.uint8))


@pytest.mark.parametrize(
    ("path", "files", "fields", "status", "word"),
    [
        ("unmask", {"photo": b"no picture at all"}, {}, 415, "text in the photo"),
        ("unmask", {"photo": b"\x00\x01\x02" * 99}, {}, 415, "something else"),
        ("unmask", {"photo": BROKEN}, {}, 422, "damaged"),
        ("unmask", {"photo": NOISE}, {}, 413, "at most 200,000 pixels"),
        ("unmask", {"photo": b"x" * 500_000}, {}, 413, "at most 400,000 bytes"),
        ("unmask", {"photo": b"x" * 1_500_000}, {}, 413, "at most 900,000 bytes"),
        ("unmask", {}, {"method": "swift"}, 422, "the file photo"),
        ("unmask", {"photo": b""}, {}, 422, "the file photo"),
        ("unmask", {"photo": PNG, "mask": PNG}, {}, 422, "got 'mask'"),
        ("unmask", {"foto": PNG}, {}, 422, "did you mean 'photo'"),
        ("unmask", {"foto": b"x" * 500_000}, {}, 422, "did you mean 'photo'"),
        ("unmask", {"photo": PNG}, {"methd": "swift"}, 422, "did you mean 'method'"),
        ("unmask", {"photo": PNG}, {"method": "swfit"}, 422, "did you mean 'swift'"),
        ("unmask", {"photo": PNG}, {"method": "/etc/passwd"}, 422, "expected a method"),
        ("unmask", {"photo": PNG}, {"seed": "-1"}, 422, "seed"),
        ("unmask", {"photo": PNG}, {"seed": "x" * 3000}, 422, "a short seed"),
        ("unmask", {"photo": PNG}, {"large_hole": "perhaps"}, 422, "large_hole: input should be a valid boolean"),
        ("unmask", {"photo": PNG}, {"format": "GIF"}, 422, "expected a format"),
        ("complete", {"photo": PNG}, {}, 422, "the file mask"),
        ("complete", {"photo": PNG, "mask": b"junk"}, {}, 422, "a mask picture"),
        ("complete", {"photo": PNG, "mask": FULL}, {}, 422, "missing everywhere"),
        ("complete", {"photo": PNG, "mask": NOISE}, {}, 422, "220x160"),
        (
            "complete",
            {"photo": PNG, "mask": square_mask()},
            {"samples": "2", "method": "telea"},
            422,
            "several completions",
        ),
        (
            "complete",
            {"photo": PNG, "mask": square_mask()},
            {"first": "1", "method": "telea"},
            422,
            "several completions",
        ),
        ("detect", {"photo": PNG}, {"seed": "1"}, 422, "expected a field"),
    ],
)
def test_what_the_user_can_fix_is_said_in_three_parts(
    client: TestClient,
    made: Service,
    path: str,
    files: dict[str, bytes],
    fields: dict[str, str],
    status: int,
    word: str,
) -> None:
    answer = client.post(f"/v1/{path}", files=files or {"nothing": (None, "")}, data=fields)
    if not files:
        answer = client.post(f"/v1/{path}", files={name: (None, value) for name, value in fields.items()})
    error = Failure.model_validate(answer.json()).error
    assert answer.status_code == status
    assert word in error.message
    assert error.message == f"expected {error.expected}, got {error.got}: {error.fix}"
    assert made.memory.taken == 0


def test_a_form_says_booleans_and_numbers_as_any_client_writes_them(client: TestClient) -> None:
    for yes, no in (("True", "False"), ("true", "false"), ("TRUE", "FALSE")):
        fields = {"preview": yes, "large_hole": no, "seed": "3"}
        said = client.post("/v1/unmask", files={"photo": PNG}, data=fields, headers=JSON).json()
        assert said["preview"]
        assert said["seed"] == 3


def test_a_file_needs_no_file_name(client: TestClient) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="photo"\r\n\r\n' + PNG + b"\r\n--x--\r\n"
    answer = client.post("/v1/unmask", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 200


def test_json_is_answered_with_json_and_a_form_with_the_picture_where_nobody_says(client: TestClient) -> None:
    for accept, as_form, as_json in (
        ("*/*", "image/png", "application/json"),
        ("image/*", "image/png", "image/png"),
        ("application/json", "application/json", "application/json"),
    ):
        form = client.post("/v1/unmask", files={"photo": PNG}, headers={"Accept": accept})
        said = client.post("/v1/unmask", json={"photo": coded(PNG)}, headers={"Accept": accept})
        assert [form.headers["content-type"], said.headers["content-type"]] == [as_form, as_json]


def test_base64_comes_in_lines_and_in_data_urls_too(client: TestClient) -> None:
    plain = client.post("/v1/unmask", json={"photo": coded(PNG)}, headers={"Accept": "image/*"}).content
    escaped = coded(PNG).replace("/", "\\/").replace("+", "\\u002B")
    for way in (json.dumps(base64.encodebytes(PNG).decode()), f'"data:image/png;base64,{coded(PNG)}"', f'"{escaped}"'):
        answer = client.post(
            "/v1/unmask",
            content=f'{{"photo": {way}}}',
            headers={"Content-Type": "application/json", "Accept": "image/*"},
        )
        assert (answer.status_code, answer.content) == (200, plain), way[:40]
    for way in ("data:image/png,abcd", "data:", "AAA", "A=AA"):
        assert client.post("/v1/unmask", json={"photo": way}).status_code == 422, way


LARGE = coded(bytes(3_000_000))


@pytest.mark.parametrize(
    "body",
    [
        f'{{"photo": "{LARGE}"}}',
        f'{{"photo": "\\u263a{LARGE}"}}',
        f'{{"photo": "{LARGE}\\/"}}',
        '{"photo": [' + "[]," * 500_000 + "0]}",
        "[" * 1_000_000,
        '{"a":' * 500_000,
        '{"photo": "", ' + ", ".join(f'"k{index}": {{}}' for index in range(100_000)) + "}",
    ],
)
def test_what_a_json_body_takes_in_memory_is_counted(body: str) -> None:
    class Highest(UploadMemory):
        highest = 0

        def take(self, count: int) -> None:
            super().take(count)
            self.highest = max(self.highest, self.taken)

    memory = Highest(10**9)
    upload, sent = Upload(memory), body.encode()
    tracemalloc.start()
    try:
        data = bytearray(sent)
        upload.count(len(data))
        with contextlib.suppress(InputError):
            _take_json(data, upload, ("photo",))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= memory.highest + 100_000
    upload.release()
    assert memory.taken == 0


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"--x", f"multipart/form-data; boundary={'x' * 5000}", 400),
        (b"--x", 'multipart/form-data; boundary=""', 415),
        (b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\n", "multipart/form-data; boundary=x", 400),
        (b"--x\r\n" + b"A" * 50_000, "multipart/form-data; boundary=x", 400),
        (b"--x\r\n\r\nabc\r\n--x--\r\n", "multipart/form-data; boundary=x", 422),
        (b'{"photo": "AAAA", "fot\xc3\xb6": 1}', "application/json", 400),
        (b'{"photo": "AAAA", "foto": "' + b"A" * 5000 + b'"}', "application/json", 422),
        (b"--x\r\nContent-Disposition: form-data; name=photo\r\n\r\nabc", "multipart/form-data; boundary=x", 400),
        (b"no form", "multipart/form-data; boundary=x", 400),
        (b"", "multipart/form-data; boundary=x", 400),
        (b"", "multipart/form-data", 415),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b"{", "application/json", 400),
        (b"[" * 10_000, "application/json", 400),
        (b"[]", "application/json", 422),
        (b'{"photo": "%%%"}', "application/json", 422),
        (b'{"photo": 3}', "application/json", 422),
        (b'{"photo": "AAAA", "seed": "3"}', "application/json", 422),
    ],
)
def test_a_malformed_body_is_refused(client: TestClient, made: Service, body: bytes, kind: str, status: int) -> None:
    answer = client.post("/v1/unmask", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    Failure.model_validate(answer.json())
    assert made.memory.taken == 0
