"""Behind a real nginx, under a path of its own."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx2
import pytest

from tests.server.service import PNG, Gate, listening, service

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")

CONFIG = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 90m; proxy_request_buffering off; proxy_buffering off;
    location /faces/ {{
      proxy_pass http://127.0.0.1:{server}{path}; proxy_http_version 1.1; proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    }}
  }}
}}
"""


@contextmanager
def proxy(folder: Path, server: int, path: str) -> Iterator[str]:
    """A running nginx that hands /faces/ on: its address. path: / takes the prefix off, nothing leaves it on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port, server=server, path=path))
    process = subprocess.Popen(
        ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    )
    try:
        until = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert time.monotonic() < until, (folder / "error.log").read_text()
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("path", ["/", ""], ids=["prefix taken off", "prefix left on"])
def test_the_api_works_under_a_path_of_a_proxy(tmp_path: Path, path: str) -> None:
    made = service(tmp_path, Gate(), root_path="/faces")
    with listening(made) as (port, _), proxy(tmp_path, port, path) as address:
        site = f"{address}/faces"
        assert httpx2.get(f"{site}/v1/health").json()["status"] == "ok"
        said = httpx2.get(f"{site}/v1/openapi.json").json()
        assert said["servers"] == [{"url": "/faces"}]
        for name in ("unmask", "detect"):
            url = urljoin(f"{site}/v1/openapi.json", f"{said['servers'][0]['url']}/v1/{name}")
            answer = httpx2.post(url, files={"photo": PNG}, headers={"Origin": address})
            assert answer.status_code == 200, answer.text
        assert httpx2.get(site, follow_redirects=True).status_code == 200


def test_everything_that_the_page_names_is_found_under_a_path_of_a_proxy(tmp_path: Path) -> None:
    made = service(tmp_path, Gate(), root_path="/faces")
    with listening(made) as (port, _), proxy(tmp_path, port, "/") as address:
        for page in (f"{address}/faces/", f"{address}/faces/docs"):
            names = re.findall(r'\b(?:src|href)="([^"#]+)"', httpx2.get(page).text)
            assert names
            for name in names:
                assert httpx2.get(urljoin(page, name)).status_code == 200, name
