"""Settings: frozen records read from TOML. Unknown keys are refused with the nearest name."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from facefill.choices import pick
from facefill.errors import InputError

S = TypeVar("S", bound="Frozen")


class Frozen(BaseModel):
    """Base of every record of settings: immutable, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises InputError when it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("a TOML file", f"nothing at {path}", "see configs/ for the shipped ones") from None
    except IsADirectoryError:
        raise InputError("a TOML file", f"the folder {path}", "name a file in it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("a TOML file", f"{path}: {error}", "mend that line") from None


def override(tables: dict[str, Any], settings: list[str]) -> dict[str, Any]:
    """A copy of `tables` with each "a.b.c=value" applied; the value is TOML, or a bare word taken as text.

    >>> override({"train": {"seed": 0}}, ["train.seed=3", "data.folder=faces"])
    {'train': {'seed': 3}, 'data': {'folder': 'faces'}}
    """
    result = {key: dict(value) if isinstance(value, dict) else value for key, value in tables.items()}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise InputError("a setting as key=value", repr(setting), "for example train.seed=3")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        table = result
        *parents, last = name.split(".")
        for parent in parents:
            table[parent] = dict(table.get(parent, {}))
            table = table[parent]
        table[last] = value
    return result


def build(record: type[S], tables: dict[str, Any], where: str) -> S:
    """Check `tables` against a record. where: the file's name, for the message.

    Raises InputError for the first thing that is wrong: an unknown key (with the nearest name), a missing one, or a
    value of the wrong kind.
    """
    try:
        return record.model_validate(tables)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = [str(part) for part in first["loc"]]
        if first["type"] == "extra_forbidden":
            known = _fields_at(record, path[:-1])
            pick(dict.fromkeys(known), path[-1], f"key in {where}")
        raise InputError(
            f"{'.'.join(path)}: {first['msg'].lower()}", repr(first["input"]), f"change it in {where}"
        ) from None


def _fields_at(record: type[BaseModel], path: list[str]) -> list[str]:
    for name in path:
        field = record.model_fields.get(name)
        kinds = [field.annotation, *get_args(field.annotation)] if field else []
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is None:
            break
        record = inner
    return list(record.model_fields)
