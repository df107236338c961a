"""Any number of threads: each gets the bytes that it would get alone, also after a fork and from asyncio."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Lock, Thread, Timer, get_native_id
from threading import enumerate as enumerate_threads

import numpy as np
import pytest

import facefill
from facefill.catalog import usable
from facefill.files.photo import read_photo
from facefill.runtime.engine import engine_kinds
from facefill.runtime.inpainter import Inpainter, open_inpainter
from facefill.runtime.model import _TORCH, Model, load
from facefill.threads import Slots, in_own_thread, note_caller, once
from tests.networks import write_inpainting

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))
SIDES = (64, 96, 128)
Case = tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def _often() -> Iterator[None]:
    """Threads take turns a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def cases(count: int, sides: tuple[int, ...] = SIDES) -> list[Case]:
    """Different faces in turning sizes, each with a square hole."""
    found = []
    for index in range(count):
        side = sides[index % len(sides)]
        face = np.random.default_rng(index).integers(0, 256, (1, side // 8, side // 8, 3), np.uint8)
        mask = np.zeros((1, side, side), bool)
        mask[:, side // 4 : side // 2, side // 4 : side // 2] = True
        found.append((face.repeat(8, 1).repeat(8, 2), mask))
    return found


def together(work: Callable[[Case], bytes], given: list[Case], threads: int = 8) -> list[bytes]:
    """`work` for each case, begun by all threads at one moment."""
    begun = Barrier(threads, timeout=60)

    def one(case: tuple[int, Case]) -> bytes:
        if case[0] < threads:
            begun.wait()
        return work(case[1])

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, enumerate(given)))


def completer(model: Model) -> Callable[[Case], bytes]:
    return lambda case: model.complete(*case, seeds=[int(case[0][0, 0, 0, 0])]).tobytes()


@pytest.mark.parametrize("kind", engine_kinds())
def test_eight_threads_get_from_one_engine_what_each_gets_alone(tmp_path: Path, kind: str) -> None:
    engine = engine_kinds()[kind](write_inpainting(tmp_path / "tiny.onnx"))

    def run(case: Case) -> bytes:
        image = np.moveaxis(case[0], -1, 1).astype(np.float32) / 255
        mask = case[1][:, None].astype(np.float32)
        return engine.run({"image": image, "mask": mask, "noise": mask})["filled"].tobytes()  # type: ignore[dict-item]

    given = cases(48)
    assert together(run, given) == [run(case) for case in given]


@pytest.mark.parametrize("method", [name for name in usable() if facefill.METHODS[name].kind == "classical"])
def test_eight_threads_get_from_a_classical_method_what_each_gets_alone(method: str) -> None:
    given = cases(8, (32, 48))
    complete = completer(load(method))
    assert together(complete, given) == [complete(case) for case in given]


def write_search(path: Path, method: str) -> Path:
    """A small DCGAN to search in, and few iterations."""
    import torch

    from facefill.methods import CLASSES
    from facefill.training.checkpoint import save_weights

    torch.manual_seed(0)
    small = {"width": 4, "critic_width": 4, "code_length": 8, "encoder_width": 4, "iterations": 2, "rows": 4}
    networks = CLASSES[method](CLASSES[method].Config(**small)).generator
    save_weights(path, networks.state_dict(), {"method": method, "config": small})
    return path


@pytest.mark.parametrize("method", ["latent_search", "dip"])
def test_eight_threads_get_from_a_search_what_each_gets_alone(tmp_path: Path, method: str) -> None:
    given = cases(8, (64,))
    complete = completer(load(write_search(tmp_path / "small.safetensors", method), threads=1))
    assert together(complete, given) == [complete(case) for case in given]


def test_models_with_different_numbers_of_threads_do_not_change_each_other_nor_the_caller(tmp_path: Path) -> None:
    import torch

    before = torch.get_num_threads()
    models = [load(write_search(tmp_path / "small.safetensors", "dip"), threads=count) for count in (1, 2)]
    seen: list[int] = []
    for model in models:
        model._run(lambda: seen.append(torch.get_num_threads()))  # type: ignore[attr-defined]
    assert seen == [1, 2]
    assert torch.get_num_threads() == before


def test_four_threads_unmask_each_its_own_photo() -> None:
    photos = [read_photo(path).pixels for path in EXAMPLES[:2]]
    photos += [np.ascontiguousarray(photo[:, ::-1]) for photo in photos]
    alone = [facefill.unmask(photo).photo.tobytes() for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda photo: facefill.unmask(photo).photo.tobytes(), photos * 2)) == alone * 2


def test_asyncio_may_complete_in_its_threads(tmp_path: Path) -> None:
    complete, given = completer(load(write_inpainting(tmp_path / "tiny.onnx"))), cases(8)

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*(asyncio.to_thread(complete, case) for case in given))

    assert asyncio.run(all_of_them()) == [complete(case) for case in given]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no list of a process's threads on this system")
def test_of_a_thread_of_its_own_nothing_is_left_not_even_leaving() -> None:
    """A child that is forked while a thread gives MKL's memory back waits for it for ever."""
    import torch

    count = torch.get_num_threads()

    def tasks() -> set[str]:
        return set(os.listdir("/proc/self/task"))

    def work() -> set[str]:
        torch.set_num_threads(2)
        a = torch.ones(64, 64, 64)
        torch.bmm(a, a)
        torch.set_num_threads(count)
        return tasks()

    torch.set_num_threads(count)  # starts the one thread of PyTorch's other pool, which stays as long as the process
    for _ in range(20):
        before = tasks()
        begun = in_own_thread(work) - before
        assert len(begun) == 2
        assert not begun & tasks()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def in_child(work: Callable[[], bool]) -> bool:
    """What `work` returns in a forked child; False where it raises."""
    child = os.fork()
    if not child:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["tiny", "telea", "patchmatch", "dip"])
def test_a_forked_child_gets_the_same_while_the_parents_threads_go_on(tmp_path: Path, method: str) -> None:
    """`tiny` stands for a network; a search holds a slot that the child has to find free."""
    files = {
        "tiny": lambda: write_inpainting(tmp_path / "tiny.onnx"),
        "dip": lambda: write_search(tmp_path / "small.safetensors", "dip"),
    }
    complete = completer(load(files[method]() if method in files else method, threads=2))
    given = cases(2, (64,))
    alone = [complete(case) for case in given]
    with ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(complete, case) for case in given]
        assert in_child(lambda: together(complete, given, 2) == alone)
        assert [one.result() for one in busy] == alone


@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_waits_for_the_search_that_runs() -> None:
    begun, found = Event(), []

    def search() -> None:
        with _TORCH:
            begun.set()
            time.sleep(0.2)
            found.append("all")

    thread = Thread(target=search)
    thread.start()
    assert begun.wait(10)
    assert in_child(lambda: found == ["all"])
    thread.join()
    with _TORCH:  # and lets others in afterwards
        pass


@needs_fork
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no list of a process's threads on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_waits_until_a_caller_has_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """OpenCV and OpenVINO lock what they keep of their callers while one leaves."""
    monkeypatch.setattr("facefill.threads._TASKS", tmp_path)
    slots = Slots(1)

    def call() -> None:
        with slots:
            pass

    caller = Thread(target=call)
    caller.start()
    caller.join()
    folder = tmp_path / str(caller.native_id)
    folder.mkdir()
    leaving = Timer(0.2, folder.rmdir)
    leaving.start()
    assert in_child(lambda: not folder.exists())
    leaving.join()


def test_callers_that_come_and_go_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set[int]()
    monkeypatch.setattr("facefill.threads._callers", seen)
    monkeypatch.setattr("facefill.threads._MOST_CALLERS", 8)
    alive = len(enumerate_threads())
    for _ in range(60):
        caller = Thread(target=note_caller)
        caller.start()
        caller.join()
    assert 1 <= len(seen) <= 8 + alive
    note_caller()
    assert get_native_id() in seen


def test_what_eight_threads_ask_for_first_is_made_once() -> None:
    made: list[str] = []

    @once
    def make(name: str) -> str:
        made.append(name)
        return name.upper()

    given = ["a", "b"] * 8
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(make, given)) == [name.upper() for name in given]
    assert sorted(made) == ["a", "b"]
    for number in range(20):
        make(str(number))
    assert make("a") == "A"
    assert made[-1] == "a", "few are kept"


def test_an_error_is_not_kept_and_comes_from_its_own_thread() -> None:
    @once
    def fail() -> None:
        raise ValueError("no file")

    for _ in range(2):
        with pytest.raises(ValueError, match="no file"):
            in_own_thread(fail)


def test_no_more_threads_than_slots_are_in() -> None:
    slots, lock, inside, most = Slots(3), Lock(), 0, 0

    def enter(_: int) -> None:
        nonlocal inside, most
        with slots:
            with lock:
                inside += 1
                most = max(most, inside)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(200)))
    assert 1 <= most <= 3


@pytest.mark.soak
@pytest.mark.parametrize("method", usable())
def test_eight_threads_with_shipped_weights_in_mixed_sizes(method: str) -> None:
    record = facefill.METHODS[method]
    settings = ["iterations=20"] if record.kind == "torch" else []
    sides = (record.size_px,) if record.fixed_size else (64, 96, 128, 256)
    complete, given = completer(load(method, settings=settings)), cases(24, sides)
    alone = [complete(case) for case in given]
    for _ in range(2):
        assert together(complete, given) == alone
    if hasattr(os, "fork"):
        assert in_child(lambda: together(complete, given[:8]) == alone[:8])


@pytest.mark.soak
@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forks_while_the_callers_of_a_network_are_leaving() -> None:
    complete, given = completer(load("swift")), cases(8, (64, 96, 128, 256))
    alone = [complete(case) for case in given]
    for _ in range(40):
        assert together(complete, given) == alone
        assert in_child(lambda: together(complete, given) == alone)


@pytest.mark.soak
def test_eight_threads_share_one_inpainter_on_whole_photos() -> None:
    inpainter = open_inpainter()

    def one(path: Path, shared: Inpainter = inpainter) -> bytes:
        return shared.complete(shared.plan_unmask(read_photo(path))).photo.tobytes()

    alone = [one(path, open_inpainter()) for path in EXAMPLES]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, EXAMPLES * 8)) == alone * 8


@pytest.mark.soak
@pytest.mark.parametrize("method", ["latent_search", "dip", "biharmonic", "total_variation", "patchmatch"])
def test_eight_threads_go_on_getting_what_each_gets_alone(tmp_path: Path, method: str) -> None:
    if method not in usable():
        pytest.skip(f"{method} is not installed")
    searches = facefill.METHODS[method].kind != "classical"
    model = load(write_search(tmp_path / "small.safetensors", method) if searches else method, threads=1)
    given, complete = cases(24, (64,) if searches else (48, 64, 96, 128)), completer(model)
    alone = [complete(case) for case in given]
    for _ in range(5):
        assert together(complete, given) == alone
