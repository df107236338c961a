"""`facefill prepare`: make a dataset from photos."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from facefill.commands.options import Device, Threads, need
from facefill.commands.output import list_left_out
from facefill.errors import InputError

if TYPE_CHECKING:
    from facefill.datasets.looking import Look
    from facefill.datasets.prepare import Against, Report


def prepare(
    photos: Annotated[list[Path], Argument(metavar="PHOTO", help="Photos, or folders of photos.")],
    dataset: Annotated[
        Path,
        Argument(metavar="DATASET", help="The folder to write; the same command resumes, with more photos it grows."),
    ],
    size: Annotated[int, Option(help="Side of the aligned pictures: 256 or 512.")] = 256,
    identities: Annotated[Path | None, Option(help="A CSV of photo,identity: one person stays in one split.")] = None,
    min_side: Annotated[
        int | None,
        Option(min=1, help="Drop faces with fewer pixels than this along a side. Default: half of the size."),
    ] = None,
    min_score: Annotated[float, Option(help="Drop faces that the finder is less certain of, 0 to 1.")] = 0.8,
    min_inside: Annotated[float, Option(help="Drop faces with a smaller share inside the photo.")] = 0.7,
    max_blur: Annotated[float, Option(help="Drop faces that are more blurred, 0 to 1.")] = 0.58,
    max_covered: Annotated[
        float | None, Option(help="Drop faces with a larger share covered. Default: do not check.")
    ] = None,
    format: Annotated[str, Option(help="webp or png.")] = "webp",
    quality: Annotated[int, Option(min=1, max=100, help="Quality of WebP pictures.")] = 95,
    validation: Annotated[float, Option(min=0, max=1, help="Share of this split.")] = 0.05,
    test: Annotated[float, Option(min=0, max=1, help="Share of this split.")] = 0.05,
    against: Annotated[
        Path | None,
        Option(
            metavar="OTHER",
            help="A training dataset: leave its faces out of this one; against.csv says how near each is.",
        ),
    ] = None,
    embedder: Annotated[
        Path | None, Option(help="An .onnx face embedder, with which --against also finds the same people.")
    ] = None,
    max_cosine: Annotated[float, Option(help="Drop faces that the embedder puts nearer to a face of OTHER.")] = 0.75,
    shards: Annotated[
        int | None, Option(min=1, help="Also write tar shards of this many faces each into DATASET/shards.")
    ] = None,
    ray: Annotated[
        str | None,
        Option(
            "--ray",
            metavar="auto|ADDRESS",
            help="Look at photos on a Ray cluster; also writes shards, of 1,000 faces unless --shards says otherwise.",
        ),
    ] = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Make a dataset from photos: find faces, align them, drop those unfit for training, split (needs the extra
    `prepare`)."""
    need("prepare", "imagehash")
    from facefill.config import build
    from facefill.datasets.looking import Rules, look_at
    from facefill.datasets.prepare import prepare as make
    from facefill.datasets.progress import track
    from facefill.datasets.shards import write_shards
    from facefill.runtime.helpers import open_cover, open_finder

    rules = build(
        Rules,
        {
            "size_px": size,
            "format": format,
            "quality": quality,
            "min_side_px": min_side,
            "min_score": min_score,
            "min_inside": min_inside,
            "max_blur": max_blur,
            "max_covered": max_covered,
            "test": test,
            "validation": validation,
        },
        "the options",
    )
    paths = _find(photos, dataset)
    known: Any = {"identities": identities, "against": _open_other(against, embedder, max_cosine, device, threads)}
    if ray is None:
        where: Any = {"device": device, "threads": threads}
        cover = None if max_covered is None else open_cover(**where)
        look = partial(look_at, finder=open_finder(**where), rules=rules, cover=cover)
        report = make(track(paths, "looking", len(paths)), dataset, look, rules, **known)
    else:
        from facefill.batch.ray import Cluster

        def spread(_: Any, some: Iterable[Path]) -> Iterable[Look]:
            return track(cluster.look_with(rules, max_covered is not None, some), "looking", len(paths))

        with Cluster(ray, threads) as cluster:
            report = make(paths, dataset, partial(look_at, rules=rules), rules, **known, each=spread)
    _tell(report, dataset)
    if shards or ray:
        print(f"{len(write_shards(dataset, dataset / 'shards', shards or 1000))} shards in {dataset / 'shards'}")
    list_left_out(report.unreadable)


def _find(photos: list[Path], dataset: Path) -> list[Path]:
    """All photos except those in the dataset itself."""
    from facefill.datasets.manifest import find_pictures

    inside = dataset.resolve()
    paths = [path for photo in photos for path in find_pictures(photo) if inside not in path.resolve().parents]
    if not paths:
        raise InputError("photos", f"none in {', '.join(map(str, photos))}", "name photos or folders that hold some")
    return paths


def _tell(report: Report, dataset: Path) -> None:
    splits = ", ".join(f"{split} {count}" for split, count in report.kept.items())
    print(f"{dataset}: {sum(report.kept.values())} faces ({splits}) of {report.photos} photos")
    if report.dropped:
        print("dropped: " + ", ".join(f"{count} {reason}" for reason, count in report.dropped.items()))
    print(f"sha256 {report.sha256}")


def _open_other(
    against: Path | None, embedder: Path | None, max_cosine: float, device: str, threads: int | None
) -> Against | None:
    from facefill.datasets.cache import list_entries
    from facefill.datasets.prepare import Against
    from facefill.evaluation.features import Embedder

    if against is None:
        if embedder:
            raise InputError("--against OTHER for the embedder", "--embedder alone", "name the other dataset")
        return None
    list_entries(against, None)  # a wrong folder is told before the work
    return Against(against, Embedder(embedder, device=device, threads=threads).look if embedder else None, max_cosine)
