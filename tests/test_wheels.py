"""What the core brings: wheels for every system that the README names, and no more than it needs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PLATFORMS = {
    "Linux x86-64": [f"manylinux{tag}_x86_64" for tag in ("2014", "_2_17", "_2_27", "_2_28", "_2_31")],
    "Linux aarch64": [f"manylinux{tag}_aarch64" for tag in ("2014", "_2_17", "_2_27", "_2_28", "_2_35")],
    "macOS arm64": [
        f"macosx_{tag}"
        for tag in (
            "11_0_arm64",
            "12_0_arm64",
            "13_0_arm64",
            "14_0_arm64",
            "10_9_universal2",
            "10_13_universal2",
            "11_0_universal2",
        )
    ],
    "Windows x86-64": ["win_amd64"],
}
MOST_BYTES = 455_000_000
"""Size of all wheels of the core unpacked; more is no accident."""


def wanted(system: str, version: str) -> list[str]:
    """What the core needs there; pip asks markers about the machine that it runs on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, _, machine = system.partition(" ")
    there = {
        "python_version": version,
        "platform_machine": machine,
        "sys_platform": {"Linux": "linux", "macOS": "darwin", "Windows": "win32"}[name],
    }
    needed = map(Requirement, project["dependencies"])
    return [f"{one.name}{one.specifier}" for one in needed if one.marker is None or one.marker.evaluate(there)]


@pytest.mark.soak
@pytest.mark.parametrize("system", PLATFORMS)
def test_the_core_has_wheels_for_every_system_and_stays_small(tmp_path: Path, system: str) -> None:
    platforms = [word for tag in PLATFORMS[system] for word in ("--platform", tag)]
    for version in ("3.11", "3.13"):
        folder = tmp_path / version
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--only-binary=:all:",
                *platforms,
                "--python-version",
                version,
                "-d",
                folder,
                "-c",
                ROOT / "constraints.txt",
                *wanted(system, version),
            ],
            check=True,
        )
        sizes = {}
        for path in folder.glob("*.whl"):
            with zipfile.ZipFile(path) as wheel:
                sizes[path.name] = sum(entry.file_size for entry in wheel.infolist())
        print(f"{system}, Python {version}: {sum(sizes.values()) / 1e6:.0f} MB in {len(sizes)} packages")
        assert sum(sizes.values()) <= MOST_BYTES, sorted(sizes.items(), key=lambda item: -item[1])
