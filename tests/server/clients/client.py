"""Uses the package `facefill_client` of openapi-python-client: python client.py ADDRESS, beside the pictures."""

import base64
import sys
from pathlib import Path

from facefill_client import Client
from facefill_client.api.default import complete, detect, health, methods, unmask
from facefill_client.models import Completed, CompleteForm, DetectForm, Failure, UnmaskForm, UnmaskJson
from facefill_client.types import File

PHOTO, MASK = Path("photo.png"), Path("mask.png")
plain = Client(sys.argv[1], timeout=60)
client = Client(sys.argv[1], headers={"Accept": "application/json"}, timeout=60)


def file(path: Path) -> File:
    return File(path.open("rb"))


assert health.sync(client=plain).status == "ok"
assert methods.sync(client=plain)[0].name == "swift"
assert len(detect.sync(client=plain, body=DetectForm(photo=file(PHOTO), preview=True)).faces) == 1

form = unmask.sync(client=client, body=UnmaskForm(photo=file(PHOTO), seed=3, large_hole=True))
assert isinstance(form, Completed), form
assert form.seed == 3
said = unmask.sync(client=plain, body=UnmaskJson(photo=base64.b64encode(PHOTO.read_bytes()).decode(), seed=3))
assert said.photo == form.photo

assert isinstance(complete.sync(client=client, body=CompleteForm(photo=file(PHOTO), mask=file(MASK))), Completed)
assert isinstance(unmask.sync(client=client, body=UnmaskForm(photo=file(PHOTO), seed=-1)), Failure)
