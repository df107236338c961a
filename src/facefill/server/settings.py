"""The settings of a server: where it listens, who may use it, and its limits."""

import ipaddress
import re
from contextlib import suppress

from pydantic import Field

from facefill.config import Frozen
from facefill.errors import InputError
from facefill.files.provenance import Signature


class Settings(Frozen):
    """All limits are checked before anything is decoded."""

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    """What requests must carry as `Authorization: Bearer`, None for no such rule."""
    names: tuple[str, ...] = ()
    """Host names, beside this machine's own, under which browsers may call it (that of a proxy, for example)."""
    root_path: str = ""
    """The path under which a proxy offers the server, such as /faces; empty for none."""
    device: str = "cpu"
    threads: int | None = None
    exact: bool = False
    signature: Signature | None = Field(default=None, repr=False)
    """Signs a C2PA manifest of each completion."""
    max_bytes: int = 40_000_000
    """Largest upload."""
    max_pixels: int = 50_000_000
    """Largest photo."""
    most_waiting: int = 64
    """Most requests in the queue; further ones are told to try again later."""
    most_bytes: int = 400_000_000
    """Memory of all uploads at one time."""
    quiet_s: float = 10.0
    """Longest silence, in seconds, during an upload or before a request."""
    upload_s: float = 120.0
    """Longest time for one upload."""
    answer_s: float = 120.0
    """Longest time for taking one piece of an answer."""
    grace_s: float = 120.0
    """Seconds that a stopping server has to finish its requests."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address always means the machine itself."""
    address = address_of(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a host is; None for a name."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]"))
    return None


def check_reach(settings: Settings) -> None:
    """Raises InputError for a server that others could reach and nobody guards, and for a root path that is none."""
    if settings.root_path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", settings.root_path):
        raise InputError("a --root-path such as /faces", settings.root_path, "begin with / and end without")
    if not settings.is_local and not settings.token:
        fix = "give one (or set FACEFILL_TOKEN), or keep 127.0.0.1 and put a proxy before it: docs/serve.md"
        raise InputError(f"a --token with --host {settings.host}", "none", fix)
    if settings.token is not None and (
        len(settings.token) < 16 or not settings.token.isascii() or not settings.token.isprintable()
    ):
        got = f"{len(settings.token)} characters"
        fix = "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
        raise InputError("a --token of at least 16 printable ASCII characters", got, fix)
