"""Requests' bodies into memory, never onto a disk: multipart forms, and JSON with base64.

Web frameworks spool large parts of a form into temporary files. Nobody's photo may lie in one, so the form is parsed
here, by python-multipart's parser, into memory that is counted.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import threading
from collections.abc import AsyncIterator
from typing import Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from facefill.server.errors import refuse
from facefill.server.settings import Settings

_FILES = ("photo", "mask")
_MOST_PARTS = 16
_MOST_TEXT_BYTES = 1000
"""Of a field that is no file, and of a part's headers."""


class Hold:
    """Counts the bytes of all uploads that are in memory at one time; the line's threads give them back."""

    def __init__(self, most: int) -> None:
        self._most, self.held, self._lock = most, 0, threading.Lock()

    def take(self, count: int) -> None:
        """Raises Refused (503) where there is no room."""
        with self._lock:
            if self.held + count > self._most:
                raise refuse(503, "room for the upload", "a server full of photos", "send it again later", 5)
            self.held += count

    def give_back(self, count: int) -> None:
        with self._lock:
            self.held -= count


class Upload:
    """What a request carries: the files' bytes and the other fields, and the memory counted for it."""

    def __init__(self, hold: Hold) -> None:
        self.files: dict[str, bytes] = {}
        self.fields: dict[str, Any] = {}
        self._hold, self._taken = hold, 0

    def count(self, size: int) -> None:
        self._hold.take(size)
        self._taken += size

    def release(self) -> None:
        """Forget the files. Harmless when repeated."""
        self.files = {}
        taken, self._taken = self._taken, 0
        self._hold.give_back(taken)


async def read_upload(request: Request, hold: Hold, settings: Settings) -> Upload:
    """The body of a request. Raises Refused: 400 malformed, 408 too slow, 413 too large, 415 of another kind."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > _most(settings):
        raise _too_large(settings)
    upload = Upload(hold)
    try:
        chunks = _chunks(request, upload, settings)
        if kind == b"multipart/form-data" and options.get(b"boundary"):
            await _read_form(chunks, options[b"boundary"], upload)
        elif kind == b"application/json":
            await asyncio.to_thread(_take_json, b"".join([chunk async for chunk in chunks]), upload)
        else:
            raise refuse(415, "multipart/form-data or application/json", kind.decode("latin-1")[:80] or "no type",
                         "send the photo as the form field `photo`")
        for name, data in upload.files.items():
            if len(data) > settings.max_bytes:
                raise refuse(413, f"at most {settings.max_bytes:,} bytes", f"{len(data):,} in {name}", "shrink it")
    except BaseException:
        upload.release()
        raise
    return upload


def _most(settings: Settings) -> int:
    """Bytes of a whole body: photo and mask, in base64, and what is around them."""
    return settings.max_bytes * 2 + 100_000


def _too_large(settings: Settings) -> Exception:
    return refuse(413, f"at most {_most(settings):,} bytes", "more", "shrink the photo, or raise --max-mb")


async def _chunks(request: Request, upload: Upload, settings: Settings) -> AsyncIterator[bytes]:
    """Pieces of the body, counted and against the clock."""
    size, stream = 0, request.stream().__aiter__()
    try:
        async with asyncio.timeout(settings.upload_s):
            while True:
                async with asyncio.timeout(settings.quiet_s):
                    chunk = await anext(stream, None)
                if chunk is None:
                    return
                size += len(chunk)
                if size > _most(settings):
                    raise _too_large(settings)
                upload.count(len(chunk))
                yield chunk
    except TimeoutError:
        raise refuse(408, "an upload without long pauses", "none that ended in time", "send it again") from None
    except ClientDisconnect:
        raise refuse(400, "a whole upload", "one that broke off", "send it again") from None


class _Form:
    """The parts of a form as they come."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, bytearray]] = []
        self.whole = False
        self._name, self._value, self._size = bytearray(), bytearray(), 0
        self._headers: dict[bytes, bytes] = {}

    def begin(self) -> None:
        if len(self.parts) == _MOST_PARTS:
            raise refuse(413, f"at most {_MOST_PARTS} fields", "more", "leave the others out")
        self._headers, self._size = {}, 0
        self.parts.append(("", bytearray()))

    def _grow(self, target: bytearray, data: bytes) -> None:
        self._size += len(data)
        if self._size > _MOST_TEXT_BYTES:
            raise refuse(400, "short headers of a form's parts", "long ones", "send a plain form")
        target += data

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._grow(self._name, data[start:end])

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._grow(self._value, data[start:end])

    def header_end(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self.parts[-1] = (options.get(b"name", b"").decode("utf-8", "replace"), bytearray())

    def data(self, data: bytes, start: int, end: int) -> None:
        name, value = self.parts[-1]
        value += data[start:end]
        if name not in _FILES and len(value) > _MOST_TEXT_BYTES:
            raise refuse(422, f"a short {name[:40] or 'field'}", f"over {_MOST_TEXT_BYTES} bytes", "shorten it")

    def end(self) -> None:
        self.whole = True


async def _read_form(chunks: AsyncIterator[bytes], boundary: bytes, upload: Upload) -> None:
    form = _Form()
    broken = refuse(400, "a whole multipart form", "a broken or empty one", "let a library build it")
    try:
        parser = MultipartParser(boundary, {
            "on_part_begin": form.begin, "on_part_data": form.data, "on_header_field": form.header_name,
            "on_header_value": form.header_value, "on_header_end": form.header_end,
            "on_headers_finished": form.headers_finished, "on_end": form.end,
        })
        async for chunk in chunks:
            parser.write(chunk)
    except MultipartParseError:
        raise broken from None
    if not form.whole:
        raise broken
    for name, value in form.parts:
        if name in upload.files or name in upload.fields:
            raise refuse(422, f"one {name[:40]}", "several", "send each field once")
        if name in _FILES:
            upload.files[name] = bytes(value)
        else:
            upload.fields[name] = _typed(value.decode("utf-8", "replace"))


def _typed(text: str) -> str | bool | int:
    """What JSON would have said: a form has only text."""
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"-?[0-9]{1,15}", text) else text


def _take_json(body: bytes, upload: Upload) -> None:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise refuse(400, "a JSON object", "something else", "send {\"photo\": \"<base64>\"}") from None
    if not isinstance(fields, dict):
        raise refuse(422, "a JSON object", f"a {type(fields).__name__}", "send {\"photo\": \"<base64>\"}")
    for name in _FILES:
        if name in fields:
            value = fields.pop(name)
            try:
                upload.files[name] = base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError, TypeError):
                raise refuse(422, f"{name} in base64", "something else", "encode the file's bytes") from None
    upload.fields = fields
