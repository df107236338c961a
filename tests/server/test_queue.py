"""Under load: the bounded line, clients that go away, slow ones, and a stop that finishes what runs."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from facefill.commands.cli import app
from facefill.errors import InputError
from facefill.runtime.model import load
from facefill.server import queue as queue_module
from facefill.server.app import build_app
from facefill.server.settings import Settings, check_reach
from facefill.server.telemetry import Metrics
from tests.networks import write_inpainting
from tests.runtime.test_inpainter import Covers
from tests.server.service import PNG, Gate, listening, service

FORM = httpx2.Request("POST", "http://localhost/v1/unmask", files={"photo": PNG})


def wait_until(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 15
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def request_bytes(port: int) -> bytes:
    body = FORM.read()
    head = f"POST /v1/unmask HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: {FORM.headers['content-type']}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_requests_at_the_same_time_get_what_they_would_alone(tmp_path: Path) -> None:
    gate = Gate()
    made = service(tmp_path, gate)
    with TestClient(build_app(made.settings, made), base_url="http://localhost") as client:
        alone = client.post("/v1/unmask", files={"photo": PNG}).content
        gate.open.clear()
        with ThreadPoolExecutor(10) as pool:
            coming = [pool.submit(client.post, "/v1/unmask", files={"photo": PNG}) for _ in range(10)]
            wait_until(lambda: made.queue.waiting() == 8)
            gate.open.set()
            answers = [one.result(20) for one in coming]
        assert [answer.status_code for answer in answers] == [200] * 10
        assert {answer.content for answer in answers} == {alone}
        text = client.get("/v1/metrics").text
    assert float(text.split('facefill_crops_total{method="swift"} ')[1].split("\n")[0]) == 11


def test_all_workers_share_networks_that_are_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, opened = write_inpainting(tmp_path / "tiny.onnx"), []

    def opens(name: str, make: Callable[[], object]) -> Callable[..., object]:
        return lambda *_, **options: (opened.append((name, options["threads"])), make())[1]  # type: ignore[func-returns-value]

    monkeypatch.setattr(queue_module, "load", opens("model", lambda: load(network, threads=1)))
    monkeypatch.setattr(queue_module, "open_finder", opens("finder", Gate))
    monkeypatch.setattr(queue_module, "open_cover", opens("cover", lambda: Covers(slice(120, 220))))
    queue = queue_module.open_queue(Settings(threads=3), Metrics())
    first, telea = queue.inpainter(), queue._load("telea")
    queue.close()
    assert sorted(opened) == [("cover", 3), ("finder", 3), ("model", 3), ("model", 3)]
    assert first is queue.inpainter()
    assert first.finder() is telea.finder()
    assert first.cover() is telea.cover()


def test_a_full_line_says_when_to_come_again(tmp_path: Path) -> None:
    gate = Gate()
    made = service(tmp_path, gate, workers=1, most_waiting=2)
    gate.open.clear()
    with (
        TestClient(build_app(made.settings, made), base_url="http://localhost") as client,
        ThreadPoolExecutor(3) as pool,
    ):
        coming = [pool.submit(client.post, "/v1/detect", files={"photo": PNG})]
        wait_until(lambda: gate.seen == 1)
        coming += [pool.submit(client.post, "/v1/detect", files={"photo": PNG}) for _ in range(2)]
        wait_until(lambda: made.queue.waiting() == 2)
        refused = client.post("/v1/detect", files={"photo": PNG})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        gate.open.set()
        assert [one.result(20).status_code for one in coming] == [200] * 3
    assert made.memory.taken == 0


def test_a_full_memory_says_when_to_come_again(tmp_path: Path) -> None:
    made = service(tmp_path, Gate(), most_bytes=len(PNG) // 2)
    with TestClient(build_app(made.settings, made), base_url="http://localhost") as client:
        refused = client.post("/v1/detect", files={"photo": PNG})
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert made.memory.taken == 0


def test_one_request_that_fails_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    made = service(tmp_path, gate, workers=1)
    with TestClient(
        build_app(made.settings, made), base_url="http://localhost", raise_server_exceptions=False
    ) as client:
        alone = client.post("/v1/unmask", files={"photo": PNG}).content
        inpainter = made.queue.inpainter()
        run = inpainter.run

        calls: list[object] = []

        def fails_once(plans: list[object], **options: object) -> object:
            calls.append(plans)
            if len(calls) == 2:
                raise MemoryError
            return run(plans, **options)

        monkeypatch.setattr(inpainter, "run", fails_once)
        gate.open.clear()
        with ThreadPoolExecutor(3) as pool:
            coming = [pool.submit(client.post, "/v1/unmask", files={"photo": PNG}) for _ in range(3)]
            wait_until(lambda: made.queue.waiting() == 2)
            gate.open.set()
            answers = [one.result(20) for one in coming]
    said = sorted((answer.status_code, answer.content == alone) for answer in answers)
    assert said == [(200, True), (200, True), (500, False)]


def test_a_fault_of_ours_is_a_500_without_inner_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    monkeypatch.setattr(gate, "find", lambda photo: 1 / 0)
    made = service(tmp_path, gate)
    with TestClient(
        build_app(made.settings, made), base_url="http://localhost", raise_server_exceptions=False
    ) as client:
        answer = client.post("/v1/detect", files={"photo": PNG})
    assert answer.status_code == 500
    assert "division" not in answer.text
    assert made.memory.taken == 0


def test_a_client_that_goes_away_cancels_its_work(tmp_path: Path) -> None:
    gate = Gate()
    made = service(tmp_path, gate, workers=1)
    gate.open.clear()
    with listening(made) as (port, _):
        first = socket.create_connection(("127.0.0.1", port))
        first.sendall(request_bytes(port))
        wait_until(lambda: gate.seen == 1)
        second = socket.create_connection(("127.0.0.1", port))
        second.sendall(request_bytes(port))
        wait_until(lambda: made.queue.waiting() == 1)
        second.close()
        first.close()
        wait_until(lambda: made.metrics.gone._value.get() == 2)
        gate.open.set()
        wait_until(lambda: made.queue.waiting() == 0 and made.queue.working() == 0)
    assert gate.seen == 1, "the one that waited was never looked at"
    assert made.metrics.crops.labels("swift")._value.get() == 0, "the one that was looked at was not completed"
    assert made.memory.taken == 0


def drip(connection: socket.socket, head: bytes) -> int:
    """Send a byte every 50 ms; how many went out before the other side closed."""
    for at in range(len(head)):
        try:
            connection.sendall(head[at : at + 1])
        except OSError:
            return at
        time.sleep(0.05)
    return len(head)


@pytest.mark.parametrize("before", [b"", b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_connection_that_drips_its_head_is_closed(tmp_path: Path, before: bytes) -> None:
    made = service(tmp_path, Gate(), quiet_s=0.5)
    with listening(made) as (port, _):
        for head in (b"GET /v1/health HTTP/1.1\r\nX: " + b"x" * 200, b"\r\n" * 100, b"G" * 200):
            dripping = socket.create_connection(("127.0.0.1", port), timeout=20)
            if before:
                dripping.sendall(before)
                assert dripping.recv(10_000).startswith(b"HTTP/1.1 200")
            assert drip(dripping, head) < len(head)
            dripping.close()


def test_slow_uploads_and_silent_connections_end(tmp_path: Path) -> None:
    made = service(tmp_path, Gate(), quiet_s=0.3)
    with listening(made) as (port, _):
        slow = socket.create_connection(("127.0.0.1", port), timeout=10)
        silent = socket.create_connection(("127.0.0.1", port), timeout=10)
        slow.sendall(request_bytes(port)[:700])
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")
        assert silent.recv(1000) == b""
        slow.close()
        silent.close()
    assert made.memory.taken == 0


def test_a_stopping_server_finishes_what_it_has(tmp_path: Path) -> None:
    gate = Gate()
    made = service(tmp_path, gate, workers=1)
    gate.open.clear()
    with listening(made) as (port, stop), ThreadPoolExecutor(2) as pool:
        url = f"http://127.0.0.1:{port}/v1/unmask"
        coming = [pool.submit(httpx2.post, url, files={"photo": PNG}, timeout=20) for _ in range(2)]
        wait_until(lambda: gate.seen == 1 and made.queue.waiting() == 1)
        stop()
        threading.Event().wait(0.3)
        with pytest.raises(httpx2.ConnectError):
            httpx2.post(url, files={"photo": PNG})
        gate.open.set()
        assert [one.result(20).status_code for one in coming] == [200, 200]


def test_the_progress_of_a_request_is_told_while_it_runs(tmp_path: Path) -> None:
    gate = Gate()
    made = service(tmp_path, gate, workers=1)
    gate.open.clear()
    name = "0123456789abcdef"
    with (
        TestClient(build_app(made.settings, made), base_url="http://localhost") as client,
        ThreadPoolExecutor(1) as pool,
    ):
        coming = pool.submit(client.post, "/v1/unmask", files={"photo": PNG}, headers={"Facefill-Job": name})
        wait_until(lambda: gate.seen == 1)
        assert client.get(f"/v1/progress/{name}").json() == {"stage": "looking", "ahead": 0, "wait_s": 0.0}
        gate.open.set()
        assert coming.result(20).status_code == 200
        assert client.get(f"/v1/progress/{name}").status_code == 404


def test_a_server_for_others_asks_for_a_token() -> None:
    check_reach(Settings(host="127.0.0.1"))
    check_reach(Settings(host="localhost"))
    check_reach(Settings(host="::1"))
    check_reach(Settings(host="0.0.0.0", token="a-long-secret-of-ours"))
    with pytest.raises(InputError, match="proxy"):
        check_reach(Settings(host="0.0.0.0"))
    asked = CliRunner().invoke(app, ["serve", "--host", "0.0.0.0"], env={"FACEFILL_TOKEN": None})
    assert isinstance(asked.exception, InputError)
    with pytest.raises(InputError, match="16 printable"):
        check_reach(Settings(host="0.0.0.0", token="short"))


def test_numpy_is_not_there_before_the_command_has_limited_its_threads() -> None:
    code = "import sys, facefill.commands.cli; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
