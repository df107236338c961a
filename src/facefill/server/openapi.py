"""The OpenAPI 3.1 description of the API, made from the records of `schema.py`."""

from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter

from facefill import __version__
from facefill.catalog import usable
from facefill.server import schema
from facefill.server.schema import KINDS, DetectOptions, Options

Json = dict[str, Any]

_ERRORS = {
    400: "The request is malformed, or calls the server by a foreign name.",
    401: "The server asks for a token.",
    403: "The request comes from another site's page.",
    408: "The upload was too slow.",
    413: "Over a limit: bytes, or pixels.",
    415: "Not a photo, or a body of another kind.",
    422: "Something that you can fix: what was expected, what came, what to do.",
    429: "The queue is full; come again after Retry-After seconds.",
    500: "A fault of the server.",
    503: "The server stops, or its memory is full; come again after Retry-After seconds.",
}
_WORK = {
    "/v1/detect": "Find faces and what covers them",
    "/v1/unmask": "Take the covers off all faces",
    "/v1/complete": "Complete what a mask names",
}
_FILES = {"photo": "The photo's file.", "mask": "A picture of the photo's size: white or opaque = missing."}
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsVwqiAAAAABJRU5ErkJggg=="
"""A PNG of one white pixel: a well-formed value for the examples, on which there is no face."""
_FACE = {
    "box": [110.0, 60.0, 250.0, 250.0],
    "score": 0.93,
    "covers": ["mask"],
    "warnings": [],
    "cut": False,
    "landmarks": [[148.0, 130.0], [212.0, 131.0], [180.0, 165.0], [155.0, 200.0], [206.0, 201.0]],
    "cover": {"x": 120, "y": 140, "width": 118, "height": 100, "png": _PIXEL},
}
_PICTURE = {
    "width": 512,
    "height": 512,
    "format": "JPEG",
    "faces": [_FACE],
    "warnings": [],
    "preview": None,
    "timings_ms": {"waiting": 0.4, "looking": 42.1, "completing": 31.0, "writing": 6.2},
}
_EXAMPLES: dict[str, Any] = {
    "Detected": _PICTURE,
    "Completed": _PICTURE
    | {
        "photo": _PIXEL,
        "media_type": "image/jpeg",
        "mask": _PIXEL,
        "method": "swift",
        "seed": 0,
        "weights_sha256": "0" * 64,
        "samples": [],
        "spread": None,
        "sample_distance": None,
        "invented": "What was hidden is invented: it shows what could be there, and is no evidence of anyone's "
        "identity.",
    },
    "Health": {"status": "ok", "version": __version__, "waiting": 0, "working": 0},
    "Progress": {"stage": "completing", "ahead": 0, "wait_s": 0.0},
    "Failure": {
        "error": {
            "expected": "a photo with a face",
            "got": "none in it",
            "fix": "mark the hole yourself",
            "message": "expected a photo with a face, got none in it: mark the hole yourself",
        }
    },
}


@cache
def document(root_path: str = "") -> Json:
    """The description, ready to be sent as JSON. root_path: under which a proxy offers the server."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "facefill",
            "version": __version__,
            "license": {"name": "Apache-2.0"},
            "description": "Completes the hidden part of faces in photos. Photos are worked on in memory, never "
            "stored, never logged. What was hidden is invented and is no evidence of anyone's identity.",
        },
        "servers": [{"url": root_path or "/"}],
        "paths": {
            **{path: {"post": _work(path, summary)} for path, summary in _WORK.items()},
            "/v1/progress/{name}": {"get": _progress()},
            "/v1/methods": {
                "get": _get(
                    "methods",
                    "Which methods there are",
                    {"application/json": {"schema": {"type": "array", "items": _ref("Method")}}},
                )
            },
            "/v1/health": {"get": _get("health", "Whether it works", _json("Health"), guarded=False)},
            "/v1/metrics": {
                "get": _get("metrics", "Counters for Prometheus", {"text/plain": {"schema": {"type": "string"}}})
            },
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Only where the server was started with one.",
                }
            },
        },
    }


def _schemas() -> Json:
    kinds: list[type[BaseModel]] = [
        schema.Detected,
        schema.Completed,
        schema.Method,
        schema.Health,
        schema.Progress,
        schema.Failure,
    ]
    found: Json = {}
    for kind in kinds:
        one = TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
        found |= one.pop("$defs", {})
        found[kind.__name__] = one
    for path, (options, files) in KINDS.items():
        found[f"{_name(path)}Form"] = _body(options, files, binary=True)
        found[f"{_name(path)}Json"] = _body(options, files, binary=False)
    return found


def _name(path: str) -> str:
    return path.rpartition("/")[2].capitalize()


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(name: str) -> Json:
    return {"application/json": {"schema": _ref(name), "example": _EXAMPLES[name]}}


def _failures(*statuses: int) -> Json:
    retry = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return {
        str(status): {
            "description": _ERRORS[status],
            "content": _json("Failure"),
            **({"headers": retry} if status in (429, 503) else {}),
        }
        for status in statuses
    }


def _get(name: str, summary: str, content: Json, *, guarded: bool = True) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": "Yes.", "content": content},
            **_failures(400, 403),
            **(_failures(401) if guarded else {}),
        },
        **({"security": [{}, {"token": []}]} if guarded else {}),
    }


def _progress() -> Json:
    return _get("progress", "How far a request is", _json("Progress")) | {
        "parameters": [
            {
                "name": "name",
                "in": "path",
                "required": True,
                "schema": {"type": "string"},
                "example": "f3b9c1d2-57aa-4f0e",
                "description": "What the request under way carries as Facefill-Job: 16 to 64 letters, digits, - and _.",
            }
        ],
        "responses": {
            "200": {"description": "Under way.", "content": _json("Progress")},
            "404": {"description": "No such request.", "content": _json("Failure")},
            **_failures(400, 401, 403),
        },
    }


def _work(path: str, summary: str) -> Json:
    options, _ = KINDS[path]
    completes = options is not DetectOptions
    content = _json("Completed" if completes else "Detected")
    if completes:
        content |= {
            name: {"schema": {"type": "string", "format": "binary"}}
            for name in ("image/jpeg", "image/png", "image/webp", "image/avif", "image/tiff", "image/bmp")
        }
    extra = {
        "Facefill-Warnings": {"description": "JSON list, with a picture.", "schema": {"type": "string"}},
        "Facefill-Invented": {"description": "The honest sentence, with a picture.", "schema": {"type": "string"}},
        "Server-Timing": {"description": "Milliseconds by stage, with a picture.", "schema": {"type": "string"}},
    }
    chosen = (
        (
            " Accept: application/json answers JSON, image/* the picture. Without either a form is answered with the "
            "picture, JSON with JSON."
        )
        if completes
        else ""
    )
    example: Json = dict.fromkeys(KINDS[path][1], _PIXEL) | ({"method": "swift", "seed": 0} if completes else {})
    return {
        "operationId": path.rpartition("/")[2],
        "summary": summary,
        "description": summary + "." + chosen,
        "parameters": [
            {
                "name": "Facefill-Job",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{16,64}$"},
                "description": "A name of your choice, to ask for progress by.",
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": _ref(f"{_name(path)}Form")},
                "application/json": {"schema": _ref(f"{_name(path)}Json"), "example": example},
            },
        },
        "responses": {
            "200": {"description": "Done.", "content": content, **({"headers": extra} if completes else {})},
            **_failures(400, 401, 403, 408, 413, 415, 422, 429, 500, 503),
        },
        "security": [{}, {"token": []}],
    }


def _body(kind: type[Options], names: tuple[str, ...], *, binary: bool) -> Json:
    body = TypeAdapter(kind).json_schema()
    file = (
        {"type": "string", "format": "binary"}
        if binary
        else {
            "type": "string",
            "contentEncoding": "base64",
            "minLength": 4,
            "pattern": "^(data:[^,]*;base64,)?(\\s*[A-Za-z0-9+/]){2,}[\\sA-Za-z0-9+/]*[=\\s]*$",
        }
    )
    files = {name: file | {"description": _FILES[name]} for name in names}
    if "method" in body["properties"]:
        body["properties"]["method"]["enum"] = usable()
        body["properties"]["format"] = {
            "enum": ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP"] + ([] if binary else [None]),
            "description": body["properties"]["format"]["description"],
        }
    return {
        "type": "object",
        "properties": files | body["properties"],
        "required": list(files),
        "additionalProperties": False,
    }
