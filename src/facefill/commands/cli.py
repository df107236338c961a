"""The command line: every command is a file beside this one. Heavy packages are imported inside the commands, so that
--help answers at once."""

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from typing import Annotated, Any

import typer
from typer import Option

from facefill import __version__
from facefill.commands.batch import batch
from facefill.commands.complete import complete
from facefill.commands.evaluate import evaluate
from facefill.commands.export import export
from facefill.commands.methods import methods
from facefill.commands.page import page
from facefill.commands.prepare import prepare
from facefill.commands.serve import serve
from facefill.commands.train import train
from facefill.commands.unmask import unmask
from facefill.commands.video import video
from facefill.commands.wear import wear
from facefill.commands.weights import average, settle, ship
from facefill.errors import InputError

HELP = "Completes the hidden part of a face: takes covers off photos and fills holes. Works offline."
app = typer.Typer(help=HELP, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def facefill(version: Annotated[bool, Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        print(f"facefill {__version__}")
        raise typer.Exit


COMMANDS = (
    unmask, complete, methods, batch, prepare, wear, serve, page, video, train, evaluate, export, average, settle, ship,
)  # fmt: skip
for command in COMMANDS:
    app.command()(command)


@contextmanager
def _our_lines_only() -> Iterator[None]:
    """Silence C libraries, which print lines of their own about a damaged file; we report it in one line."""
    kept = os.dup(2)
    with open(kept, "w", buffering=1, errors="backslashreplace") as ours, open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            with redirect_stderr(ours if sys.stderr is sys.__stderr__ else sys.stderr):
                yield
        finally:
            os.dup2(kept, 2)


def main() -> Any:
    """Run the command line; exit codes: 0 done, 1 our bug, 2 the user can fix it, 3 some of several failed."""
    for stream in (sys.stdout, sys.stderr):  # a console that cannot hold a name gets it in escapes
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.filterwarnings("ignore", module="PIL")  # of damage and size, of which our one line speaks
    alone = sys.argv[1:2] in (["unmask"], ["complete"])  # no worker process, whose traceback belongs there
    try:
        with _our_lines_only() if alone else nullcontext():
            sys.exit(app(sys.argv[1:] or ["--help"], prog_name="facefill", standalone_mode=False))
    except InputError as error:
        print(f"facefill: {error}", file=sys.stderr)
    except typer.TyperException as error:  # a wrong command or option, on which typer itself spends four lines
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "facefill"
        print(f"facefill: {error.format_message().rstrip('.')}; see {where} --help", file=sys.stderr)
    sys.exit(2)
