"""The routes: from an HTTP request to a job in the queue, and its answer back."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from facefill import __version__
from facefill.catalog import describe, usable
from facefill.errors import InputError
from facefill.server.errors import Refused, error_response
from facefill.server.guard import Guard
from facefill.server.jobs import PhotoRequest
from facefill.server.live import Live
from facefill.server.openapi import document
from facefill.server.queue import RequestQueue, open_queue
from facefill.server.schema import KINDS, CompleteOptions, DetectOptions, Options, build_options, can_vary
from facefill.server.settings import Settings
from facefill.server.telemetry import Metrics
from facefill.server.upload import Upload, UploadMemory, read_upload

_PAGE_TYPES = {
    "html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml", "jpg": "image/jpeg",
}  # fmt: skip
_JOB_NAME = re.compile(r"[A-Za-z0-9_-]{16,64}")


class Service:
    """One server: its queue, its limits and its current requests."""

    def __init__(self, settings: Settings, open_with: Callable[[Settings, Metrics], RequestQueue] = open_queue) -> None:
        self.settings, self.metrics = settings, Metrics()
        self.memory = UploadMemory(settings.most_bytes)
        self.queue = open_with(settings, self.metrics)
        self.live = Live(settings, self.queue.inpainter())
        self.stopping = False
        self._named: dict[str, PhotoRequest | None] = {}
        """Current requests by the name that their client gave them; None while they upload."""
        self.metrics.watch("waiting", "Requests in the queue.", self.queue.waiting)
        self.metrics.watch("working", "Threads at work.", self.queue.working)
        self.metrics.watch("live", "Cameras.", lambda: self.live.count)
        self.metrics.watch("upload_bytes", "Bytes of uploads in memory.", lambda: self.memory.taken)

    # ---- photos

    async def work(self, request: Request) -> Response:
        """`/v1/detect`, `/v1/unmask` and `/v1/complete`."""
        name = request.headers.get("facefill-job")
        if name is not None:
            if not _JOB_NAME.fullmatch(name):
                raise InputError("a Facefill-Job of 16 to 64 letters, digits, - and _", "another", "draw one at random")
            if name in self._named:
                raise InputError("a Facefill-Job of this request alone", "one in use", "draw one at random")
            self._named[name] = None
        try:
            kind, files = KINDS[request.scope["path"]]
            upload = await read_upload(request, self.memory, self.settings, (*files, *kind.model_fields))
            try:
                job = _build_job(request, upload, kind, files)
                self.queue.put(job)
            except BaseException:
                upload.release()
                raise
            if name is not None:
                self._named[name] = job
            return await self._answer(request, job)
        finally:
            if name is not None:
                del self._named[name]

    async def _answer(self, request: Request, job: PhotoRequest) -> Response:
        answer = asyncio.wrap_future(job.answer)
        gone: asyncio.Future[Any] = asyncio.ensure_future(_wait_until_gone(request))
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                job.gone = True
                self.metrics.gone.inc()
                return Response(status_code=499)
            return answer.result()
        finally:
            gone.cancel()
            job.gone = True

    # ---- words

    async def methods(self, request: Request) -> Response:
        here = set(usable())
        return JSONResponse(
            [row | {"usable": row["name"] in here, "varies": can_vary(row["name"])} for row in describe()]
        )

    async def health(self, request: Request) -> Response:
        status, waiting, working = "stopping" if self.stopping else "ok", self.queue.waiting(), self.queue.working()
        return JSONResponse({"status": status, "version": __version__, "waiting": waiting, "working": working})

    async def progress(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._named:
            fix = "name it in the header Facefill-Job when you send it"
            raise Refused(404, "a request that is being worked on", "none of that name", fix)
        job = self._named[name]
        if job is None:
            return JSONResponse({"stage": "uploading", "ahead": 0, "wait_s": 0.0})
        ahead = self.queue.ahead(job)
        stage = "writing" if job.stage == "done" else job.stage
        return JSONResponse({"stage": stage, "ahead": ahead, "wait_s": self.queue.wait_s(ahead)})

    async def counts(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(document(self.settings.root_path))

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        self.stopping = True
        await asyncio.to_thread(self.queue.close)


def _build_job(request: Request, upload: Upload, kind: type[Options], files: tuple[str, ...]) -> PhotoRequest:
    """Raises InputError if a file is missing or a field is wrong."""
    for name in files:
        if not upload.files.get(name):
            raise InputError(f"the file {name}", "none", f"send it as the field `{name}`")
    options = build_options(kind, upload.fields)
    accepted = request.headers.get("accept", "*/*").lower()
    asks_json, asks_picture = "application/json" in accepted, "image/" in accepted
    as_json = kind is DetectOptions or asks_json or not (asks_picture or upload.is_form)
    if isinstance(options, CompleteOptions) and options.samples > 1 and not as_json:
        raise InputError("Accept: application/json with several samples", accepted[:80], "ask for JSON or for 1 sample")
    return PhotoRequest(upload, options, as_json)


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def read_page() -> dict[str, tuple[bytes, str]]:
    """The built page: (content, type) by path. Read once, so that no path of a request ever reaches the disk."""
    folder = files("facefill") / "server" / "page"
    found = {}
    for part in (folder, folder / "assets"):
        if not part.is_dir():
            continue
        for entry in part.iterdir():
            suffix = entry.name.rpartition(".")[2]
            if suffix in _PAGE_TYPES and entry.name != "sw.js":  # that is for `facefill page`
                name = entry.name.removesuffix(".html") if suffix == "html" else entry.name
                path = "/" + ("" if name == "index" else name if part is folder else f"assets/{name}")
                content = entry.read_bytes()
                if name == "index" and find_spec("pillow_heif") is None:
                    content = content.replace(b", HEIC", b"")
                found[path] = content, _PAGE_TYPES[suffix]
    return found


def _page_route(path: str, content: bytes, media_type: str) -> Route:
    lasting = {"Cache-Control": "public, max-age=31536000, immutable" if path.startswith("/assets/") else "no-cache"}

    async def show(request: Request) -> Response:
        return Response(content, 200, lasting, media_type)

    return Route(path, show)


async def _on_error(request: Request, error: Any) -> Response:
    if isinstance(error, InputError):
        return error_response(error)
    if not isinstance(error, HTTPException):
        return error_response(Refused(500, "an answer", "a fault of the server", "look at its log, and report it"))
    what = {404: ("a path of this server", "another one"), 405: ("another HTTP method", request.method)}
    expected, got = what.get(error.status_code, (error.detail, request.method))
    response = error_response(Refused(error.status_code, expected, got, "look at /docs"))
    response.headers.update(error.headers or {})
    return response


def build_app(settings: Settings, service: Service | None = None) -> Starlette:
    """The whole application. Raises InputError where weights or the device are missing."""
    service = service or Service(settings)
    page = read_page()
    words = {
        "/v1/methods": service.methods,
        "/v1/health": service.health,
        "/v1/metrics": service.counts,
        "/v1/openapi.json": service.openapi,
        "/v1/progress/{name}": service.progress,
    }
    routes: list[BaseRoute] = [Route(path, service.work, methods=["POST"]) for path in KINDS]
    routes.append(WebSocketRoute("/v1/live", service.live.serve))
    routes += [Route(path, endpoint, methods=["GET"]) for path, endpoint in words.items()]
    routes += [_page_route(path, *entry) for path, entry in page.items()]
    paths = frozenset([*KINDS, *words, *page])
    guard = Middleware(Guard, settings=settings, metrics=service.metrics, paths=paths)
    errors: Any = dict.fromkeys((InputError, HTTPException, Exception), _on_error)
    return Starlette(routes=routes, lifespan=service.lifespan, middleware=[guard], exception_handlers=errors)
