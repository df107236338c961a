"""A whole run: list the photos, choose those to do, record what became of them."""

import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from facefill.batch.bucket import Bucket, Folder
from facefill.batch.folder import EVERYTHING, ListedFile, LocalFolder, Selection, Unwritable
from facefill.batch.job import BatchJob, Item, open_places
from facefill.batch.lock import lock
from facefill.batch.manifest import Manifest, Outcome
from facefill.batch.progress import Display, Tally
from facefill.batch.table import NameTable, hash64
from facefill.errors import InputError

Complete = Callable[[Iterator[Item]], Iterator[Outcome]]
"""How photos are completed: `local.WorkerPool.complete`, or a cluster's way. It takes them as it needs them."""


@dataclass
class _Pending:
    """The photos of a folder that are still to be done."""

    job: BatchJob
    select: Selection
    force: bool
    manifest: Manifest
    tally: Tally
    show: Callable[[], None] = lambda: None
    _claimed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._source, self.target, masks = open_places(self.job)
        rows = masks.entries(EVERYTHING) if masks else iter(())
        self._masks = NameTable((entry.name, (hash64(entry.stamp),)) for entry in rows) if masks else None
        self._there: NameTable | None = None
        if isinstance(self.target, Bucket) and len(self.manifest):
            there = self.target.entries(EVERYTHING)
            self._there = NameTable(((entry.name, ()) for entry in there), 0)
        self._one_case = isinstance(self.target, LocalFolder) and self.target.ignores_case()

    def items(self) -> Iterator[Item]:
        """A stream of the photos to do; the others are counted."""
        for entry in self._source.entries(self.select, self.tally.miss):
            item = self._item(entry)
            known = None if self.force or item.problem else self.manifest.known(entry.name)
            has = self.target.has if self._there is None else self._there.__contains__
            if known and known.status != "failed" and (known.status == "refused" or has(entry.name)):
                if self.manifest.is_stamp(known, item.stamp):
                    self.tally.before[known.status] += 1
                    self.show()
                    continue
                item = replace(item, sources=known.sources)
            yield item

    def _item(self, entry: ListedFile) -> Item:
        problem = entry.unfit or self._clash(entry.name)
        mask, stamp = "", entry.stamp
        if self._masks is not None:
            for name in mask_names(entry.name):
                if found := self._masks.get(name):
                    mask, stamp = name, f"{entry.stamp}+{found[0]:016x}"
                    break
        return Item(entry.name, stamp, problem, mask)

    def _clash(self, name: str) -> str:
        """Where OUT does not distinguish A.jpg from a.jpg, the first one keeps the name."""
        if not self._one_case:
            return ""
        key = hash64(unicodedata.normalize("NFC", name).casefold())
        if key in self._claimed:
            return "another photo's name differs in capitals only, and OUT takes both for one"
        self._claimed.add(key)
        return ""


def mask_names(photo: str) -> Iterator[str]:
    """Where a photo's mask may be among the masks: its own name, its own with .png, or <stem>-mask.png.

    >>> list(mask_names("a/b.jpg"))
    ['a/b.jpg', 'a/b.png', 'a/b.jpg.png', 'a/b-mask.png']
    """
    path = PurePosixPath(photo)
    yield photo
    yield str(path.with_suffix(".png"))
    yield f"{photo}.png"
    yield str(path.with_name(f"{path.stem}-mask.png"))


def run(
    job: BatchJob,
    complete: Complete,
    *,
    select: Selection,
    force: bool = False,
    max_errors: int | None = None,
    each: Callable[[Outcome], None] = lambda outcome: None,
) -> Tally:
    """Complete what is not done yet. The same call goes on after a kill at any moment.

    force: do everything again. max_errors: stop when so many photos have failed. each: gets every new outcome.
    Raises InputError where OUT is in use, holds other files, or was begun with other options without `force`, and where
    it is full.
    """
    source, target = _open_checked(job, select, force)
    tally = Tally()
    with lock(target):
        manifest = Manifest(target, job.recipe)
        tally.damaged_lines = manifest.damaged
        try:
            _check_recipe(manifest, job, force)
            plan = _Pending(job, select, force, manifest, tally)
            with Display(source, select, tally) as display:
                plan.show = display.show
                _go(plan, complete, max_errors, each)
        except BaseException:
            manifest.abandon()
            raise
        manifest.close()
    return tally


def _go(plan: _Pending, complete: Complete, max_errors: int | None, each: Callable[[Outcome], None]) -> None:
    tally, start = plan.tally, time.monotonic()
    for outcome in complete(plan.items()):
        tally.seconds = time.monotonic() - start
        known = plan.manifest.known(outcome.photo)
        if outcome.status == "unwritable":
            fix = "see to that, then run again: the same command goes on"
            raise Unwritable("an OUT that can be written", outcome.reason, fix)
        if outcome.status == "unchanged":
            tally.before[known.status if known else "completed"] += 1
            continue
        if outcome.status != "completed" and known and known.status == "completed":
            plan.target.remove(outcome.photo)  # made of another photo, or in another way
        plan.manifest.add(outcome)
        each(outcome)
        tally.done[outcome.status] += 1
        tally.faces += outcome.faces_completed
        plan.show()
        if max_errors is not None and tally.done["failed"] >= max_errors:
            tally.stopped = f"{tally.done['failed']} photos failed; the same command goes on"
            return


def preview(job: BatchJob, *, select: Selection, force: bool = False) -> tuple[Tally, Iterator[Item]]:
    """What `run` would do, without doing it: the photos, and a tally that counts the others while they are read."""
    _, target = _open_checked(job, select, force)
    manifest, tally = Manifest(target, job.recipe, writes=False), Tally()
    _check_recipe(manifest, job, force)
    return tally, _Pending(job, select, force, manifest, tally).items()


def _open_checked(job: BatchJob, select: Selection, force: bool) -> tuple[Folder, Folder]:
    """IN, which has photos, and OUT, which may be written."""
    source, target, _ = open_places(job)
    if (found := target.other_file()) and not force:
        fix = "choose another OUT, or --force to write into it"
        raise InputError("a new or empty OUT, or one that a batch has written", f"{target} with {found}", fix)
    if all(entry.problem for entry in source.entries(select)):
        raise InputError("photos", f"none in {source}", "check the path; --include takes files of other names")
    return source, target


def _check_recipe(manifest: Manifest, job: BatchJob, force: bool) -> None:
    if manifest.other and not force:
        one, other = (
            f"{said.get('method')} ({str(said.get('model_sha256'))[:8] or 'no weights'}), seed {said.get('seed')}"
            for said in (manifest.other, vars(job))
        )
        got = f"now {other}" if one != other else "other options or networks now"
        fix = "give the same options, choose another OUT, or --force to do everything again"
        raise InputError(f"what OUT was begun with, {one}", got, fix)
