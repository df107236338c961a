"""Whatever file somebody sends, the next request is answered."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from starlette.testclient import TestClient

from facefill.files.jpeg import Segment, parse_jpeg
from facefill.server.app import Service, build_app
from tests.files import fuzz
from tests.files import photo_files as files
from tests.server.service import PNG, Gate, service


def hostile() -> dict[str, bytes]:
    jpeg = files.coded(files.picture(128, 128), "JPEG")
    at = jpeg.index(b"\xff\xc0")
    frame = jpeg[at : at + 5] + struct.pack(">HH", 4000, 4000) + jpeg[at + 9 : at + 19]
    entries = [struct.pack("<HHII", 50000 + number, 7, 60_000, 8) for number in range(400)]
    fat = b"II*\0\x08\0\0\0" + struct.pack("<H", 400) + b"".join(entries) + bytes(60_000)
    itself = b"II*\0\x08\0\0\0" + struct.pack("<H", 200) + 200 * struct.pack("<HHII", 0x8769, 4, 1, 8) + bytes(4)
    deep = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + 6000 * b"<a>" + 6000 * b"</a></x:xmpmeta>"
    deep_packet = Segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + deep[:65_000])
    row = zlib.compress(bytes(8 * 10_000 + 1), 9)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 10_000, 10_000, 16, 6, 0, 0, 0)), (b"IDAT", row), (b"IEND", b"")]
    return {
        "a frame that is no segment": jpeg[:at] + b"\xff\0" + struct.pack(">H", len(frame) + 2) + frame + jpeg[at:],
        "a frame that is too large": jpeg.replace(jpeg[at : at + 19], frame),
        "EXIF that shares bytes": parse_jpeg(jpeg).coded([Segment(0xE1, b"Exif\0\0" + fat[:65_000])]),
        "EXIF that points at itself": parse_jpeg(jpeg).coded([Segment(0xE1, b"Exif\0\0" + itself)]),
        "XMP that is deep": parse_jpeg(jpeg).coded([deep_packet]),
        "100 megapixels of 16 bits": b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in parts
        ),
        **{f"mutant {index}": fuzz.mutant(index)[1] for index in range(12)},
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return service(tmp_path_factory.mktemp("net"), Gate())


@pytest.fixture(scope="module")
def client(made: Service) -> Iterator[TestClient]:
    with TestClient(build_app(made.settings, made), base_url="http://localhost:8000") as client:
        yield client


@pytest.mark.parametrize("name", hostile())
def test_the_next_request_is_answered(client: TestClient, name: str) -> None:
    file = hostile()[name]
    mask = files.coded(np.eye(128, dtype=np.uint8) * 255, "PNG")
    for path, sent in (
        ("unmask", {"photo": file}),
        ("complete", {"photo": file, "mask": mask}),
        ("complete", {"photo": PNG, "mask": file}),
    ):
        assert client.post(f"/v1/{path}", files=sent).status_code in (200, 413, 415, 422)
    assert client.post("/v1/detect", files={"photo": PNG}).status_code == 200
