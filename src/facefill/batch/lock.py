"""One run at a time per OUT: two would do everything twice."""

import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor

from facefill.batch.bucket import Bucket, Folder
from facefill.batch.folder import STATE
from facefill.errors import InputError, explained

LEASE = f"{STATE}/lease.json"
BEAT_S = 15.0
"""Seconds between two signs of life of a run that writes into a bucket."""
DEAD_S = 90.0
"""Seconds without a sign of life after which a run counts as dead."""


@contextmanager
def lock(folder: Folder) -> Iterator[None]:
    """Lock a folder for writing. Raises InputError if another run holds it or it cannot be written."""
    if isinstance(folder, Bucket):
        with _lease(folder):
            yield
    else:
        with _lock_file(folder.root):
            folder.clean()
            yield


@contextmanager
def _lock_file(root: Path) -> Iterator[None]:
    """The system releases it when the process ends, however it ends."""
    with explained("a folder that can be written", root, "choose another OUT"):
        (root / STATE).mkdir(parents=True, exist_ok=True)
        file = open(root / STATE / "lock", "a+b")  # noqa: SIM115 - closed below
    with file:
        if not lock_descriptor(file.fileno(), blocking=False):
            who = b""
            with suppress(OSError):  # Windows lets nobody read what is locked
                file.seek(0)
                who = file.read()
            said = who.decode(errors="replace").strip() or "another run"
            fix = "wait for it to end, or choose another OUT"
            raise InputError(f"{root} for itself", f"{said}, which writes there now", fix)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        file.flush()
        yield
        file.truncate(0)


@contextmanager
def _lease(bucket: Bucket) -> Iterator[None]:
    """An object with the writer and its last sign of life: buckets have no locks that end with a process."""
    token = secrets.token_hex(8)
    if not bucket.create(LEASE, _signed(token)):
        held = _read(bucket)
        if not _is_dead(held):
            age_s = max(0.0, time.time() - float(held["beat"]))
            got = f"process {held['pid']} on {held['host']}, which wrote there {age_s:.0f} s ago"
            fix = f"wait for it to end; {DEAD_S:.0f} s after its death run again"
            raise InputError(f"{bucket} for itself", got, fix)
        bucket.write(LEASE, _signed(token))
        time.sleep(0.2)  # of two who take over, the later one stays
        if _read(bucket)["token"] != token:
            raise InputError(f"{bucket} for itself", "another run that began just now", "wait for it to end")
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_S):
            with suppress(InputError):  # a network that fails for a while
                if _read(bucket).get("token") != token:
                    # Whoever has it now took this run for dead. Two must not write.
                    said = "facefill: another run has taken the bucket over; this one stops"
                    print(said, file=sys.stderr, flush=True)
                    os._exit(2)
                bucket.write(LEASE, _signed(token))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        bucket.remove(LEASE)


def _signed(token: str) -> bytes:
    return json.dumps({"token": token, "host": socket.gethostname(), "pid": os.getpid(), "beat": time.time()}).encode()


def _read(bucket: Bucket) -> dict[str, str]:
    with suppress(ValueError):
        return dict(json.loads(bucket.read(LEASE)))
    return {}


def _is_dead(held: dict[str, str]) -> bool:
    """Whether the holder has been silent too long, or was a process on this machine that has ended."""
    if not held or time.time() - float(held["beat"]) > DEAD_S:
        return True
    if held["host"] != socket.gethostname() or sys.platform == "win32":
        return False
    try:
        os.kill(int(held["pid"]), 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return False
