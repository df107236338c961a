"""A folder in a bucket, or wherever else fsspec reaches: s3://, gs://, az://, sftp:// ..."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from facefill.batch.folder import EVERYTHING, MANIFEST, STATE, ListedFile, LocalFolder, Selection
from facefill.errors import InputError

T = TypeVar("T")

OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "memory"}
"""Here an upload of any size appears when it is complete. Elsewhere a file is written beside and moved."""
TRIES = 4
PAUSE_S = 0.3
"""Before the second try; each further pause is three times as long."""
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_CHANGES = ("ETag", "etag", "md5Hash", "generation", "LastModified", "last_modified", "updated", "mtime", "created")


class Bucket:
    """A folder that fsspec reaches, with the methods of `LocalFolder`. without: a URL whose files are not listed."""

    def __init__(self, url: str, without: str | None = None) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise InputError(f"fsspec, to open {url}", "no such package", "pip install 'facefill[s3]'") from None
        try:
            self.fs, root = url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            fix = "pip install 'facefill[s3]', or the package that it names"
            raise InputError(f"the package that opens {url}", str(error), fix) from None
        except ValueError as error:
            raise InputError("a URL that fsspec knows", f"{url} ({error})", "for example s3://bucket/folder") from None
        self.url, self.root = url, root.rstrip("/")
        protocol = self.fs.protocol
        self.kinds = {protocol} if isinstance(protocol, str) else set(protocol)
        self._without = url_to_fs(without)[1].rstrip("/") + "/" if without else None

    def __str__(self) -> str:
        return self.url

    def path(self, name: str) -> str:
        """What fsspec calls the file."""
        return f"{self.root}/{name}"

    def entries(self, select: Selection, missed: Callable[[], None] = lambda: None) -> Iterator[ListedFile]:
        start = len(self.root) + 1
        for about in self._pages() if self.kinds & {"s3", "s3a"} else self._walk():
            whole = str(about["name"])
            name = whole[start:]
            hidden = name.startswith(f"{STATE}/") or (self._without and whole.startswith(self._without))
            if not hidden and select.misses(name):
                missed()
            elif not hidden and select.takes(name):
                change = next((about[key] for key in _CHANGES if about.get(key)), "")
                yield ListedFile(name, int(about["size"] or 0), f"{about['size']}-{change}")

    def _pages(self) -> Iterator[dict[str, Any]]:
        """Files of S3: a thousand at a time, so that a bucket of any size takes the same memory."""
        bucket, _, prefix = self.root.partition("/")
        more: dict[str, str] = {}
        while True:
            ask = partial(self.fs.call_s3, "list_objects_v2", Bucket=bucket, Prefix=f"{prefix}/" if prefix else "")
            page = self._ask("list", self.root, partial(ask, **more))
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):  # the mark of an empty folder
                    yield {"name": f"{bucket}/{item['Key']}", "size": item["Size"], "ETag": item.get("ETag")}
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _walk(self) -> Iterator[dict[str, Any]]:
        """Files of other stores: one folder at a time."""
        waiting = [self.root]
        while waiting:
            inside = waiting.pop()
            try:
                found = self._ask("list", inside, partial(self.fs.ls, inside, detail=True))
            except _Absent:
                continue
            for about in found:
                if about["type"] == "directory":
                    waiting.append(about["name"])
                elif about["name"].rstrip("/") != inside:
                    yield about

    def has(self, name: str) -> bool:
        return bool(self._ask("look at", name, lambda: self.fs.exists(self.path(name))))

    def read(self, name: str) -> bytes:
        return bytes(self._ask("read", name, lambda: self.fs.cat_file(self.path(name))))

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file that may be larger than memory; none where there is no such file."""
        if self.has(name):
            with self._ask("read", name, lambda: self.fs.open(self.path(name), "rb")) as file:
                yield from file

    def write(self, name: str, data: bytes) -> None:
        self._whole(name, lambda path: self.fs.pipe_file(path, data))

    def upload(self, name: str, path: Path) -> None:
        """Put a file of this machine there; in parts where it is large, and whole or not at all."""
        self._whole(name, lambda target: self.fs.put_file(str(path), target))

    def _whole(self, name: str, put: Callable[[str], object]) -> None:
        target = self.path(name)
        if self.kinds & OBJECT_STORES:
            self._ask("write", name, lambda: put(target))
            return
        beside = self.path(f"{STATE}/{secrets.token_hex(8)}.part")

        def move() -> None:
            self.fs.makedirs(beside.rpartition("/")[0], exist_ok=True)
            self.fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            put(beside)
            self.fs.mv(beside, target)

        self._ask("write", name, move)

    def create(self, name: str, data: bytes) -> bool:
        """Make a file; False where there is one already. Two who try at once do not both succeed on S3 and memory."""
        try:
            self.fs.pipe_file(self.path(name), data, mode="create")
        except FileExistsError:
            return False
        except Exception as error:
            raise self._failed("write", name, error) from error
        return True

    def remove(self, name: str) -> None:
        with suppress(_Absent):
            self._ask("remove", name, lambda: self.fs.rm_file(self.path(name)))

    def other_file(self) -> str:
        if self.has(MANIFEST) or self.list_state(""):
            return ""
        return next((entry.name for entry in self.entries(EVERYTHING)), "")

    def list_state(self, inside: str) -> list[str]:
        """The names in one of facefill's own folders in `STATE`, sorted."""
        try:
            found = self._ask("list", inside, lambda: self.fs.ls(self.path(f"{STATE}/{inside}"), detail=False))
        except _Absent:
            return []
        start = len(self.root) + 1
        return sorted(path[start:] for path in found)

    def _ask(self, verb: str, name: str, call: Callable[[], T]) -> T:
        """What the store answers, asked again after what may pass. Raises InputError for what does not."""
        for attempt in range(TRIES):
            try:
                return call()
            except Exception as error:  # each store has its own; all of them end as an InputError
                if attempt == TRIES - 1 or isinstance(error, _LASTING):
                    raise self._failed(verb, name, error) from error
                time.sleep(PAUSE_S * 3**attempt)
        raise AssertionError("unreachable")

    def _failed(self, verb: str, name: str, error: Exception) -> InputError:
        kind = _Absent if isinstance(error, FileNotFoundError) else InputError
        fix = "check the address, the rights and the network, then run again"
        return kind(f"to {verb} {name} in {self.url}", str(error) or type(error).__name__, fix)


class _Absent(InputError):
    """There is no such thing in the bucket."""


Folder = LocalFolder | Bucket
"""Where photos come from or go to."""
