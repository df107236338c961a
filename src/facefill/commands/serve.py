"""`facefill serve`: the page and the REST API."""

import logging
import os
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from facefill.commands.options import Device, Exact, Sign, Threads, need
from facefill.errors import InputError


def serve(
    host: Annotated[str, Option(help="Where to listen. Anything but this machine asks for --token.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    token: Annotated[
        str | None,
        Option(
            envvar="FACEFILL_TOKEN",
            help="The secret that clients must send as Authorization: Bearer. Better set in FACEFILL_TOKEN: others on "
            "this machine can read a command line.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None, Option(help="A host name under which a proxy offers the page; may be given again.")
    ] = None,
    root_path: Annotated[
        str, Option("--root-path", help="The path under which a proxy offers the server, such as /faces.")
    ] = "",
    max_mb: Annotated[int, Option(min=1, max=200, help="Largest upload, in megabytes.")] = 40,
    max_megapixels: Annotated[int, Option(min=1, max=100, help="Largest photo, in megapixels.")] = 50,
    waiting: Annotated[int, Option(min=1, help="Number of requests that may wait.")] = 64,
    device: Device = "cpu",
    threads: Threads = None,
    exact: Exact = False,
    sign: Sign = None,
    log: Annotated[
        Path | None,
        Option(help="Write the log to this file instead of stderr. It never contains a photo or a file name."),
    ] = None,
) -> None:
    """Serve the page and the REST API; nothing leaves this machine (needs the extra `serve`)."""
    need("serve", "starlette", "uvicorn", "python_multipart", "prometheus_client", "websockets")
    from facefill.commands.output import open_signature
    from facefill.server.settings import Settings, check_reach

    settings = Settings(
        host=host,
        port=port,
        token=token,
        names=tuple(name or ()),
        root_path=root_path,
        device=device,
        threads=threads,
        exact=exact,
        max_bytes=max_mb * 1_000_000,
        max_pixels=max_megapixels * 1_000_000,
        most_waiting=waiting,
        most_bytes=max(400_000_000, 4 * max_mb * 1_000_000),
        signature=open_signature(sign),
    )
    check_reach(settings)
    _run(settings, log)


def _run(settings: Any, log: Path | None) -> None:
    # NumPy reads it when it is imported. Its threads spin while they wait, and take a sixth of the processors' time
    # from the networks; no matrix here is large enough to need them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import uvicorn

    from facefill.server.app import build_app
    from facefill.server.guard import connections_that_time_out
    from facefill.server.live import MOST_BYTES

    _keep_memory_down()
    handler = logging.FileHandler(log) if log else logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("uvicorn")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    protocol: Any = connections_that_time_out(settings.quiet_s)
    server = uvicorn.Server(
        uvicorn.Config(
            build_app(settings),
            host=settings.host,
            port=settings.port,
            http=protocol,
            ws="websockets-sansio",
            ws_max_size=MOST_BYTES,
            ws_per_message_deflate=False,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=int(settings.quiet_s),
            timeout_graceful_shutdown=int(settings.grace_s),
            log_config=None,
        )
    )
    try:
        server.run()
    except SystemExit:
        if server.started:
            raise
        fix = "choose another with --port, or --port 0"
        raise InputError(f"a free port at {settings.host}:{settings.port}", "one that cannot be opened", fix) from None


def _keep_memory_down() -> None:
    """Two heaps: glibc otherwise keeps up to eight for each processor, and what decoded photos leave behind in them."""
    import ctypes
    import sys

    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(-8, 2)  # M_ARENA_MAX
