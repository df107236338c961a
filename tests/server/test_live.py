"""Frames of a camera over a WebSocket: completed ones come back; strangers, crowds and nonsense are turned away."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from facefill.files.photo import encode_picture, read_photo
from facefill.server import live
from facefill.server.app import build_app
from tests.server.service import PHOTO, PNG, Gate, listening, service

LIVE = "ws://localhost/v1/live"
TOKEN = "a-long-secret-of-ours"


def client(folder: Path, **limits: Any) -> TestClient:
    made = service(folder, Gate(), **limits)
    return TestClient(build_app(made.settings, made), base_url="http://localhost")


def test_each_frame_comes_back_completed(tmp_path: Path) -> None:
    with client(tmp_path) as asked, asked.websocket_connect(LIVE, subprotocols=["facefill"]) as socket:
        assert socket.accepted_subprotocol == "facefill"
        for _ in range(3):
            socket.send_bytes(PNG)
            said = json.loads(socket.receive_text())
            assert (said["faces"], said["completed"], said["too_covered"]) == (1, 1, 0)
            assert said["drawn"] in (0, 1)
            frame = read_photo(socket.receive_bytes()).pixels.astype(int)
            assert frame.shape == PHOTO.shape
            assert 0.01 < (np.abs(frame - PHOTO).max(-1) > 40).mean() < 0.5, "only the hole is another"


@pytest.mark.parametrize("frame", [b"no picture", encode_picture(np.zeros((1500, 1500), np.uint8)), "text"])
def test_what_is_no_frame_ends_it_with_a_reason(tmp_path: Path, frame: bytes | str) -> None:
    with client(tmp_path) as asked, asked.websocket_connect(LIVE, subprotocols=["facefill"]) as socket:
        (socket.send_text if isinstance(frame, str) else socket.send_bytes)(frame)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
        assert closed.value.code == 1003
        assert "expected" in closed.value.reason


def test_one_camera_too_many_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_LIVE", 1)
    with client(tmp_path) as asked, asked.websocket_connect(LIVE):
        with asked.websocket_connect(LIVE) as second, pytest.raises(WebSocketDisconnect) as closed:
            second.receive_text()
        assert closed.value.code == 1013
        assert "live 1.0" in asked.get("/v1/metrics").text


@pytest.mark.parametrize(
    ("headers", "subprotocols"),
    [
        ({"host": "evil.example"}, []),
        ({"origin": "http://evil.example"}, []),
        ({}, []),
        ({}, ["token.bm8"]),
        ({}, ["token.*"]),
        ({"origin": "null"}, []),
    ],
)
def test_strangers_are_turned_away(tmp_path: Path, headers: dict[str, str], subprotocols: list[str]) -> None:
    token = None if headers else TOKEN
    with (
        client(tmp_path, token=token) as asked,
        pytest.raises(WebSocketDisconnect) as closed,
        asked.websocket_connect(LIVE, headers=headers, subprotocols=["facefill", *subprotocols]),
    ):
        pass
    assert closed.value.code == 1008


def test_a_token_comes_as_a_subprotocol(tmp_path: Path) -> None:
    coded = base64.urlsafe_b64encode(TOKEN.encode()).decode().rstrip("=")
    with (
        client(tmp_path, token=TOKEN) as asked,
        asked.websocket_connect(LIVE, subprotocols=["facefill", f"token.{coded}"]) as socket,
    ):
        socket.send_bytes(PNG)
        assert json.loads(socket.receive_text())["completed"] == 1


def test_a_real_socket_lives_longer_than_a_silent_head_and_ends_after_silence(tmp_path: Path) -> None:
    made = service(tmp_path, Gate(), quiet_s=1.0)
    with listening(made) as (port, _):
        with connect(f"ws://127.0.0.1:{port}/v1/live", subprotocols=["facefill"]) as socket:  # type: ignore[list-item]
            for _ in range(5):
                socket.send(PNG)
                assert json.loads(socket.recv())["faces"] == 1
                assert isinstance(socket.recv(), bytes)
                time.sleep(0.4)
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=10)
            assert socket.close_code == 1000
        with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{port}/v1/nothing"):
            pass
