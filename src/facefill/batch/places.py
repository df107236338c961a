"""Which folder a path or a URL names."""

from __future__ import annotations

from pathlib import Path

from facefill.batch.bucket import Bucket
from facefill.batch.folder import Folder, LocalFolder


def is_url(place: str) -> bool:
    """Whether it names a place that fsspec opens, rather than a path: s3://bucket/photos."""
    scheme, colon, _ = place.partition("://")
    return bool(colon) and scheme != "file"


def local_path(place: str) -> Path:
    """The path that a place names, file:// or plain."""
    return Path(place.removeprefix("file://"))


def open_folder(place: str, without: str | None = None) -> Folder:
    """The folder at a path or a URL. without: a place in it that is not listed.

    Raises InputError where fsspec, or what it needs for that kind of URL, is missing.
    """
    if is_url(place):
        return Bucket(place, without if without and is_url(without) else None)
    leave = local_path(without).resolve() if without and not is_url(without) else None
    return LocalFolder(local_path(place).resolve(), leave)
