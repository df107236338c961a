"""`facefill evaluate`: judge methods on the same frozen holes."""

import sys
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from facefill.commands.options import Device, Exact, Threads


def evaluate(
    dataset: Annotated[
        Path, Argument(metavar="DATASET", help="A folder of aligned faces, with or without a manifest.csv.")
    ],
    methods: Annotated[
        str, Option(help="Names or .onnx files, with commas; NAME:N for the first N faces only; or all.")
    ] = "swift",
    adapter: Annotated[
        str | None,
        Option(
            metavar="lama|migan|migan-generator|FILE.toml",
            help="The contract of foreign .onnx files (docs/evaluation.md).",
        ),
    ] = None,
    holes: Annotated[str, Option(help="Protocols, with commas, such as centre@256,worn@256; or all.")] = "",
    protocol: Annotated[
        str,
        Option(
            help="Papers whose definitions are printed beside ours, with commas: contextual-attention-paper, "
            "masked-gan-paper, latent-search-paper; or all."
        ),
    ] = "",
    split: Annotated[str, Option(help="Rows of the manifest, with commas; each is a dataset of its own.")] = "",
    report: Annotated[Path, Option(help="Folder for values and reports; the same command resumes.")] = Path("report"),
    limit: Annotated[int | None, Option(min=1, help="Only this many faces.")] = None,
    features: Annotated[
        list[Path] | None,
        Option(help="A network for perceptual and Fréchet distances: .npz or .safetensors; may be given again."),
    ] = None,
    lpips_heads: Annotated[Path | None, Option(help="Heads of LPIPS for one of the networks.")] = None,
    embedder: Annotated[Path | None, Option(help="An .onnx face embedder, to judge identity.")] = None,
    groups: Annotated[
        Path | None,
        Option(help="A CSV with the column file and one for each kind of group, such as glasses: values by group."),
    ] = None,
    results: Annotated[Path | None, Option(help="A Markdown file to write the tables into.")] = None,
    batch: Annotated[int, Option(min=1, help="Faces per call.")] = 8,
    per_picture: Annotated[
        bool,
        Option(
            "--per-picture",
            help="Also draw input, truth and prediction of every face, with PSNR and SSIM, into REPORT/per-picture.",
        ),
    ] = False,
    no_timings: Annotated[bool, Option("--no-timings", help="Do not measure time and memory.")] = False,
    device: Device = "cpu",
    threads: Threads = None,
    exact: Exact = False,
) -> None:
    """Judge methods on the same frozen holes (needs the extra `evaluate`)."""
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from facefill.evaluation.benchmark import EvaluationSettings
    from facefill.evaluation.evaluate import evaluate as judge
    from facefill.evaluation.protocols import PAPERS, PROTOCOLS

    def names(text: str, every: Any = ()) -> tuple[str, ...]:
        return tuple(every) if text == "all" and every else tuple(name for name in text.split(",") if name)

    settings = EvaluationSettings(
        folder=dataset,
        report=report,
        splits=names(split),
        methods=names(methods),
        holes=names(holes, PROTOCOLS),
        papers=names(protocol, PAPERS),
        limit=limit,
        features=tuple(features or ()),
        heads=lpips_heads,
        embedder=embedder,
        device=device,
        threads=threads,
        exact=exact,
        batch=batch,
        timings=not no_timings,
        per_picture=per_picture,
        groups=groups,
        adapter=adapter,
    )
    if sys.stderr.isatty():
        with Progress(console=Console(stderr=True)) as bars:
            shown: dict[str, TaskID] = {}
            for step in judge(settings, results):
                if step.what not in shown:
                    shown[step.what] = bars.add_task(step.what, total=step.total)
                bars.update(shown[step.what], completed=step.done)
    else:
        for step in judge(settings, results):
            if step.done == step.total:
                print(f"{step.what}: {step.done}", file=sys.stderr, flush=True)
    print(f"{report / 'report.md'}\n{report / 'report.html'}")
