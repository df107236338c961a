"""`facefill complete`: complete what a mask names."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from facefill.commands import output
from facefill.commands.options import AsJson, Device, Exact, Finder, Large, Method, Overwrite, Seed, Sign, Threads
from facefill.errors import InputError

Settings = Annotated[
    list[str] | None,
    Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of a method that searches (latent_search, dip): restarts=4, bounds=paper, ...",
    ),
]


def complete(
    photo: Annotated[str, Argument(metavar="PHOTO", help="A photo; - is standard input.")],
    mask: Annotated[str, Option(help="A picture of the photo's size: white or opaque = missing; - is standard input.")],
    out: Annotated[str, Option("-o", "--out", help="The file to write; - is standard output.")],
    method: Method = "swift",
    seed: Seed = 0,
    large_hole: Large = False,
    samples: Annotated[
        int,
        Option(min=1, help="Different completions, where the method has noise: <stem>-1<suffix>, <stem>-2<suffix> ..."),
    ] = 1,
    aligned: Annotated[bool, Option("--aligned", help="The photo is an aligned square face already.")] = False,
    dilate: Annotated[int, Option(min=0, help="Grow the mask by this many pixels.")] = 0,
    show_steps: Annotated[
        Path | None, Option(help="Also write the steps of blending side by side, for each crop.")
    ] = None,
    show_attention: Annotated[
        Path | None, Option(help="Also write where each hole pixel borrowed from, by colour (contextual_attention).")
    ] = None,
    device: Device = "cpu",
    threads: Threads = None,
    exact: Exact = False,
    overwrite: Overwrite = False,
    sign: Sign = None,
    as_json: AsJson = False,
    settings: Settings = None,
    finder: Finder = None,
) -> None:
    """Complete the pixels that a mask marks, on a face or anywhere else."""
    from facefill.files.mask import read_mask
    from facefill.files.photo import check_output
    from facefill.runtime.explain import draw_attention, draw_samples, draw_steps
    from facefill.runtime.inpainter import open_inpainter

    if photo == mask == output.STREAM:
        raise InputError("one picture from standard input", "photo and mask", "name a file for one of them")
    targets, beside = _outputs(out, samples)
    beside = [path for path in (show_steps, show_attention) if path] + beside
    files = [*filter(None, targets), *beside]
    if len(set(files)) < len(files):
        raise InputError("outputs with different names", "two of the same name", "choose another name for one")
    for path in files:
        check_output(path, inputs=[Path(name) for name in (photo, mask) if name != output.STREAM], overwrite=overwrite)
    signature, source = output.open_signature(sign), output.read_source(photo)
    missing = read_mask(output.open_given(mask, "mask"), source.pixels.shape, dilate_px=dilate)
    where: Any = {"device": device, "threads": threads, "exact": exact}
    inpainter = open_inpainter(method, **where, settings=settings or (), finder=finder)
    plan = inpainter.plan_complete(source, missing, aligned=aligned, large_hole=large_hole)
    pictures = [draw_steps(inpainter.model, plan, seed)] if show_steps else []
    pictures += [draw_attention(inpainter.model, plan)] if show_attention else []
    drawn = inpainter.run([plan], seed=seed, samples=samples, tell=True)[0]
    if samples > 1:
        together, spread, distance = draw_samples(plan, drawn)
        pictures += [together, spread]
        if not as_json:
            print(f"{samples} samples: mean distance of two inside the hole {distance:.4f} of the range of values")
    for index, target in enumerate(targets):
        result = inpainter.finish(plan, drawn, seed=seed, sample=index)
        output.report(photo, target, result, output.save(result, target, overwrite, signature), as_json, missing)
    for picture, path in zip(pictures, beside, strict=True):
        output.save_picture(picture, path, overwrite)
    output.end(0, 1, as_json, out == output.STREAM)


def _outputs(out: str, samples: int) -> tuple[list[Path | None], list[Path]]:
    """The paths of the completed photos (None: standard output) and of the sheets of several samples."""
    if out == output.STREAM:
        if samples > 1:
            raise InputError("a file to write to with --samples", "standard output", "name one with -o")
        output.check_stdout()
        return [None], []
    path = Path(out)
    if not path.name:
        raise InputError("a file to write to", out or "an empty name", "name one with -o")
    if samples == 1:
        return [path], []
    return (
        [path.with_name(f"{path.stem}-{index + 1}{path.suffix}") for index in range(samples)],
        [path.with_name(f"{path.stem}-{name}.png") for name in ("samples", "spread")],
    )
