"""Thousands of requests that the description allows, and some that it does not: no fault, no undocumented answer."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.server.service import Gate, listening, service

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method"
)


@pytest.mark.soak
@pytest.mark.skipif(find_spec("schemathesis") is None, reason="schemathesis is not installed")
def test_the_server_answers_as_its_description_says(tmp_path: Path) -> None:
    made = service(tmp_path, Gate())
    with listening(made) as (port, _):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "schemathesis.cli",
                "run",
                f"http://127.0.0.1:{port}/v1/openapi.json",
                "--checks",
                CHECKS,
                "--max-examples",
                os.environ.get("EXAMPLES", "100"),
                "--seed",
                "1",
                "--phases",
                "examples,coverage,fuzzing",
                "--request-timeout",
                "120",  # the first search opens torch
                "--workers",
                "2",
                "--generation-database",
                "none",
            ],
            capture_output=True,
            text=True,
            timeout=900,
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert made.memory.taken == 0
