"""What requests say and answers hold; the OpenAPI document is made from these records."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from facefill.catalog import METHODS, usable
from facefill.choices import pick
from facefill.config import Frozen
from facefill.errors import InputError
from facefill.files.photo import FORMATS

MOST_SAMPLES = 8
Base64 = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]


class Options(Frozen):
    """What may be asked of every picture."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)

    preview: bool = False
    """Also answer the picture as a JPEG, which every browser shows, for formats that it does not."""


class DetectOptions(Options):
    """What may be asked of `/v1/detect`."""

    covers: str = "all"
    """What to take off: mask, sunglasses, hand, other (another thing), several with commas between, or all."""


class CompletionOptions(Options):
    """What may be asked of a completion."""

    method: str = "swift"
    """A name that `/v1/methods` lists as usable."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of the random numbers; the same seed gives the same picture."""
    large_hole: bool = False
    """Also complete a face of which more than 60 % is missing."""
    format: str | None = None
    """The format of the answer's photo, such as PNG; the photo's own where it is left out."""


class UnmaskOptions(CompletionOptions):
    """What may be asked of `/v1/unmask`."""

    covers: str = "all"
    """What to take off: mask, sunglasses, hand, other (another thing), several with commas between, or all."""


class CompleteOptions(CompletionOptions):
    """What may be asked of `/v1/complete`."""

    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] = 1
    """Different completions, for methods that draw noise; more than one is answered as JSON only."""
    first: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """The number of the first one: 0 is the method's best, the others show what else could be there."""
    aligned: bool = False
    """The photo is an aligned square face already: no finder, no crop, no limit on the hole."""


KINDS: dict[str, tuple[type[Options], tuple[str, ...]]] = {
    "/v1/detect": (DetectOptions, ("photo",)),
    "/v1/unmask": (UnmaskOptions, ("photo",)),
    "/v1/complete": (CompleteOptions, ("photo", "mask")),
}
"""What each path takes: its options, and its files."""


def build_options(kind: type[Options], fields: dict[str, Any]) -> Options:
    """Check the fields of a request. Raises InputError."""
    try:
        options = kind.model_validate(fields, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:60]
        raise InputError(f"{where}: {first['msg'].lower()}", "something else", f"change {where}") from None
    if isinstance(options, CompletionOptions):
        pick(METHODS, options.method, "method")
        pick(dict.fromkeys(usable()), options.method, "method that is installed here")
        if options.format is not None:
            pick(FORMATS, options.format, "format")
    if isinstance(options, CompleteOptions) and options.first + options.samples > 1 and not can_vary(options.method):
        fix = "ask for its first sample alone"
        raise InputError("a method with several completions", f"{options.method}, which has one", fix)
    return options


def can_vary(method: str) -> bool:
    """Whether a method has different completions of one hole."""
    return bool({"noise", "seed"} & set(METHODS[method].inputs))


class Answered(BaseModel):
    """Base of what answers hold."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Cover(Answered):
    """Where something is missing, in a rectangle of the photo."""

    x: int
    y: int
    width: int
    height: int
    png: Base64
    """Grey PNG of width × height, white = missing."""


class FoundFace(Answered):
    """A face of the photo."""

    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 in pixels of the upright photo."""
    landmarks: list[tuple[float, float]]
    """Eyes, nose tip, mouth corners; the viewer's left first."""
    score: float
    """How certain, 0 to 1."""
    cover: Cover | None
    """What covers it (detect) or what was completed of it; null for nothing."""
    covers: list[str]
    """Kinds of what covers it, the largest first: mask, sunglasses, hand, other."""
    left_on: list[str]
    """Kinds that cover it and stay, as they were not to be taken off, the largest first."""
    cut: bool
    """Whether what looks like its cover goes on where the hole ends."""
    warnings: list[str]


class Picture(Answered):
    """What all answers say."""

    width: int
    height: int
    format: str
    """Format of the photo that came: JPEG, PNG, ..."""
    faces: list[FoundFace]
    warnings: list[str]
    """What was left as it is or lost, and what the method doubts of its completion."""
    timings_ms: dict[str, float]
    """waiting, looking, completing, writing."""
    preview: Base64 | None = None
    """JPEG, if it was asked for."""


class Detected(Picture):
    """Answer of `/v1/detect`."""


class Completed(Picture):
    """Answer of `/v1/unmask` and `/v1/complete` as JSON."""

    photo: Base64
    """The file, in `media_type`; outside the mask it holds what came."""
    media_type: str
    mask: Base64
    """Grey PNG of the photo's size, white = completed."""
    method: str
    seed: int
    weights_sha256: str
    """Empty for a method without weights."""
    samples: list[Base64] = []
    """All completions as files, the first is `photo`; empty where one was asked for."""
    spread: Base64 | None = None
    """Grey PNG of the photo's size: where the samples differ, 4 times their standard deviation."""
    sample_distance: float | None = None
    """Mean absolute difference of two samples inside the mask, as a share of the range of values."""
    invented: str
    """The honest sentence that belongs beside the picture."""


class Method(Answered):
    """A row of `/v1/methods`."""

    name: str
    title: str
    kind: Literal["onnx", "classical", "torch"]
    paper: str
    needs: str
    """The extra to install, empty for none."""
    usable: bool
    """Whether this server can run it."""
    varies: bool
    """Whether it can draw several samples."""
    size_px: int
    params: int
    ms: float | None
    scores: dict[str, float]
    licences: dict[str, str]


class Health(Answered):
    """Whether the server works."""

    status: Literal["ok", "stopping"]
    version: str
    waiting: int
    working: int


class Progress(Answered):
    """How far a request under way is."""

    stage: Literal["uploading", "waiting", "looking", "completing", "writing"]
    ahead: int
    """Requests before it in the queue."""
    wait_s: float
    """About how long until it is looked at."""


class Problem(Answered):
    """Its three parts, and all of them as one sentence."""

    expected: str
    got: str
    fix: str
    message: str


class Failure(Answered):
    """Every error: what was expected, what came, what to do."""

    error: Problem
