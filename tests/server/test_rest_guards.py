"""What every answer of the service carries, whom it answers, and what it tells nobody."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from facefill.files.photo import encode_picture
from facefill.server.app import Service, build_app
from facefill.server.openapi import document
from facefill.server.schema import KINDS, Completed, Detected, Failure, Health, Method, Progress
from tests.server.service import PHOTO, PNG, Gate, service, square_mask


def test_unknown_paths_and_methods_of_http_are_said_in_the_same_words(client: TestClient) -> None:
    for answer, status in (
        (client.get("/v1/nothing"), 404),
        (client.get("/v1/unmask"), 405),
        (client.get("/../../etc/passwd"), 404),
        (client.get("/v1/progress/none"), 404),
    ):
        assert answer.status_code == status
        error = Failure.model_validate(answer.json()).error
        assert (error.expected, error.got) in {
            ("a path of this server", "another one"),
            ("another HTTP method", "GET"),
            ("a request that is being worked on", "none of that name"),
        }


def test_every_answer_carries_the_policy(client: TestClient) -> None:
    for answer in (client.get("/v1/health"), client.get("/nothing"), client.post("/v1/unmask")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_other_sites_cannot_ask_through_the_visitors_browser(client: TestClient) -> None:
    assert client.get("/v1/methods", headers={"Host": "rebound.example"}).status_code == 400
    assert client.get("/v1/methods", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.get("/v1/methods", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.get("/v1/methods", headers={"Origin": "http://localhost:8000"}).status_code == 200


def test_what_is_checked_is_said_once(client: TestClient) -> None:
    for headers in (
        [("Origin", "https://evil.example"), ("Origin", "http://localhost:8000")],
        [("Host", "localhost:8000"), ("Host", "localhost:8000")],
        [("Authorization", "Bearer a"), ("Authorization", "Bearer b")],
        [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-origin")],
    ):
        assert client.get("/v1/methods", headers=headers).status_code == 400


def test_a_server_for_others_answers_under_its_addresses_and_the_names_that_it_knows(tmp_path: Path) -> None:
    token = "a-long-secret-of-ours"
    made = service(tmp_path, Gate(), host="0.0.0.0", token=token, names=("photos.example",))
    with TestClient(build_app(made.settings, made), base_url="http://localhost") as client:
        for host, status in (
            ("rebound.example", 400),
            ("photos.example", 200),
            ("192.0.2.7:8000", 200),
            ("[2001:db8::1]:8000", 200),
            ("localhost:8000", 200),
            ("192.0.2.7.evil.example", 400),
        ):
            headers = {"Host": host, "Authorization": f"Bearer {token}"}
            assert client.get("/v1/methods", headers=headers).status_code == status, host


def test_a_prefix_of_a_proxy_is_taken_off_where_the_proxy_leaves_it(tmp_path: Path) -> None:
    made = service(tmp_path, Gate(), root_path="/a/faces")
    with TestClient(build_app(made.settings, made), base_url="http://localhost") as client:
        for prefix in ("", "/a/faces"):
            assert client.get(f"{prefix}/v1/health").json()["status"] == "ok"
            assert client.post(f"{prefix}/v1/unmask", files={"photo": PNG}).status_code == 200
            assert client.get(f"{prefix}/").text.startswith("<!doctype html>")
        assert client.get("/a/faces", follow_redirects=False).headers["location"] == "/a/faces/"
        assert client.get("/a/facesv1/health").status_code == 404
        assert client.get("/v1/openapi.json").json()["servers"] == [{"url": "/a/faces"}]
        assert 'path="/v1/unmask",status="200"} 2.0' in client.get("/v1/metrics").text


def test_a_token_guards_the_work_but_not_the_page(tmp_path_factory: pytest.TempPathFactory) -> None:
    token = "a-long-secret-of-ours"
    made = service(tmp_path_factory.mktemp("net"), Gate(), host="192.0.2.1", token=token, names=("photos.example",))
    with TestClient(build_app(made.settings, made), base_url="http://photos.example") as client:
        assert client.get("/v1/health").status_code == 200
        assert client.get("/docs").status_code == 200
        refused = client.post("/v1/unmask", files={"photo": PNG})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert client.get("/v1/methods", headers={"Authorization": "Bearer another-one"}).status_code == 401
        given = client.post("/v1/unmask", files={"photo": PNG}, headers={"Authorization": f"Bearer {token}"})
        assert given.status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="only there are files in memory, which the JPEG library needs")
def test_uploads_never_touch_the_disk(client: TestClient) -> None:
    jpeg = encode_picture(PHOTO, "JPEG")
    big = encode_picture(np.random.default_rng(0).integers(0, 255, (280, 400, 3), np.uint8))
    opened: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        memory = event == "open" and (isinstance(arguments[0], int) or str(arguments[0]).startswith("/proc/self/fd/"))
        if watching and event in ("open", "tempfile.mkstemp", "os.mkdir", "os.rename") and not memory:
            opened.append(f"{event} {arguments}")

    for photo in (PNG, jpeg):
        client.post("/v1/unmask", files={"photo": photo})
    sys.addaudithook(watch)
    try:
        answer = client.post("/v1/unmask", files={"photo": ("../../etc/cron.d/x", big)})
        client.post("/v1/complete", files={"photo": PNG, "mask": square_mask()})
        kept = client.post("/v1/unmask", files={"photo": jpeg})
    finally:
        watching = False
    assert kept.headers["content-type"] == "image/jpeg"
    assert answer.status_code == 200
    assert len(big) > 300_000
    assert opened == []


def test_no_log_tells_what_was_uploaded(
    client: TestClient,
    made: Service,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(0)
    assert client.post("/v1/unmask", files={"photo": ("aunt-mary.png", PNG)}).status_code == 200
    assert client.post("/v1/unmask", files={"photo": ("aunt-mary.png", b"aunt-mary.png")}).status_code == 415
    monkeypatch.setattr(Gate, "find", lambda self, photo: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        client.post("/v1/unmask", files={"photo": ("aunt-mary.png", PNG)})
    assert "aunt-mary" not in caplog.text + "".join(capfd.readouterr())
    assert "aunt-mary" not in client.get("/v1/metrics").text


def test_methods_health_and_metrics(client: TestClient) -> None:
    rows = [Method.model_validate(row) for row in client.get("/v1/methods").json()]
    assert rows[0].name == "swift"
    assert rows[0].usable
    assert Health.model_validate(client.get("/v1/health").json()).status == "ok"
    client.post("/v1/unmask", files={"photo": PNG})
    metrics = client.get("/v1/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'facefill_answers_total{path="/v1/unmask",status="200"}' in metrics.text
    assert 'facefill_crops_total{method="swift"}' in metrics.text
    assert "facefill_waiting 0.0" in metrics.text


def test_the_description_names_every_path_and_its_examples_are_valid(client: TestClient) -> None:
    said = client.get("/v1/openapi.json").json()
    assert said == document()
    names = [operation["operationId"] for path in said["paths"].values() for operation in path.values()]
    assert sorted(names) == ["complete", "detect", "health", "methods", "metrics", "progress", "unmask"]
    assert said["openapi"].startswith("3.1")
    assert set(said["paths"]) == {*KINDS, "/v1/progress/{name}", "/v1/methods", "/v1/health", "/v1/metrics"}
    records = {"Detected": Detected, "Completed": Completed, "Health": Health, "Progress": Progress, "Failure": Failure}
    examples = []
    for operation in (operation for path in said["paths"].values() for operation in path.values()):
        for answer in operation["responses"].values():
            for content in answer["content"].values():
                if "example" in content:
                    name = content["schema"]["$ref"].rpartition("/")[2]
                    examples.append(records[name].model_validate(content["example"]))  # type: ignore[attr-defined]
    assert {type(example) for example in examples} == set(records.values())
    text = json.dumps(said)
    for name in said["components"]["schemas"]:
        assert text.count(f'"#/components/schemas/{name}"') > 0
