"""How tests name the fixture `run`, which runs a command in this process."""

from __future__ import annotations

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]
"""Words of the command line to exit code, stdout and stderr."""
