"""The OpenAPI 3.1 description of the API, made from the records of `schema.py`."""

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from facefill import __version__
from facefill.catalog import usable
from facefill.config import read_toml
from facefill.server import schema
from facefill.server.schema import KINDS, DetectOptions, Options

Json = dict[str, Any]

_WORDS = read_toml(Path(__file__).with_suffix(".toml"))
_EXAMPLES: dict[str, Json] = _WORDS["examples"]
_EXAMPLES["Completed"] = _EXAMPLES["Detected"] | _EXAMPLES["Completed"]


@cache
def document(root_path: str = "") -> Json:
    """The description, ready to be sent as JSON. root_path: under which a proxy offers the server."""
    return {
        "openapi": "3.1.0",
        "info": _WORDS["info"] | {"version": __version__},
        "servers": [{"url": root_path or "/"}],
        "paths": {
            **{path: {"post": _work(path, summary)} for path, summary in _WORDS["work"].items()},
            **{path: {"get": _get(path, said)} for path, said in _WORDS["get"].items()},
        },
        "components": {"schemas": _schemas(), "securitySchemes": {"token": _WORDS["token"]}},
    }


def _schemas() -> Json:
    found: Json = {}
    for kind in (schema.Detected, schema.Completed, schema.Method, schema.Health, schema.Progress, schema.Failure):
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
            "description": _WORDS["errors"][str(status)],
            "content": _json("Failure"),
            **({"headers": retry} if status in (429, 503) else {}),
        }
        for status in statuses
    }


def _get(path: str, said: Json) -> Json:
    done = {"description": said["description"], "content": said.get("content") or _json(said["record"])}
    return {
        "operationId": path.split("/")[2],
        "summary": said["summary"],
        "responses": {"200": done, **_failures(*said["failures"])},
        **({"security": [{}, {"token": []}]} if 401 in said["failures"] else {}),
        **({"parameters": [_WORDS["parameters"]["name"]]} if "{name}" in path else {}),
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
    extra = {name: {"description": said, "schema": {"type": "string"}} for name, said in _WORDS["headers"].items()}
    chosen = _WORDS["completes"] if completes else ""
    pixel = _EXAMPLES["Completed"]["photo"]
    example: Json = dict.fromkeys(KINDS[path][1], pixel) | ({"method": "swift", "seed": 0} if completes else {})
    return {
        "operationId": path.rpartition("/")[2],
        "summary": summary,
        "description": summary + "." + chosen,
        "parameters": [_WORDS["parameters"]["job"]],
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
    file = _WORDS["file"]["form" if binary else "json"]
    files = {name: file | {"description": _WORDS["files"][name]} for name in names}
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
