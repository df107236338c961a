"""`facefill page`: the page as static files, with the whole way in the browser."""

from pathlib import Path
from typing import Annotated

from typer import Argument


def page(out: Annotated[Path, Argument(metavar="OUT", help="A new or empty folder.")]) -> None:
    """Write the page as files for any web server; the browser itself completes faces, and no photo leaves it."""
    from facefill.server.static import write_page

    size = write_page(out)
    print(f"{out}: {size / 1e6:.1f} MB. Put it on any web server, or try it: python -m http.server -d {out}")
