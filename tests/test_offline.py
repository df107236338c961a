"""Nothing leaves the machine: each entry runs where asking anybody else fails, with a HOME that stays empty."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from tests.faces import draw_photo
from tests.toy_datasets import write_dataset

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "examples/astronaut-surgical.jpg"
ENTRY = [sys.executable, "-m", "facefill"]

GUARD = '''
"""Python runs this before anything else, in children too: no socket may reach further than this machine."""
import errno, os, sys

HERE = ("127.", "::1", "localhost", "0.0.0.0")

def refuse(event, given):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = given[1]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.getnameinfo"):
        address = given
    else:
        return
    host = address[0] if isinstance(address, tuple) else address
    host = host[0] if isinstance(host, tuple) else host
    host = host.decode() if isinstance(host, bytes) else host
    if not host or host.startswith(HERE) or event.split(".")[1] in ("connect", "sendto") and os.path.isabs(host):
        return
    with open(os.environ["ASKED"], "a") as log:
        print(event, host, " ".join(sys.argv[:4]), file=log)
    raise OSError(errno.ENETUNREACH, f"{event} {host} is not allowed here")

sys.addaudithook(refuse)
'''


class Alone:
    """A machine without a network, for commands."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.asked = folder, folder / "home", folder / "asked"
        guard = folder / "guard"
        for made in (self.home, guard):
            made.mkdir()
        (guard / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("XDG_", "MPL", "ORT_", "RAY_", "TORCH"))
        }
        path = os.pathsep.join([str(guard), str(ROOT / "src"), str(ROOT)])
        self.environment = {**kept, "HOME": str(self.home), "ASKED": str(self.asked), "PYTHONPATH": path}

    def run(self, words: Sequence[object]) -> str:
        done = subprocess.run(
            list(map(str, words)), cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        self.check()
        return done.stdout

    def check(self) -> None:
        asked = self.asked.read_text(encoding="utf-8") if self.asked.exists() else ""
        assert asked == ""
        written = [path.relative_to(self.home) for path in self.home.rglob("*") if path.is_file()]
        assert [path for path in written if path.parts[:2] != (".cache", "facefill")] == []


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(tmp_path)


def test_the_guard_sees_what_it_must(alone: Alone) -> None:
    """A name that is looked up and a datagram that is sent are seen, and a file in HOME, even if all is hushed up."""
    for attempt in (
        "socket.getaddrinfo('example.org', 80)",
        "socket.socket(2, 2).sendto(b'', ('192.0.2.1', 9))",
        "socket.socket().connect(('192.0.2.1', 9))",
        "open(os.path.expanduser('~/x'), 'w')",
    ):
        words = [sys.executable, "-c", f"import contextlib, os, socket\nwith contextlib.suppress(OSError): {attempt}"]
        with pytest.raises(AssertionError):
            alone.run(words)
        alone.asked.unlink(missing_ok=True)
        (alone.home / "x").unlink(missing_ok=True)
    alone.run([sys.executable, "-c", "import socket; socket.getaddrinfo('127.0.0.1', 80)"])


def test_the_library(alone: Alone) -> None:
    code = f"import facefill; facefill.unmask({str(PHOTO)!r}).save('out.jpg')"
    alone.run([sys.executable, "-c", code])
    assert Path(alone.folder / "out.jpg").is_file()


def test_both_engines_and_what_they_would_report_to(alone: Alone) -> None:
    """ONNX Runtime reports in native code, which the guard does not see: but it writes a database first."""
    code = (
        "import facefill.runtime.engine as engine, facefill.catalog as catalog\n"
        "import sys\n"
        "for kind, load in engine.engine_kinds().items(): load(catalog.find_weights('cover')[0]); print(kind)\n"
        "assert sys.modules['openvino_telemetry'] is None"
    )
    assert alone.run([sys.executable, "-c", code]).split() == ["openvino", "onnxruntime"]


@pytest.mark.soak
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_the_system_sees_no_address_either(alone: Alone) -> None:
    code = f"import facefill; facefill.unmask({str(PHOTO)!r})"
    code += "\nfrom facefill.runtime.engine import engine_kinds\nfrom facefill.catalog import find_weights"
    code += "\nimport time\nfor load in engine_kinds().values(): load(find_weights('cover')[0])\ntime.sleep(3)"
    trace = alone.folder / "trace"
    alone.run(
        ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", trace, sys.executable, "-c", code]
    )
    assert re.findall(r".*AF_INET.*", trace.read_text(encoding="utf-8")) == []


@pytest.mark.soak
def test_commands_and_worker_processes(alone: Alone) -> None:
    alone.run([*ENTRY, "unmask", PHOTO, "-o", "out.png", "--json"])
    alone.run([*ENTRY, "methods", "--json"])
    (alone.folder / "photos").mkdir()
    for index in range(4):
        shutil.copy(PHOTO, alone.folder / f"photos/{index}.jpg")
    alone.run([*ENTRY, "batch", "photos", "done", "--workers", 2, "--threads", 2])
    assert len(list((alone.folder / "done").glob("*.jpg"))) == 4
    write_dataset(alone.folder / "faces", 4, side=64)
    alone.run([*ENTRY, "wear", "faces", "worn"])


@pytest.mark.soak
def test_actors_of_ray(alone: Alone) -> None:
    pytest.importorskip("ray")
    (alone.folder / "photos").mkdir()
    Image.fromarray(draw_photo(320, 240)[0]).save(alone.folder / "photos/a.png")
    shutil.copy(PHOTO, alone.folder / "photos/b.jpg")
    done = subprocess.run(
        [*ENTRY, "batch", "photos", "done", "--ray", "auto", "--threads", "1"],
        cwd=alone.folder,
        env=alone.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr
    assert (alone.folder / "done/b.jpg").is_file()
    alone.check()


@pytest.mark.soak
def test_the_server(alone: Alone) -> None:
    """Asked through loopback by another process."""
    code = """
import base64, json, subprocess, sys, urllib.request
server = subprocess.Popen([sys.executable, "-m", "facefill", "serve", "--port", sys.argv[2]], stderr=subprocess.PIPE)
url = f"http://127.0.0.1:{sys.argv[2]}"
for _ in range(600):
    try:
        urllib.request.urlopen(url + "/", timeout=1).read()
        break
    except OSError:
        import time; time.sleep(0.1)
body = b'--b\\r\\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\\r\\n\\r\\n'
body += open(sys.argv[1], "rb").read()
request = urllib.request.Request(url + "/v1/unmask", body + b"\\r\\n--b--\\r\\n",
                                 {"Content-Type": "multipart/form-data; boundary=b"})
print(len(urllib.request.urlopen(request, timeout=120).read()))
server.terminate()
server.wait(30)
"""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert int(alone.run([sys.executable, "-c", code, PHOTO, port])) > 10_000


@pytest.mark.soak
def test_training_export_and_evaluation(alone: Alone) -> None:
    pytest.importorskip("torch")
    write_dataset(alone.folder / "faces", 12, side=64)
    (alone.folder / "small.toml").write_text(
        """
method = "swift"
[model]
small_widths = [8, 8, 16, 16]
detail_widths = [8, 8, 16, 16]
critic_widths = [8, 8, 16, 16]
detail_critic_widths = [8, 8, 16, 16]
bottom_dilations = [1]
crop_px = 64
[data]
folder = "faces"
side_px = 64
validation_images = 2
workers = 1
holes = {centre = 1}
[train]
stages = [{side_px = 64, images = 8, batch = 4}]
eval_images = 8
warmup_images = 4
bf16 = false
""",
        encoding="utf-8",
    )
    alone.run([*ENTRY, "train", "small.toml", "--run", "run"])
    assert list((alone.home / ".cache/facefill").iterdir()), "decoded faces lie where the docs say"
    alone.run([*ENTRY, "export", "run/weights.safetensors", "-o", "small.onnx"])
    write_dataset(alone.folder / "test", 12, split="test", side=64)
    alone.run(
        [
            *ENTRY,
            "evaluate",
            "test",
            "--methods",
            "telea,small.onnx",
            "--holes",
            "random20@64",
            "--limit",
            2,
            "--no-timings",
            "--report",
            "report",
        ]
    )


@pytest.mark.soak
def test_benchmarks(alone: Alone) -> None:
    """One in its own process, one in spawned ones; that all import what hushes them comes next."""
    (alone.folder / "photos").mkdir()
    shutil.copy(PHOTO, alone.folder / "photos/a.jpg")
    said = alone.run([sys.executable, ROOT / "benchmarks/worn_photos.py", "photos"])
    assert "a.jpg; completed" in said
    words = ["--methods", "swift", "--holes", "scratches", "--repeats", 1]
    assert "swift" in alone.run([sys.executable, ROOT / "benchmarks/fine.py", PHOTO, *words])


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_imports_facefill_before_what_would_report(path: Path) -> None:
    """`import facefill` is what turns it off."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = [
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    anywhere = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
    }
    if anywhere & {"openvino", "onnxruntime", "ray"}:
        ours = next(place for place, name in enumerate(top) if name and name.startswith("facefill"))
        theirs = [place for place, name in enumerate(top) if name and name.split(".")[0] in ("openvino", "onnxruntime")]
        assert all(ours < place for place in theirs)


def test_what_a_process_inherits_is_said_in_its_environment(alone: Alone) -> None:
    code = "import facefill, json, os; print(json.dumps(dict(os.environ)))"
    found = json.loads(alone.run([sys.executable, "-c", code]))
    assert (found["ORT_DISABLE_TELEMETRY"], found["RAY_USAGE_STATS_ENABLED"]) == ("1", "0")
