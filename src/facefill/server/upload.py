"""Read request bodies into memory that is counted, never onto disk: multipart forms, and JSON with base64.

Web frameworks spool large parts of a form into temporary files, and take a part without a file name for text; nobody's
photo may lie on a disk, and many clients name no file.
"""

import asyncio
import binascii
import io
import json
import re
import threading
from collections.abc import AsyncIterator, Collection
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from facefill.choices import pick
from facefill.errors import InputError, TooLarge
from facefill.server.errors import Refused
from facefill.server.settings import Settings

FILES = ("photo", "mask")
_MOST_TEXT_BYTES = 1000
"""Longest field other than a file, and longest header of a part."""
_MOST_SEPARATORS = 100
"""Commas and brackets of a JSON body: each may stand for an object, which takes 20 times its bytes."""


class UploadMemory:
    """Counts the bytes of all uploads in memory; whoever ends a request returns its share."""

    def __init__(self, most: int) -> None:
        self._most, self.taken, self._lock = most, 0, threading.Lock()

    def take(self, count: int) -> None:
        """Raises Refused (503) where there is no room."""
        with self._lock:
            if self.taken + count > self._most:
                raise Refused(503, "room for the upload", "a server full of photos", "send it again later", 5)
            self.taken += count

    def give_back(self, count: int) -> None:
        with self._lock:
            self.taken -= count


class Upload:
    """What a request carries: the files' bytes and the other fields, and the memory counted for it."""

    def __init__(self, memory: UploadMemory) -> None:
        self.files: dict[str, bytes] = {}
        self.fields: dict[str, Any] = {}
        self.is_form = True
        self.memory, self._taken = memory, 0

    def count(self, size: int) -> None:
        """Add bytes to what is counted for it. Raises Refused (503)."""
        self.memory.take(size)
        self._taken += size

    def release(self) -> None:
        """Forget the files. May be called again."""
        self.files = {}
        taken, self._taken = self._taken, 0
        self.memory.give_back(taken)


async def read_upload(request: Request, memory: UploadMemory, settings: Settings, names: Collection[str]) -> Upload:
    """The body of a request. names: the fields that it may have.

    Raises InputError for another field, Refused for a body that is malformed (400), too slow (408), too large (413) or
    of another kind (415).
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > _most(settings):
        raise _too_large(settings)
    upload = Upload(memory)
    try:
        chunks = _chunks(request, upload, settings)
        if kind == b"multipart/form-data" and options.get(b"boundary"):
            await _read_form(chunks, options[b"boundary"], upload, names)
        elif kind == b"application/json":
            body = bytearray()
            async for chunk in chunks:
                body += chunk
            await asyncio.to_thread(_take_json, body, upload, names)
        else:
            fix = "send the photo as the form field `photo`"
            raise Refused(415, "multipart/form-data or application/json", kind.decode("latin-1")[:80] or "no type", fix)
        for name, data in upload.files.items():
            if len(data) > settings.max_bytes:
                raise TooLarge(f"at most {settings.max_bytes:,} bytes", f"{len(data):,} in {name}", "shrink it")
    except BaseException:
        upload.release()
        raise
    return upload


def _most(settings: Settings) -> int:
    """Most bytes of a body: photo and mask in base64, and the rest."""
    return settings.max_bytes * 2 + 100_000


def _too_large(settings: Settings) -> TooLarge:
    return TooLarge(f"at most {_most(settings):,} bytes", "more", "shrink the photo, or raise --max-mb")


async def _chunks(request: Request, upload: Upload, settings: Settings) -> AsyncIterator[bytes]:
    """The pieces of the body, counted and timed."""
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
        raise Refused(408, "an upload without long pauses", "none that ended in time", "send it again") from None
    except ClientDisconnect:
        raise Refused(400, "a whole upload", "one that broke off", "send it again") from None


class _Form:
    """The parts of a form as they come. Its methods are the parser's callbacks; they raise InputError."""

    def __init__(self, names: Collection[str]) -> None:
        self.parts: dict[str, io.BytesIO] = {}
        self.whole = False
        self._names, self._name = names, ""
        self._header = self._value = self._disposition = b""

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._disposition, self._name = b"", options.get(b"name", b"").decode("utf-8", "replace")
        pick(dict.fromkeys(self._names), self._name[:40], "field")
        if self._name in self.parts:
            raise InputError(f"one {self._name}", "several", "send each field once")
        self.parts[self._name] = io.BytesIO()

    def data(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[self._name]
        if self._name not in FILES and part.tell() + end - start > _MOST_TEXT_BYTES:
            raise InputError(f"a short {self._name}", f"over {_MOST_TEXT_BYTES} bytes", "shorten it")
        part.write(data[start:end])

    def end(self) -> None:
        self.whole = True


async def _read_form(chunks: AsyncIterator[bytes], boundary: bytes, upload: Upload, names: Collection[str]) -> None:
    form, problem = _Form(names), None
    broken = Refused(400, "a whole multipart form", "a broken or empty one", "let a library build it")
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_data": form.data,
                "on_header_field": form.header_name,
                "on_header_value": form.header_value,
                "on_header_end": form.header_end,
                "on_headers_finished": form.headers_finished,
                "on_end": form.end,
            },
            max_header_size=_MOST_TEXT_BYTES,
        )
        async for chunk in chunks:  # also after a problem: the client, which is still sending, gets to read what it was
            try:
                if not problem:
                    parser.write(chunk)
            except InputError as error:
                problem = error
    except FormParserError:
        raise broken from None
    if problem:
        raise problem
    if not form.whole:
        raise broken
    for name, part in form.parts.items():
        if name in FILES:
            upload.files[name] = part.getvalue()
        else:
            upload.fields[name] = _typed(part.getvalue().decode("utf-8", "replace"))


def _typed(text: str) -> str | bool | int:
    """What JSON would have said: a form has only text, in which each language writes true and false its own way."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if re.fullmatch(r"-?[0-9]{1,15}", text) else text


def _take_json(body: bytearray, upload: Upload, names: Collection[str]) -> None:
    """Parse a body and empty it. What parsing takes beside it is counted as well."""
    upload.is_form = False
    malformed = Refused(400, "a flat JSON object in ASCII", "something else", 'send {"photo": "<base64>"}')
    if not body.isascii() or sum(body.count(sign) for sign in (b",", b"[", b"{")) > _MOST_SEPARATORS:
        raise malformed
    # The text, its strings and their bytes; one escaped character may make every character of a string take four.
    beside = len(body) * (8 if b"\\u" in body else 2)
    upload.memory.take(beside)
    try:
        text = body.decode("ascii")
        body.clear()
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            raise malformed from None
        del text
        if not isinstance(fields, dict):
            raise Refused(422, "a JSON object", f"a {type(fields).__name__}", 'send {"photo": "<base64>"}')
        upload.fields = fields
        for name in upload.fields:
            pick(dict.fromkeys(names), name[:40], "field")
        for name in FILES:
            if name in upload.fields:
                upload.files[name] = _decode_base64(name, upload.fields.pop(name))
    finally:
        upload.memory.give_back(beside)


def _decode_base64(name: str, text: object) -> bytes:
    """Plain base64, base64 in lines, or a data URL."""
    wrong = InputError(f"{name} in base64", "something else", "encode the file's bytes")
    if not isinstance(text, str):
        raise wrong
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise wrong
    data = text.encode("ascii", "replace")
    try:
        try:
            return binascii.a2b_base64(data, strict_mode=True)
        except binascii.Error:
            data = data.translate(None, b" \t\r\n")
            return binascii.a2b_base64(data, strict_mode=True)
    except binascii.Error:
        raise wrong from None
