"""Nothing leaves the machine: what libraries would send, or write outside our cache, is turned off here."""

import os
import sys
from pathlib import Path


def stay_offline() -> None:
    """Turn off what libraries report about their use. `import facefill` calls it, so that it comes before their import.

    OpenVINO looks up www.google-analytics.com and writes ~/intel as soon as it finds `openvino_telemetry`; ONNX Runtime
    writes ~/.cache/Microsoft and sends to events.data.microsoft.com; Ray sends statistics of its use.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if it were not installed
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def cache_folder() -> Path:
    """Where decoded pictures and the like are kept: $XDG_CACHE_HOME/facefill, by default ~/.cache/facefill. The only
    folder that is written without having been named."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facefill"
