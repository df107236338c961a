"""What is done with one photo: look (decode, find, cover), run the model, finish (blend, encode)."""

import base64
import json
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from starlette.responses import Response

from facefill.arrays import U8, Bool
from facefill.catalog import usable
from facefill.files.mask import read_mask
from facefill.files.photo import FORMATS, Photo, encode_photo, encode_picture, read_photo
from facefill.files.provenance import Signature
from facefill.imaging.crop import Crop
from facefill.imaging.masks import bounding_box
from facefill.imaging.sheets import mean_distance, spread_map
from facefill.runtime.cover import FACE_PX, FoundCover, read_kinds
from facefill.runtime.draw import Drawn
from facefill.runtime.finder import Face
from facefill.runtime.inpainter import HONEST, Inpainter, Result
from facefill.runtime.plan import LARGEST_SHARE, FoundFace, Plan, place_of, too_small
from facefill.server import schema
from facefill.server.settings import Settings
from facefill.server.telemetry import Metrics
from facefill.server.upload import Upload


@dataclass(eq=False)
class PhotoRequest:
    """A request for one photo, from its upload to its answer."""

    upload: Upload
    options: schema.Options
    as_json: bool
    answer: Future[Response] = field(default_factory=Future)
    stage: str = "waiting"
    gone: bool = False
    """Whether the client went away; no further step is started then."""
    since: float = field(default_factory=time.perf_counter)
    times: dict[str, float] = field(default_factory=dict)

    def enter(self, stage: str) -> None:
        """Go on to a stage and record the time of the previous one."""
        now = time.perf_counter()
        self.times[self.stage] = round(self.times.get(self.stage, 0.0) + (now - self.since) * 1e3, 2)
        self.stage, self.since = stage, now

    @property
    def method(self) -> str:
        return self.options.method if isinstance(self.options, schema.CompletionOptions) else usable()[0]


def answer(job: PhotoRequest, inpainter: Inpainter, settings: Settings, metrics: Metrics) -> Response | None:
    """Answer a request; None where its client went away, for whom no step begins. Raises InputError."""
    options, samples, first = job.options, 1, 0
    if job.gone:
        return None
    job.enter("looking")
    photo = read_photo(job.upload.files["photo"], max_pixels=settings.max_pixels, max_bytes=settings.max_bytes)
    if isinstance(options, schema.DetectOptions):
        return _detect(job, options, photo, inpainter)
    assert isinstance(options, schema.UnmaskOptions | schema.CompleteOptions)
    if isinstance(options, schema.UnmaskOptions):
        plan = inpainter.plan_unmask(photo, covers=read_kinds(options.covers), large_hole=options.large_hole)
    else:
        samples, first = options.samples, options.first
        mask = read_mask(job.upload.files["mask"], photo.pixels.shape[:2])
        plan = inpainter.plan_complete(photo, mask, aligned=options.aligned, large_hole=options.large_hole)
    if job.gone:
        return None
    job.enter("completing")
    drawn = inpainter.run([plan], seed=options.seed, samples=samples, first=first)[0]
    metrics.crops.labels(options.method).inc(len(plan.tasks))
    if job.gone:
        return None
    job.enter("writing")
    return _finish(job, options, plan, drawn, inpainter, settings.signature)


def _detect(job: PhotoRequest, options: schema.DetectOptions, photo: Photo, inpainter: Inpainter) -> Response:
    found = inpainter.finder().find(photo.pixels)
    covers = inpainter.cover().find(photo.pixels, found, read_kinds(options.covers))
    height, width = photo.pixels.shape[:2]
    faces = [_found(face, cover, (height, width)) for face, cover in zip(found, covers, strict=True)]
    job.enter("writing")
    warnings = list(photo.notes)
    if not found:
        warnings.append("no face found: mark the hole yourself")
    said = schema.Detected(
        width=width,
        height=height,
        format=photo.format,
        faces=faces,
        warnings=warnings,
        timings_ms=job.times,
        preview=_preview(photo.pixels, options),
    )
    return Response(said.model_dump_json(), media_type="application/json")


def _found(face: Face, covered: FoundCover, shape: tuple[int, ...]) -> schema.FoundFace:
    warning = too_small(face)
    cover = None if warning else _window(covered)
    if cover:
        share = Crop.around_face(face.landmarks, FACE_PX).share(covered.mask(shape))
        if share > LARGEST_SHARE:
            warning = f"{place_of(face)}: {share:.0%} of it is covered, more than {LARGEST_SHARE:.0%}"
    said: Any = {"covers": covered.kinds, "left_on": covered.left_on, "cut": covered.cut}
    return _face(face, cover=cover, warnings=[warning] if warning else [], **said)


def _face(face: Face | FoundFace, **said: Any) -> schema.FoundFace:
    """A face as answers tell it. said: their other fields."""
    box, score = [round(float(value), 1) for value in face.box], round(float(face.score), 3)
    return schema.FoundFace.model_validate(
        {"box": box, "landmarks": face.landmarks.round(1).tolist(), "score": score, **said}
    )


def _window(found: FoundCover | FoundFace) -> schema.Cover | None:
    """The rectangle of the photo that holds all that is missing; None where nothing is."""
    if not found.missing.any():
        return None
    x0, y0, x1, y1 = bounding_box(found.missing)
    x, y, png = found.window[1].start + x0, found.window[0].start + y0, _base64(_grey(found.missing[y0:y1, x0:x1]))
    return schema.Cover(x=x, y=y, width=x1 - x0, height=y1 - y0, png=png)


def _finish(
    job: PhotoRequest,
    options: schema.CompletionOptions,
    plan: Plan,
    drawn: Drawn,
    inpainter: Inpainter,
    signature: Signature | None,
) -> Response:
    results = [inpainter.finish(plan, drawn, seed=options.seed, sample=index) for index in range(len(drawn.photos))]
    how: Any = {"format": options.format, "signature": signature}
    coded = [encode_photo(one.source, one.photo, one.mask, provenance=one.provenance, **how) for one in results]
    warnings = [*results[0].warnings, *coded[0][1]]
    media_type = FORMATS[options.format or plan.photo.format].media_type
    job.enter("done")
    if not job.as_json:
        more = [f"and {len(warnings) - 10} more: ask for application/json"] if len(warnings) > 10 else []
        headers = {
            "Content-Disposition": f'attachment; filename="completed.{media_type.partition("/")[2]}"',
            "Facefill-Warnings": json.dumps([warning[:300] for warning in warnings[:10]] + more),
            "Facefill-Invented": HONEST,
            "Server-Timing": ", ".join(f"{name};dur={value}" for name, value in job.times.items()),
        }
        return Response(coded[0][0], 200, headers, media_type)
    said = _completed(job, plan, results, [data for data, _ in coded], warnings, media_type)
    return Response(said.model_dump_json(), media_type="application/json")


def _completed(
    job: PhotoRequest, plan: Plan, results: list[Result], files: list[bytes], warnings: list[str], media_type: str
) -> schema.Completed:
    first, several = results[0], len(results) > 1
    pictures = np.stack([result.photo for result in results]) if several else None
    height, width = plan.mask.shape
    return schema.Completed(
        width=width,
        height=height,
        format=plan.photo.format,
        warnings=warnings,
        timings_ms=job.times,
        faces=[
            _face(
                face,
                cover=_window(face),
                covers=face.covers,
                left_on=face.left_on,
                cut=face.cut,
                warnings=face.warnings,
            )
            for face in first.faces
        ],
        preview=_preview(first.photo, job.options),
        photo=_base64(files[0]),
        media_type=media_type,
        mask=_base64(_grey(first.mask)),
        method=first.provenance.method,
        seed=first.provenance.seed,
        weights_sha256=first.provenance.weights_sha256,
        invented=HONEST,
        samples=[_base64(data) for data in files] if several else [],
        spread=_base64(encode_picture(spread_map(pictures)[..., 0].copy())) if pictures is not None else None,
        sample_distance=mean_distance(pictures, first.mask) if pictures is not None else None,
    )


def _grey(mask: Bool) -> bytes:
    return encode_picture(mask.astype(np.uint8) * 255)


def _preview(pixels: U8, options: schema.Options) -> str | None:
    return _base64(encode_picture(pixels, "JPEG", 92)) if options.preview else None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
