"""The server under load, from another process: how fast, how steady, and whether every answer is right.

    python benchmarks/serve.py [--threads 2] [--rounds 5] [--seconds 8]   # speed against the Python function
    python benchmarks/serve.py --check 5000                              # wrong and lost answers, and memory

Speed: `facefill.unmask` of the same photos one at a time in this process, and 1, 8 and 64 clients of a server with as
many threads, in turn, several rounds; requests/s, p50, p99, and the median over rounds of the ratio to the function.
Check: so many mixed requests (three paths, sizes and formats, 5 % of them damaged) by 8 clients. Every answer is
compared with what the Python function gives, bit for bit, every damaged one must be refused with 4xx. The server's
resident memory is read after 200, 2,000 and all requests. Photos are made from examples/.
"""

from __future__ import annotations

import argparse
import http.client
import io
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from facefill.errors import InputError
from facefill.files.mask import read_mask
from facefill.files.photo import encode_photo, encode_picture, read_photo
from facefill.runtime.inpainter import Inpainter, open_inpainter

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.jpg"))
BOUNDARY = "facefill-benchmark"


@dataclass(frozen=True)
class Ask:
    """A request, and what must come: the answer's bytes, or None for a refusal."""

    path: str
    body: bytes
    answer: bytes | None


def form(**files: bytes) -> bytes:
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="x"\r\n\r\n%s\r\n'
        % (BOUNDARY.encode(), name.encode(), data)
        for name, data in files.items()
    ]
    return b"".join(parts) + b"--%s--\r\n" % BOUNDARY.encode()


def make_photo(side: int, format: str, source: Path) -> bytes:
    stream = io.BytesIO()
    Image.open(source).resize((side, side), Image.Resampling.LANCZOS).save(stream, format)
    return stream.getvalue()


def call(inpainter: Inpainter, photo: bytes, mask: bytes | None = None) -> bytes:
    """What the server does for one request, one after the other."""
    source = read_photo(photo)
    if mask is None:
        plan = inpainter.plan_unmask(source)
    else:
        plan = inpainter.plan_complete(source, read_mask(Image.open(io.BytesIO(mask)), source.pixels.shape[:2]))
    result = inpainter.complete(plan)
    return encode_photo(result.source, result.photo, result.mask, provenance=result.provenance)[0]


class Server:
    """`facefill serve` in a process of its own."""

    def __init__(self, threads: int, waiting: int = 64) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "facefill",
                "serve",
                "--port",
                "0",
                "--threads",
                str(threads),
                "--waiting",
                str(waiting),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"running on http://127.0.0.1:(\d+)", line):
                self.port = int(found[1])
                break
        else:
            raise SystemExit("the server did not start")

    def memory(self) -> float:
        """Resident MiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) / 1024

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(120)


class Client:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def ask(self, ask: Ask) -> tuple[int, bytes]:
        self._connection.request(
            "POST",
            ask.path,
            ask.body,
            {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Accept": "image/*"},
        )
        answer = self._connection.getresponse()
        return answer.status, answer.read()


def load(port: int, clients: int, seconds: float, asks: list[Ask]) -> tuple[float, list[float]]:
    """Requests per second of so many clients that each send one after the other, and all latencies in ms."""
    end = time.perf_counter() + seconds
    start = time.perf_counter()

    def one(index: int) -> list[float]:
        client, took, turn = Client(port), [], index
        while time.perf_counter() < end:
            before = time.perf_counter()
            status, _ = client.ask(asks[turn % len(asks)])
            took.append((time.perf_counter() - before) * 1e3)
            assert status == 200, status
            turn += 1
        return took

    with ThreadPoolExecutor(clients) as pool:
        took = [value for part in pool.map(one, range(clients)) for value in part]
    return len(took) / (time.perf_counter() - start), took


def speed(threads: int, rounds: int, seconds: float, side: int) -> None:
    photos = [make_photo(side, "JPEG", path) for path in EXAMPLES]
    asks = [Ask("/v1/unmask", form(photo=photo), None) for photo in photos]
    inpainter = open_inpainter(threads=threads)
    for photo in photos:
        call(inpainter, photo)
    server = Server(threads, waiting=128)
    for clients in (1, 8):
        load(server.port, clients, 2, asks)
    alone: list[float] = []
    rates: dict[int, list[float]] = {1: [], 8: [], 64: []}
    took: dict[int, list[float]] = {1: [], 8: [], 64: []}
    for _ in range(rounds):
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            call(inpainter, photos[done % len(photos)])
            done += 1
        alone.append(done / (time.perf_counter() - start))
        for clients in rates:
            rate, latencies = load(server.port, clients, seconds, asks)
            rates[clients].append(rate)
            took[clients] += latencies
    server.stop()
    print(
        f"{side} px, {threads} thread(s): the Python function {np.median(alone):.1f} photos/s "
        f"({np.min(alone):.1f} to {np.max(alone):.1f} in {rounds} rounds)"
    )
    for clients, several in rates.items():
        ratios = np.array(several) / np.array(alone)
        p50, p99 = np.percentile(took[clients], (50, 99))
        print(
            f"  {clients:>2} clients: {np.median(several):5.1f} requests/s   p50 {p50:6.0f} ms   p99 {p99:6.0f} ms   "
            f"ratio {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
        )


def make_asks(threads: int) -> tuple[list[Ask], list[Ask]]:
    """Good requests with their right answers, and damaged ones."""
    inpainter = open_inpainter(threads=threads)
    rng = np.random.default_rng(0)
    good, bad = [], []
    for index, source in enumerate(EXAMPLES):
        for side, format in ((320, "JPEG"), (256, "PNG"), (512, "JPEG"), (300, "WEBP")):
            photo = make_photo(side + 16 * index, format, source)
            hole = np.zeros((side + 16 * index,) * 2, np.uint8)
            hole[side // 3 : side // 2, side // 4 : side // 2] = 255
            mask = encode_picture(hole)
            good.append(Ask("/v1/complete", form(photo=photo, mask=mask), call(inpainter, photo, mask)))
            try:
                good.append(Ask("/v1/unmask", form(photo=photo), call(inpainter, photo)))
            except InputError:
                bad.append(Ask("/v1/unmask", form(photo=photo), None))
            cut = bytes(rng.integers(0, 256, 40, np.uint8))
            bad += [
                Ask("/v1/unmask", form(photo=photo[: len(photo) // 3]), None),
                Ask("/v1/unmask", form(photo=cut), None),
                Ask("/v1/detect", form(photo=photo)[:-40], None),
                Ask("/v1/complete", form(photo=photo, mask=photo[:50]), None),
            ]
    return good, bad


def check(count: int, threads: int, seed: int) -> bool:
    good, bad = make_asks(threads)
    server, chance = Server(threads), random.Random(seed)
    detect = [Ask("/v1/detect", ask.body, None) for ask in good if ask.path == "/v1/unmask"]
    queue = [
        (chance.choice(bad), "damaged")
        if chance.random() < 0.05
        else (chance.choice(detect), "detect")
        if chance.random() < 0.2
        else (chance.choice(good), "photo")
        for _ in range(count)
    ]
    said: Counter[str] = Counter()
    seen: dict[bytes, bytes] = {}
    marks = {200: 0.0, 2000: 0.0, count: 0.0}
    lock, turn = threading.Lock(), iter(enumerate(queue, 1))

    def judge(ask: Ask, kind: str, status: int, body: bytes) -> str:
        if kind == "damaged":
            return "refused" if status in (400, 413, 415, 422) else f"WRONG: {status} for a damaged upload"
        if status != 200:
            return f"LOST: {status} {body[:90]!r}"
        if kind == "detect":
            body = re.sub(rb'"timings_ms":\{[^}]*\}', b"", body)
            return "right" if seen.setdefault(ask.body, body) == body else "WRONG: another answer than before"
        return "right" if body == ask.answer else "WRONG: not what the Python function gives"

    def one(_: int) -> None:
        client = Client(server.port)
        while True:
            with lock:
                number, (ask, kind) = next(turn, (0, queue[0]))
            if not number:
                return
            try:
                verdict = judge(ask, kind, *client.ask(ask))
            except (OSError, http.client.HTTPException) as error:
                verdict, client = f"LOST: {type(error).__name__}", Client(server.port)
            with lock:
                said[verdict] += 1
                if (so_far := sum(said.values())) in marks:
                    marks[so_far] = server.memory()
                    print(f"{so_far}: {dict(said)}, {marks[so_far]:.0f} MiB", file=sys.stderr, flush=True)

    start = time.perf_counter()
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(one, range(8)))
    finally:
        ended = server.stop()
    print(f"{count} requests in {time.perf_counter() - start:.0f} s: {dict(said)}")
    for number, memory in marks.items():
        if memory:
            share = memory / (marks[200] or memory)
            print(f"  resident after {number:>5}: {memory:.0f} MiB ({share:.3f} of after 200)")
    print(f"  the server ended with {ended}")
    return set(said) <= {"right", "refused"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1152])
    parser.add_argument("--check", type=int, metavar="COUNT")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mix that --check sends")
    options = parser.parse_args()
    if options.check:
        sys.exit(not check(options.check, options.threads, options.seed))
    for side in options.sides:
        speed(options.threads, options.rounds, options.seconds, side)


if __name__ == "__main__":
    main()
