"""Clients that generators make of the API's description, against a running server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.server.service import PNG, Gate, listening, service, square_mask

pytestmark = pytest.mark.soak
SOURCES = Path(__file__).parent / "clients"
GENERATOR = Path(os.environ.get("OPENAPI_PYTHON_CLIENT", shutil.which("openapi-python-client") or "none")).absolute()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A running server, whose description and a photo and a mask for it lie in the test's folder."""
    (tmp_path / "photo.png").write_bytes(PNG)
    (tmp_path / "mask.png").write_bytes(square_mask())
    with listening(service(tmp_path, Gate())) as (port, _):
        (tmp_path / "openapi.json").write_text(httpx2.get(f"http://127.0.0.1:{port}/v1/openapi.json").text)
        yield f"http://127.0.0.1:{port}"


@pytest.mark.skipif(not GENERATOR.exists(), reason="openapi-python-client is not installed")
def test_the_client_that_openapi_python_client_makes_works(tmp_path: Path, address: str) -> None:
    subprocess.run(
        [GENERATOR, "generate", "--path", "openapi.json", "--output-path", "facefill_client", "--meta", "none"],
        cwd=tmp_path,
        check=True,
    )
    # The generator's own environment has the packages that its client needs.
    subprocess.run(
        [GENERATOR.parent / "python", SOURCES / "client.py", address],
        cwd=tmp_path,
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )


@pytest.mark.skipif(not (SOURCES / "node_modules").is_dir(), reason="run `npm ci` in tests/server/clients first")
def test_a_client_with_the_types_that_openapi_typescript_makes_works(tmp_path: Path, address: str) -> None:
    shutil.copy(SOURCES / "client.ts", tmp_path)
    (tmp_path / "node_modules").symlink_to(SOURCES / "node_modules")
    for words in (
        [
            "npx",
            "--no-install",
            "openapi-typescript",
            "openapi.json",
            "-o",
            "api.d.ts",
            "--default-non-nullable",
            "false",
        ],
        [
            "npx",
            "--no-install",
            "tsc",
            "--strict",
            "--target",
            "es2022",
            "--module",
            "node16",
            "--moduleResolution",
            "node16",
            "--types",
            "node",
            "--skipLibCheck",
            "client.ts",
        ],
        ["node", "client.js", address],
    ):
        subprocess.run(words, cwd=tmp_path, check=True)
