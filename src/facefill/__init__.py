"""facefill completes the hidden part of a face: it takes face masks and other covers off photos and fills holes.

>>> import facefill
>>> result = facefill.unmask("photo.jpg")           # doctest: +SKIP
>>> result.save("photo-unmasked.jpg")               # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from facefill.offline import stay_offline

__version__ = "1.0.0"

if TYPE_CHECKING:
    from facefill.catalog import METHODS
    from facefill.errors import InputError
    from facefill.runtime.inpainter import Result, complete, unmask
    from facefill.runtime.model import load

stay_offline()

_HOMES = {
    "unmask": "facefill.runtime.inpainter",
    "complete": "facefill.runtime.inpainter",
    "Result": "facefill.runtime.inpainter",
    "load": "facefill.runtime.model",
    "METHODS": "facefill.catalog",
    "InputError": "facefill.errors",
}

__all__ = ["METHODS", "InputError", "Result", "__version__", "complete", "load", "unmask"]


def __getattr__(name: str) -> Any:
    """Public names are loaded when they are first used, so that `import facefill` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'facefill' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
