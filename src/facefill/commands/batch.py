"""`facefill batch`: folders, buckets and clusters."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from facefill.commands.options import AllThreads, AsJson, Covers, Device, Exact, Large, Method, Seed, Sign
from facefill.errors import InputError

if TYPE_CHECKING:
    from facefill.batch.job import Item
    from facefill.batch.manifest import Outcome
    from facefill.batch.progress import Tally


def batch(
    source: Annotated[str, Argument(metavar="IN", help="A folder of photos, or a URL such as s3://bucket/in.")],
    target: Annotated[
        str,
        Argument(
            metavar="OUT",
            help="Where the results go, under the same names; a folder or a URL. The same command resumes.",
        ),
    ],
    workers: Annotated[int | None, Option(min=1, help="Processes. Default: one per core.")] = None,
    ray: Annotated[
        str | None,
        Option(
            "--ray", metavar="auto|ADDRESS", help="Work on a Ray cluster: auto takes a running one or starts one here."
        ),
    ] = None,
    method: Method = "swift",
    seed: Seed = 0,
    large_hole: Large = False,
    mask_dir: Annotated[
        str | None,
        Option(
            "--mask-dir",
            help="A folder or URL of your own masks, in the same tree: NAME, NAME.png or NAME-mask.png for each photo.",
        ),
    ] = None,
    include: Annotated[
        list[str] | None, Option(help="Only photos that match, such as '2024/*' or '*.jpg'; may be given again.")
    ] = None,
    exclude: Annotated[list[str] | None, Option(help="Leave out photos that match; may be given again.")] = None,
    force: Annotated[bool, Option("--force", help="Do everything again.")] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="List what would be done, and write nothing.")] = False,
    max_errors: Annotated[int | None, Option(min=1, help="Stop after this many photos have failed.")] = None,
    device: Device = "cpu",
    threads: AllThreads = None,
    exact: Exact = False,
    sign: Sign = None,
    as_json: AsJson = False,
    covers: Covers = "all",
) -> None:
    """Complete the faces of all photos in a folder or bucket; manifest.jsonl in OUT says what became of each."""
    from facefill.batch.folder import Selection
    from facefill.batch.job import make_job
    from facefill.batch.local import WorkerPool, plan_workers
    from facefill.batch.run import preview, run
    from facefill.commands.output import open_signature

    chosen = {"method": method, "seed": seed, "large_hole": large_hole, "device": device, "exact": exact}
    job = make_job(source, target, covers=covers, masks=mask_dir or "", signature=open_signature(sign), **chosen)
    select = Selection(tuple(include or ()), tuple(exclude or ()))
    if ray is not None and workers is not None:
        raise InputError("--workers or --ray", "both", "Ray shares the cluster's cores itself: leave --workers out")
    if dry_run:
        _preview(*preview(job, select=select, force=force), as_json)
        return
    how: Any = {"select": select, "force": force, "max_errors": max_errors, "each": partial(_tell, as_json)}
    if ray is None:
        with WorkerPool(job, *plan_workers(workers, threads)) as pool:
            tally = run(job, pool.complete, **how)
    else:
        from facefill.batch.ray import Cluster

        with Cluster(ray, threads) as cluster:
            tally = run(job, cluster.complete_with(job), **how)
    print(f"{target}: {tally}", file=sys.stderr if as_json else sys.stdout, flush=True)
    if tally.done["completed"] and not as_json:
        from facefill.runtime.inpainter import HONEST

        print(HONEST)
    if tally.left_out or tally.stopped:
        raise typer.Exit(3)


def _tell(as_json: bool, outcome: Outcome) -> None:
    if as_json:
        print(outcome.encode().decode("utf-8"), end="", flush=True)
    elif outcome.status != "completed":
        print(f"{outcome.photo}: {outcome.status}: {outcome.reason}", file=sys.stderr, flush=True)


def _preview(tally: Tally, items: Iterator[Item], as_json: bool) -> None:
    count = 0
    for item in items:
        count += 1
        if as_json:
            print(json.dumps({"photo": item.name, "problem": item.problem}))
        else:
            name = item.name.encode(errors="backslashreplace").decode()
            print(f"{name}: {item.problem}" if item.problem else name)
    earlier = f", {tally.before.total()} done before" if tally.before else ""
    nameless = f", {tally.without_suffix} files without a suffix left out" if tally.without_suffix else ""
    print(f"{count} photos to do{earlier}{nameless}", file=sys.stderr)
