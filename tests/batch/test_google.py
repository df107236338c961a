"""gs://: a Google store that the test starts, with gcsfs as users have it."""

from __future__ import annotations

import http
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facefill.batch import bucket as bucket_module
from facefill.batch.bucket import Bucket
from facefill.batch.folder import Selection
from facefill.batch.job import make_job
from facefill.batch.lock import LEASE, lock
from facefill.batch.run import run
from facefill.batch.worker import Worker
from facefill.errors import InputError
from tests.batch.photos import Copies, contents, copy_all, tree_of, upload, write_photos

PART = 2 << 20
"""Bytes of the parts of a large upload here, beyond 5 MB in all; gcsfs's own 50 MB would be slow to test."""


@pytest.fixture(scope="module")
def google() -> Iterator[str]:
    """The URL of an empty bucket on a server of this test's own."""
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    with pytest.MonkeyPatch.context() as patch, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host, port = free.getsockname()
        free.close()
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # it asks over gRPC, which the emulator has not
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://{host}:{port}")
        patch.setenv("no_proxy", host)
        gcsfs = pytest.importorskip("gcsfs.core")
        config = pytest.importorskip("fsspec.config")
        patch.setitem(config.conf, "gs", {"token": "anon"})
        _answer_as_google_does(patch, emulator)
        server = emulator.create_server(host, port, in_memory=True, default_bucket="photos")
        server.start()
        yield "gs://photos"
        gcsfs.GCSFileSystem.clear_instance_cache()
        server.stop()


def _answer_as_google_does(patch: pytest.MonkeyPatch, emulator: Any) -> None:
    """What the emulator lacks: an upload with ifGenerationMatch=0 is refused where there is an object already, and one
    in parts can be cancelled."""
    handle = emulator.Router.handle

    def answer(router: Any, method: str) -> None:
        request = emulator.Request(router._request_handler, method)
        response = emulator.Response(router._request_handler)
        storage = router._request_handler.storage
        if method == "DELETE" and request.path.startswith("/upload/"):
            response.status = http.HTTPStatus.NO_CONTENT
        elif request.query.get("ifGenerationMatch") == ["0"]:
            request.set_match(re.search("/b/(?P<bucket_name>[^/]+)/o$", request.path))
            if storage.objects.get("photos", {}).get(request.data["meta"]["name"]):
                response.status = http.HTTPStatus.PRECONDITION_FAILED
            else:
                emulator.objects.insert(request, response, storage)
        else:
            handle(router, method)
            return
        response.close()

    patch.setattr(emulator.Router, "handle", answer)


def test_photos_go_from_google_to_google_as_they_would_between_folders(google: str, tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 4, damaged=1)
    for part in ("in", "masks"):
        upload(folder / part, f"{google}/one/{part}")
    here = make_job(str(folder / "in"), str(folder / "out"), masks=str(folder / "masks"), method="telea")
    there = make_job(f"{google}/one/in", f"{google}/one/out", masks=f"{google}/one/masks", method="telea")
    for job in (here, there):
        assert run(job, Worker(job, 1).complete, select=Selection()).done == {"completed": 3, "failed": 1}
    assert contents(f"{google}/one/out") == tree_of(folder / "out")
    assert len(Bucket(f"{google}/one/out").read("manifest.jsonl").splitlines()) == 4
    tally = run(there, Copies(there).complete, select=Selection(exclude=("*0003*",)))
    assert tally.before == {"completed": 3}
    assert tally.done == {}


def test_a_changed_photo_and_a_lost_result_are_done_again(google: str, tmp_path: Path) -> None:
    source, target = f"{google}/two/in", f"{google}/two/out"
    upload(write_photos(tmp_path, 3) / "in", source)
    assert len(copy_all(source, target)[1]) == 3
    bucket = Bucket(source)
    bucket.write("a/photo 0000.png", bucket.read("a/photo 0000.png")[:-1] + b"!")
    Bucket(target).remove("b/photo 0001.png")
    assert copy_all(source, target)[1] == ["a/photo 0000.png", "b/photo 0001.png"]


def test_names_of_all_kinds_and_large_files(google: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket(f"{google}/names")
    names = {"with space/x y.jpg", "käse 顔 🙂.jpg", "a#b?.jpg", "%41.jpg", "x" * 200 + ".jpg", "A.jpg", "a.jpg"}
    for name in names:
        bucket.write(name, name.encode())
    assert {entry.name for entry in bucket.entries(Selection())} == names
    assert {name: bucket.read(name).decode() for name in names} == {name: name for name in names}
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(3 * PART + 7))
    put = bucket.fs.put_file
    monkeypatch.setattr(bucket.fs, "put_file", lambda path, target: put(path, target, chunksize=PART))
    bucket.upload("large.jpg", large)
    assert bucket.read("large.jpg") == large.read_bytes()


def test_an_upload_that_breaks_off_leaves_what_was_there(
    google: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcsfs = pytest.importorskip("gcsfs.core")
    monkeypatch.setattr(bucket_module, "PAUSE_S", 0.0)
    bucket = Bucket(f"{google}/broken")
    bucket.write("a.jpg", b"before")
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(3 * PART))
    put, sent = bucket.fs.put_file, gcsfs.upload_chunk
    chunks = []

    async def torn(*some: Any, **options: Any) -> Any:
        chunks.append(1)
        if len(chunks) % 2 == 0:
            raise ConnectionError("reset by peer")
        return await sent(*some, **options)

    monkeypatch.setattr(gcsfs, "upload_chunk", torn)
    monkeypatch.setattr(bucket.fs, "put_file", lambda path, target: put(path, target, chunksize=PART))
    with pytest.raises(InputError, match="reset by peer"):
        bucket.upload("a.jpg", large)
    assert len(chunks) == 2 * bucket_module.TRIES
    assert bucket.read("a.jpg") == b"before"


def test_two_runs_on_one_bucket_refuse(google: str) -> None:
    bucket = Bucket(f"{google}/lease")
    assert bucket.create("once", b"1")
    assert not bucket.create("once", b"2")
    assert bucket.read("once") == b"1"
    with lock(bucket):
        assert json.loads(bucket.read(LEASE))["pid"] == os.getpid()
        with pytest.raises(InputError, match=f"process {os.getpid()} on .*wait"), lock(bucket):
            pass
    assert not bucket.has(LEASE)
