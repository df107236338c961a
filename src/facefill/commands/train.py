"""`facefill train`: train a method from a recipe."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facefill.commands.options import AllThreads, need


def train(
    config: Annotated[Path, Argument(metavar="CONFIG", help="A TOML file, from configs/ or your own.")],
    settings: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help="For example data.folder=faces or train.seed=3.")
    ] = None,
    run: Annotated[
        Path | None,
        Option("--run", help="Folder of the run; the same command resumes. Default: runs/<name of CONFIG>."),
    ] = None,
    threads: AllThreads = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Print the resolved settings and stop.")] = False,
) -> None:
    """Train a method on a dataset of aligned faces (needs the extra `train`)."""
    need("train", "torch", "safetensors")
    from facefill.runtime.engine import thread_count
    from facefill.training.distributed import share_threads
    from facefill.training.recipe import read_recipe
    from facefill.training.train import train as run_training

    recipe = read_recipe(config, settings or [])
    if dry_run:
        print(recipe.model_dump_json(indent=2))
        return
    share_threads(thread_count(threads))
    print(run_training(recipe, run or Path("runs") / config.stem, config.as_posix()))
