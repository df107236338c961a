"""Buckets: an S3 that the tests start, and fsspec's own memory."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from fsspec.registry import _registry

from facefill.batch import bucket as bucket_module
from facefill.batch import lock as lock_module
from facefill.batch.bucket import TRIES, Bucket
from facefill.batch.folder import Selection
from facefill.batch.job import make_job, open_folder
from facefill.batch.lock import LEASE, lock
from facefill.batch.manifest import BucketJournal, Outcome
from facefill.batch.run import preview, run
from facefill.batch.worker import Worker
from facefill.errors import InputError
from tests.batch.photos import Copies, contents, copy_all, tree_of, upload, write_photos

pytest.importorskip("fsspec")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of an empty bucket on a server of this test's own."""
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    ours = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "no_proxy": "127.0.0.1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ours.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem().mkdir("photos")
        yield "s3://photos"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture
def memory() -> str:
    """The URL of an empty folder in this process's memory."""
    return f"memory://{uuid.uuid4().hex}"


def lines_in(url: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Bucket(url).read("manifest.jsonl").splitlines()]


def test_photos_go_from_a_bucket_to_a_bucket_as_they_would_between_folders(s3: str, tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 5, damaged=1)
    for part in ("in", "masks"):
        upload(folder / part, f"{s3}/one/{part}")
    here = make_job(str(folder / "in"), str(folder / "out"), masks=str(folder / "masks"), method="telea")
    there = make_job(f"{s3}/one/in", f"{s3}/one/out", masks=f"{s3}/one/masks", method="telea")
    for job in (here, there):
        tally = run(job, Worker(job, 1).complete, select=Selection())
        assert tally.done == {"completed": 4, "failed": 1}
    assert contents(f"{s3}/one/out") == tree_of(folder / "out")
    assert len(lines_in(f"{s3}/one/out")) == 5
    tally = run(there, Copies(there).complete, select=Selection(exclude=("*0004*",)))
    assert tally.before == {"completed": 4}
    assert tally.done == {}


def test_a_bucket_is_listed_by_the_page_and_files_in_parts_appear_whole(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(f"{s3}/pages")
    names = {f"ä {index}/x.jpg" for index in range(7)}
    for name in names:
        bucket.write(name, name.encode())
    pages = []
    call = bucket.fs.call_s3

    def small(method: str, **options: object) -> object:
        pages.append(method)
        return call(method, MaxKeys=3, **options)

    monkeypatch.setattr(bucket.fs, "call_s3", small)
    assert {entry.name for entry in bucket.entries(Selection())} == names
    assert pages == ["list_objects_v2"] * 3
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(1 << 20) * 11)
    monkeypatch.setattr(bucket.fs, "put_file", partial(bucket.fs.put_file, chunksize=5 << 20))
    bucket.upload("large.jpg", large)
    assert bucket.read("large.jpg") == large.read_bytes()
    assert "-" in bucket.fs.info(bucket.path("large.jpg"))["ETag"], "in parts"


def test_a_run_that_is_killed_goes_on(memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_photos(tmp_path, 6)
    monkeypatch.setattr("facefill.batch.manifest.FLUSH_LINES", 2)
    monkeypatch.setattr("facefill.batch.manifest.FLUSH_S", 1e9)  # not by the clock of a busy machine
    job = make_job(str(folder / "in"), f"{memory}/out", method="telea")
    kill(job, after=5)
    assert Bucket(f"{memory}/out").list_state("lines") != []
    again = Copies(job)
    tally = run(job, again.complete, select=Selection())
    assert len(again.done) == 2, "two pieces of two lines were uploaded"
    assert tally.before == {"completed": 4}
    assert len(lines_in(f"{memory}/out")) == len(contents(f"{memory}/out")) == 6
    assert Bucket(f"{memory}/out").list_state("lines") == []


def kill(job: object, after: int) -> None:
    """What is left of a run whose process is gone: pieces of the manifest, and a lease of a dead process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BucketJournal, "close", lambda self: None)
        patch.setattr(Bucket, "remove", lambda self, name: None)
        copies = Copies(job, dies_after=after)
        with pytest.raises(KeyboardInterrupt):
            run(copies.job, copies.complete, select=Selection())
    bucket = Bucket(copies.job.target)
    held = json.loads(bucket.read(LEASE))
    bucket.write(LEASE, json.dumps({**held, "pid": 2**22 + 1}).encode())


def test_a_changed_photo_and_a_lost_result_are_done_again(memory: str, tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 4)
    upload(folder / "in", f"{memory}/in")
    assert len(copy_all(f"{memory}/in", f"{memory}/out")[1]) == 4
    bucket = Bucket(f"{memory}/in")
    bucket.write("a/photo 0000.png", bucket.read("a/photo 0000.png")[:-1] + b"!")
    Bucket(f"{memory}/out").remove("b/photo 0001.png")
    assert copy_all(f"{memory}/in", f"{memory}/out")[1] == ["a/photo 0000.png", "b/photo 0001.png"]
    assert len(lines_in(f"{memory}/out")) == 4


def test_a_bucket_with_other_files_is_left_alone(memory: str, tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 2)
    Bucket(memory).write("mine.txt", b"keep")
    with pytest.raises(InputError, match=r"mine\.txt"):
        copy_all(folder / "in", memory)
    with pytest.raises(InputError, match="apart"):
        copy_all(memory, memory)


def test_out_may_lie_in_the_bucket_of_photos(memory: str, tmp_path: Path) -> None:
    upload(write_photos(tmp_path, 3) / "in", memory)
    assert len(copy_all(memory, f"{memory}/done")[1]) == 3
    assert copy_all(memory, f"{memory}/done")[1] == []


def test_keys_that_lead_out_of_a_folder_fail(s3: str, tmp_path: Path) -> None:
    bucket = Bucket(f"{s3}/keys")
    bucket.fs.call_s3("put_object", Bucket="photos", Key="keys/a/../../../x.jpg", Body=b"x")
    bucket.write("good.jpg", b"x")
    tally, _ = copy_all(f"{s3}/keys", tmp_path / "deep/er/out")
    assert tally.done == {"completed": 1, "failed": 1}
    assert [path.name for path in tmp_path.rglob("x.jpg")] == []


def test_errors_that_pass_are_tried_again_and_others_are_said(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket(memory)
    bucket.write("a.jpg", b"a")
    monkeypatch.setattr(bucket_module, "PAUSE_S", 0.0)
    calls = []
    read = bucket.fs.cat_file

    def shaky(path: str) -> bytes:
        calls.append(path)
        if len(calls) < TRIES:
            raise ConnectionError("reset by peer")
        return bytes(read(path))

    monkeypatch.setattr(bucket.fs, "cat_file", shaky)
    assert bucket.read("a.jpg") == b"a"
    assert len(calls) == TRIES
    monkeypatch.setattr(bucket.fs, "cat_file", lambda path: 1 / 0)
    with pytest.raises(InputError, match=r"read a\.jpg in .*division by zero"):
        bucket.read("a.jpg")
    del calls[:]
    with pytest.raises(InputError, match="gone"):
        Bucket(memory).read("gone.jpg")


def test_a_photo_that_cannot_be_read_stops_no_other(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_photos(tmp_path, 4)
    upload(folder / "in", f"{memory}/in")
    monkeypatch.setattr(bucket_module, "PAUSE_S", 0.0)
    job = make_job(f"{memory}/in", str(folder / "out"), masks=str(folder / "masks"), method="telea")
    worker = Worker(job, 1)
    read = worker._source.fs.cat_file

    def broken(path: str) -> bytes:
        if "0002" in path:
            raise TimeoutError("no answer")
        return bytes(read(path))

    monkeypatch.setattr(worker._source.fs, "cat_file", broken)
    assert run(job, worker.complete, select=Selection()).done == {"completed": 3, "failed": 1}
    monkeypatch.undo()
    assert run(job, Worker(job, 1).complete, select=Selection()).done == {"completed": 1}


def test_two_runs_on_one_bucket_refuse(memory: str, s3: str) -> None:
    for url in (memory, f"{s3}/lease"):
        bucket = Bucket(url)
        with lock(bucket), pytest.raises(InputError, match=f"process {os.getpid()} on .*wait"), lock(bucket):
            pass
        assert not bucket.has(LEASE)


def test_a_lease_goes_over_when_its_owner_is_silent(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket(memory)
    with lock(bucket):
        held = json.loads(bucket.read(LEASE))
    bucket.write(LEASE, json.dumps({**held, "host": "elsewhere"}).encode())
    with pytest.raises(InputError, match="on elsewhere"), lock(bucket):
        pass
    monkeypatch.setattr(lock_module, "DEAD_S", -1.0)
    with lock(bucket):
        assert json.loads(bucket.read(LEASE))["token"] != held["token"]


def test_a_dry_run_writes_nothing(memory: str, tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 3)
    _, items = preview(make_job(str(folder / "in"), memory, method="telea"), select=Selection())
    assert len(list(items)) == 3
    assert Bucket(memory).fs.find(Bucket(memory).root) == []


@pytest.mark.parametrize(("url", "word"), [("nope://x/y", "nope"), ("gs://x/y", "gcsfs")])
def test_urls_that_nothing_opens(url: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    monkeypatch.delitem(_registry, "gs", raising=False)  # where another test has opened a store
    with pytest.raises(InputError, match=word):
        open_folder(url)


def test_the_pieces_of_a_manifest_keep_their_order(memory: str) -> None:
    bucket = Bucket(memory)
    journal = BucketJournal(bucket)
    lines = [Outcome(f"{index}.jpg", "completed").encode() for index in range(3)]
    for line in lines:
        journal.append(line)
        journal._flush()
    assert list(BucketJournal(bucket).lines()) == lines
    journal.replace(lines[:2])
    assert list(BucketJournal(bucket).lines()) == lines[:2]
