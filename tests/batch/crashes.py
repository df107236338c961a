"""Workers that die or only say who they are, to be run in processes of their own; they load no networks."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection
from typing import Any

from facefill.batch.job import BatchJob
from facefill.batch.local import _received
from facefill.batch.manifest import Outcome


def deadly(pipe: Connection[Any, Any], job: BatchJob, threads: int) -> None:
    """One photo kills it."""
    pipe.send("ready")
    for item in _received(pipe):
        if item.name == "poison":
            os._exit(9)
        pipe.send(Outcome(item.name, "completed"))


def stillborn(pipe: Connection[Any, Any], job: BatchJob, threads: int) -> None:
    """It never begins."""
    os._exit(7)


def telling(pipe: Connection[Any, Any], job: BatchJob, threads: int) -> None:
    """Each line says which process it is from."""
    pipe.send("ready")
    for item in _received(pipe):
        pipe.send(Outcome(item.name, "completed", str(os.getpid())))
