"""The command line. Heavy packages are imported inside the commands, so that --help answers at once."""

from __future__ import annotations

import json
import os
import sys
import warnings
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facefill.commands import research
from facefill.commands.batch import batch
from facefill.commands.serve import serve
from facefill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facefill.evaluation.benchmark import Progress
    from facefill.runtime.inpainter import Inpainter, Result

app = typer.Typer(
    help="Completes the hidden part of a face: takes covers off photos and fills holes. Works offline.",
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
)

Method = Annotated[str, typer.Option("--method", "-m", help="Which method completes; `facefill methods` lists them.")]
Seed = Annotated[int, typer.Option(min=0, help="Of all randomness.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, coreml or directml.")]
Threads = Annotated[int | None, typer.Option(help="Default: FACEFILL_THREADS, else what the machine allows.")]
Exact = Annotated[bool, typer.Option("--exact", help="Compute in float32: slower, the same on all machines.")]
Large = Annotated[bool, typer.Option("--large-hole", help="Also complete a face of which over 60 % is missing.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing output files.")]
Sign = Annotated[Path | None, typer.Option(help="A PEM file with your private key and its certificates: signs a C2PA "
                                           "manifest of what was completed.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per photo.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Of a method that searches "
                                                    "(latent_search, dip): restarts=4, bounds=paper, ...")]


@app.command()
def unmask(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Photos of covered faces.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File, or folder for several photos. Default: "
                                             "<stem>-unmasked<suffix> beside the photo.")] = None,
    method: Method = "swift", seed: Seed = 0, large_hole: Large = False,
    save_mask: Annotated[bool, typer.Option("--save-mask", help="Also write what was completed, white on black, "
                                            "as <stem>-mask.png.")] = False,
    device: Device = "cpu", threads: Threads = None, exact: Exact = False, overwrite: Overwrite = False,
    sign: Sign = None, as_json: AsJson = False,
) -> None:
    """Take face masks and other covers off the faces of photos."""
    from facefill.files.photo import check_output, read_photo
    from facefill.runtime.inpainter import open_inpainter

    signature = _signature(sign)
    folder = out is not None and (len(photos) > 1 or out.is_dir())
    outputs = [_outputs(photo, out, folder, save_mask) for photo in photos]
    if len({path for paths in outputs for path in paths}) < sum(map(len, outputs)):
        raise InputError("photos with different names", "two of the same name", "run them into different folders")
    inpainter = open_inpainter(method, device=device, threads=threads, exact=exact)
    made = _make_folder(out) if folder and out is not None else None

    def one(photo: Path, paths: list[Path]) -> Result:
        source = read_photo(photo, ahead=True)
        for path in paths:
            check_output(path, inputs=photos, overwrite=overwrite)
        plan = inpainter.plan_unmask(source, large_hole=large_hole)
        return inpainter.complete(plan, seed=seed, tell=True)

    failed = 0
    for photo, paths in zip(photos, outputs, strict=True):
        try:
            result = one(photo, paths)
            notes = result.save(paths[0], overwrite=overwrite, sign=signature)
            if save_mask:
                _save_mask(result, paths[1], overwrite)
            _tell(photo, paths[0], result, notes, as_json)
        except InputError as error:
            failed += 1
            if len(photos) == 1:
                raise
            _complain(error, photo, as_json)
    if made and failed == len(photos):
        made.rmdir()
    _end(failed, len(photos), as_json)


@app.command()
def complete(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO")],
    mask: Annotated[Path, typer.Option(help="A picture of the photo's size: white or opaque = missing.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")],
    method: Method = "swift", seed: Seed = 0, large_hole: Large = False,
    samples: Annotated[int, typer.Option(min=1, help="Different completions, where the method has noise; they are "
                                         "written as <stem>-1<suffix>, <stem>-2<suffix> ...")] = 1,
    aligned: Annotated[bool, typer.Option("--aligned", help="The photo is an aligned square face already.")] = False,
    dilate: Annotated[int, typer.Option(min=0, help="Grow the mask by so many pixels.")] = 0,
    show_steps: Annotated[Path | None, typer.Option(help="Also write the steps of blending, side by side for each "
                                                    "crop.")] = None,
    show_attention: Annotated[Path | None, typer.Option(help="Also write where each hole pixel borrowed from, by "
                                                        "colour (contextual_attention).")] = None,
    device: Device = "cpu", threads: Threads = None, exact: Exact = False, overwrite: Overwrite = False,
    sign: Sign = None, as_json: AsJson = False, settings: Settings = None,
) -> None:
    """Complete the pixels that a mask names: on a face, across a face, or where there is none."""
    from facefill.files.mask import read_mask
    from facefill.files.photo import check_output, read_photo
    from facefill.runtime.doubts import listening
    from facefill.runtime.explain import draw_attention, draw_samples, draw_steps
    from facefill.runtime.inpainter import open_inpainter

    targets, beside = [out], [path for path in (show_steps, show_attention) if path]
    if samples > 1:
        targets = [out.with_name(f"{out.stem}-{index + 1}{out.suffix}") for index in range(samples)]
        beside += [out.with_name(f"{out.stem}-{name}.png") for name in ("samples", "spread")]
    if len({*targets, *beside}) < len(targets) + len(beside):
        raise InputError("outputs with different names", "two of the same name", "choose another name for one")
    for path in [*targets, *beside]:
        check_output(path, inputs=[photo, mask], overwrite=overwrite)
    signature, source = _signature(sign), read_photo(photo, ahead=True)
    missing = read_mask(mask, source.pixels.shape, dilate_px=dilate)
    inpainter: Inpainter = open_inpainter(method, device=device, threads=threads, exact=exact, settings=settings or ())
    plan = inpainter.plan_complete(source, missing, aligned=aligned, large_hole=large_hole)
    pictures = [draw_steps(inpainter.model, plan, seed)] if show_steps else []
    pictures += [draw_attention(inpainter.model, plan)] if show_attention else []
    with listening(tell=True) as doubts:
        patches = inpainter.run([plan], seed=seed, samples=samples)[0]
    if samples > 1:
        together, spread, distance = draw_samples(plan, patches)
        pictures += [together, spread]
        if not as_json:
            print(f"{samples} samples: mean distance of two inside the hole {distance:.4f} of the range of values")
    for index, target in enumerate(targets):
        result = inpainter.finish(plan, patches[:, index], seed=seed, doubts=doubts.of([plan])[0])
        _tell(photo, target, result, result.save(target, overwrite=overwrite, sign=signature), as_json)
    for picture, path in zip(pictures, beside, strict=True):
        _save_picture(picture, path, overwrite)
    _end(0, 1, as_json)


@app.command()
def methods(as_json: AsJson = False) -> None:
    """List every method: what it is, what it needs, what it scored."""
    from facefill.catalog import describe

    rows = describe()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'name':<22}{'kind':<11}{'needs':<9}{'params':>8}{'ms':>7}{'dB':>7}  paper")
    for row in rows:
        params = f"{row['params'] / 1e6:.1f} M" if row["params"] else "-"
        ms = f"{row['ms']:.0f}" if row["ms"] else "-"
        score = row["scores"].get("test-celeba/centre@256", "-")
        print(f"{row['name']:<22}{row['kind']:<11}{row['needs'] or '-':<9}{params:>8}{ms:>7}{score:>7}  {row['paper']}")
    print("ms: one face on two threads. dB: mean PSNR in the hole, centre@256 of test-celeba (docs/results.md).")


app.command()(batch)
app.command()(research.prepare)
app.command()(research.wear)
app.command()(serve)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML of configs/ or of your own.")],
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="For example "
                                                       "data.folder=faces or train.seed=3.")] = None,
    run: Annotated[Path | None, typer.Option("--run", help="Folder of the run; the same command resumes. Default: "
                                             "runs/<name of CONFIG>.")] = None,
    threads: Annotated[int | None, typer.Option(help="Of all processes of this machine together. Default: "
                                                "FACEFILL_THREADS, else what the machine allows.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved settings and stop.")] = False,
) -> None:
    """Train a method on a dataset of aligned faces (needs the extra `train`)."""
    _need_torch()
    from facefill.runtime.engine import thread_count
    from facefill.training.distributed import share_threads
    from facefill.training.recipe import read_recipe
    from facefill.training.train import train as run_training

    recipe = read_recipe(config, settings or [])
    if dry_run:
        print(recipe.model_dump_json(indent=2))
        return
    share_threads(thread_count(threads))
    print(run_training(recipe, run or Path("runs") / config.stem))


@app.command()
def evaluate(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A folder of aligned faces, with or without a "
                                            "manifest.csv.")],
    methods: Annotated[str, typer.Option(help="Names or .onnx files, with commas; NAME:N for the first N faces only; "
                                         "or all.")] = "swift",
    holes: Annotated[str, typer.Option(help="Protocols, with commas, such as centre@256,worn@256; or all.")] = "",
    protocol: Annotated[str, typer.Option(help="Papers whose definitions are printed beside ours, with commas: "
                                          "contextual-attention-paper, masked-gan-paper, latent-search-paper; or "
                                          "all.")] = "",
    split: Annotated[str, typer.Option(help="Rows of the manifest, with commas; each is a dataset of its own.")] = "",
    report: Annotated[Path, typer.Option(help="Folder for values and reports; the same command resumes.")]
    = Path("report"),
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many faces.")] = None,
    features: Annotated[list[Path] | None, typer.Option(help="A network for perceptual and Fréchet distances: .npz or "
                                                        ".safetensors; may be given again.")] = None,
    lpips_heads: Annotated[Path | None, typer.Option(help="Heads of LPIPS for one of the networks.")] = None,
    embedder: Annotated[Path | None, typer.Option(help="An .onnx face embedder, to judge identity.")] = None,
    groups: Annotated[Path | None, typer.Option(help="A CSV with the column file and one for each kind of group, such "
                                                "as glasses: values are told by them too.")] = None,
    results: Annotated[Path | None, typer.Option(help="A Markdown file to write the tables into.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Faces per call.")] = 8,
    per_picture: Annotated[bool, typer.Option("--per-picture", help="Also draw input, truth and prediction of every "
                                              "face, with PSNR and SSIM, into REPORT/per-picture.")] = False,
    no_timings: Annotated[bool, typer.Option("--no-timings", help="Measure no seconds and memory.")] = False,
    device: Device = "cpu", threads: Threads = None, exact: Exact = False,
) -> None:
    """Judge methods on the same frozen holes (needs the extra `evaluate`)."""
    from facefill.evaluation.benchmark import Settings
    from facefill.evaluation.evaluate import evaluate as judge
    from facefill.evaluation.protocols import PAPERS, PROTOCOLS

    def names(text: str, every: Any = ()) -> tuple[str, ...]:
        return tuple(every) if text == "all" and every else tuple(name for name in text.split(",") if name)

    settings = Settings(
        folder=dataset, report=report, splits=names(split), methods=names(methods), holes=names(holes, PROTOCOLS),
        papers=names(protocol, PAPERS), limit=limit, features=tuple(features or ()), heads=lpips_heads,
        embedder=embedder, device=device, threads=threads, exact=exact, batch=batch, timings=not no_timings,
        per_picture=per_picture, groups=groups,
    )
    _show_progress(judge(settings, results))
    print(f"{report / 'report.md'}\n{report / 'report.html'}")


@app.command()
def export(
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="A .safetensors that `facefill train` wrote.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The .onnx file to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Write weights as ONNX and compare with torch (needs the extra `train`)."""
    _need_torch()
    from facefill.training.export import export as write

    if out.suffix != ".onnx" or not out.parent.is_dir():
        raise InputError("an .onnx file in an existing folder", str(out), "choose another with -o")
    if out.exists() and not overwrite:
        raise InputError("a new output file", f"{out} exists", "add --overwrite or choose another with -o")
    for difference in write(weights, out):
        print(f"{difference.engine}: largest difference from torch {difference.largest:.1e}, "
              f"mean {difference.mean:.1e}")


def _show_progress(steps: Iterator[Progress]) -> None:
    """A bar on a terminal, elsewhere a plain line when something is done."""
    if not sys.stderr.isatty():
        for step in steps:
            if step.done == step.total:
                print(f"{step.what}: {step.done}", file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True)) as bars:
        shown: dict[str, Any] = {}
        for step in steps:
            if step.what not in shown:
                shown[step.what] = bars.add_task(step.what, total=step.total)
            bars.update(shown[step.what], completed=step.done)


def _need_torch() -> None:
    from importlib.util import find_spec

    for package in ("torch", "safetensors"):
        if find_spec(package) is None:
            raise InputError(f"the package {package}", "none installed", "pip install 'facefill[train]'")


def _signature(path: Path | None) -> Any:
    """Read before any work, and once for all photos."""
    from facefill.files.signature import read_signature

    return read_signature(path) if path else None


def _outputs(photo: Path, out: Path | None, folder: bool, save_mask: bool) -> list[Path]:
    """Where the completed photo goes, and its mask where one is asked for."""
    if out is None:
        target = photo.with_name(f"{photo.stem}-unmasked{photo.suffix}")
    else:
        target = out / photo.name if folder else out
    return [target, target.with_name(f"{target.stem}-mask.png")] if save_mask else [target]


def _make_folder(out: Path) -> Path | None:
    """The folder, if it had to be made."""
    if out.is_dir():
        return None
    try:
        out.mkdir(parents=True)
    except OSError as error:
        raise InputError("a folder to write to", f"{out}: {error.strerror}", "choose another with -o") from None
    return out


def _save_mask(result: Result, path: Path, overwrite: bool) -> None:
    import numpy as np

    _save_picture(np.repeat(result.mask[..., None] * np.uint8(255), 3, 2), path, overwrite)


def _save_picture(picture: Any, path: Path, overwrite: bool) -> None:
    import numpy as np

    from facefill.files.photo import read_photo, write_photo

    write_photo(read_photo(picture), picture, np.ones(picture.shape[:2], bool), path, overwrite=overwrite)


def _tell(photo: Path, target: Path, result: Result, notes: tuple[str, ...], as_json: bool) -> None:
    from facefill.runtime.inpainter import HONEST

    done = [face for face in result.faces if face.missing.any()]
    said = [*result.warnings, *notes]
    if as_json:
        print(json.dumps({
            "photo": str(photo), "out": str(target), "completed_px": int(result.mask.sum()), "warnings": said,
            "faces": [{
                "box": [round(value, 1) for value in face.box], "landmarks": face.landmarks.round(1).tolist(),
                "score": round(face.score, 3), "completed_px": int(face.missing.sum()),
                "warnings": list(face.warnings),
            } for face in result.faces], "invented": HONEST,
        }), flush=True)
        return
    faces = f"{len(done)} of {len(result.faces)} faces" if done else "the hole"
    print(f"{photo} -> {target}: completed {faces}", flush=True)
    for warning in said:
        print(f"{photo}: {warning}", file=sys.stderr)


def _complain(error: InputError, photo: Path, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"photo": str(photo), "error": str(error)}), flush=True)
    print(f"{photo}: {error}", file=sys.stderr)


def _end(failed: int, count: int, as_json: bool) -> None:
    if failed < count and not as_json:
        from facefill.runtime.inpainter import HONEST

        print(HONEST)
    if failed:
        raise typer.Exit(2 if failed == count else 3)


@contextmanager
def _our_lines_only() -> Iterator[None]:
    """Libraries in C print lines of their own about a damaged file, past `sys.stderr`; ours says it in one."""
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
