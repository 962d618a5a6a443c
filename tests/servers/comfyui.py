"""A real ComfyUI with this package in its custom_nodes, for tests: another port, and folders of its own.

``COMFYUI_PATH`` names the check-out, ``COMFYUI_PYTHON`` the Python that starts it, and ``COMFYUI_FRONTEND``,
where wanted, a frontend's folder (``comfyui_frontend_package/static``) other than the installed one.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .processes import Processes, free_ports

NAME = "comfyui-cloud-storage"
FOLDERS = ("custom_nodes", "input", "output", "temp", "user", "models")
READY_SECONDS = 300  # importing torch from a cold disk

# Of a user who has seen the page before: without these, dialogs cover it.
SEEN = {
    "Comfy.TutorialCompleted": True,
    "Comfy.InstalledVersion": "9.9.9",
    "Comfy.Release.Status": "skipped",
    "Comfy.Notification.ShowVersionUpdates": False,
    "Comfy.Workflow.Persist": False,
    "Comfy.Workflow.ShowMissingModelsWarning": False,
}


@contextmanager
def running(
    folder: Path,
    package: Path,
    settings: Mapping[str, str],
    others: Sequence[Path] = (),
) -> Iterator[str]:
    """Start ComfyUI with everything that it writes below ``folder``; yields its address. ``others`` are more
    packages: their folders, or modules.
    """
    core = Path(os.environ["COMFYUI_PATH"]).resolve()
    port = free_ports(1)[0]
    address = f"http://127.0.0.1:{port}"
    processes = Processes(folder)
    try:
        for name in FOLDERS:
            (folder / name).mkdir(exist_ok=True)  # of one that was stopped
        (folder / "custom_nodes" / NAME).symlink_to(package, target_is_directory=True)
        for other in others:
            (folder / "custom_nodes" / other.name).symlink_to(other, target_is_directory=other.is_dir())
        command = [os.environ.get("COMFYUI_PYTHON", sys.executable), str(core / "main.py"), "--cpu"]
        command += ["--listen", "127.0.0.1", "--port", str(port), "--base-directory", str(folder)]
        command += ["--disable-auto-launch", "--disable-api-nodes", "--database-url", "sqlite:///:memory:"]
        if "COMFYUI_FRONTEND" in os.environ:
            command += ["--front-end-root", os.environ["COMFYUI_FRONTEND"]]
        own = {"COMFY_S3_MODELS_KEEP_FREE_GB": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        processes.start("comfyui", command, {**os.environ, **own, **settings})
        ours = f"{address}/object_info/SaveImageToCloud"
        processes.wait_until(lambda: _answers(ours), "ComfyUI has our nodes", READY_SECONDS)
        configure(address, SEEN)
        yield address
    finally:
        processes.stop()


def configure(address: str, settings: Mapping[str, object]) -> None:
    """Change settings of the page, as its settings dialog does."""
    body, kind = json.dumps(settings).encode(), {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{address}/api/settings", body, kind)):
        pass


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(json.load(answer))
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
