#!/usr/bin/env python3
"""Try the nodes on this machine: an S3 server, an example through the very node classes, links that open.

    python3 tools/tryout.py                 run it and stop the server
    python3 tools/tryout.py --keep          leave the server up, and print the settings for a ComfyUI
    python3 tools/tryout.py --comfyui DIR   link the package into a ComfyUI, and start that with the server

No account, no ComfyUI and no installed package is needed: Python alone, and a network for the first run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import environment

if TYPE_CHECKING:
    from servers.s3_server import S3Server

BUCKET = "tryout"
NEEDED = ("torch", "numpy", "PIL", "boto3", "cryptography")  # of a Python that is used as it is


def arguments(words: list[str]) -> argparse.Namespace:
    """The command line; what stands behind ``--`` is ComfyUI's."""
    at = words.index("--") if "--" in words else len(words)
    own, comfyui_arguments = words[:at], words[at + 1 :]
    parser = argparse.ArgumentParser(
        prog="tools/tryout.py",
        description="Save, list, load and share pictures on an S3 server that this starts on this machine.",
        epilog="Everything behind -- goes to ComfyUI, for example: --comfyui ~/ComfyUI -- --cpu --port 8200",
    )
    parser.add_argument("--keep", action="store_true", help="leave the server up and print its settings")
    parser.add_argument("--comfyui", type=Path, metavar="DIR", help="link the package in there, and start it")
    parser.add_argument("--python", type=Path, metavar="PYTHON", help="its Python, where that is not found")
    parser.add_argument(
        "--here",
        action="store_true",
        help="run in the Python that runs this, which needs torch, Pillow, boto3 and cryptography; "
        "without it, .venvs/dev is made",
    )
    parsed = parser.parse_args(own)
    if parsed.comfyui is None and (parsed.python or comfyui_arguments):
        parser.error("--python and arguments behind -- belong to --comfyui DIR")
    parsed.comfyui_arguments = comfyui_arguments
    return parsed


def main(words: list[str]) -> int:
    """Run the command line ``words`` and return its exit code: 0 when everything did what it should."""
    options = arguments(words)
    if options.here:
        _check_here()
    else:
        environment.enter()
    environment.set_up_ministack()
    signal.signal(signal.SIGTERM, _stop)  # so that the server and its files go as they do at Ctrl-C
    try:
        return _run(options)
    except KeyboardInterrupt:
        print("\nStopped, and the server with it.")
        return 130
    except environment.SetupFailed as error:
        sys.exit(f"\n{error}")


def _check_here() -> None:
    environment.prepare()
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"{sys.executable} lacks {', '.join(missing)}. Without --here an environment is made.")


def _run(options: argparse.Namespace) -> int:
    import into_comfyui
    import story
    from servers.ministack import MiniStack
    from servers.processes import ServerFailed

    host = None
    if options.comfyui:
        host = into_comfyui.find(options.comfyui, options.python, options.comfyui_arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="tryout-") as folder, MiniStack(Path(folder)) as server:
            server.create_bucket(BUCKET)
            settings = settings_of(server)
            print(f"\nAn S3 server with a bucket {BUCKET!r} is up at {server.endpoint_url}", flush=True)
            told = story.tell(settings, Path(folder))
            if host and not told:
                return into_comfyui.run(host, settings)
            if options.keep:
                print(how_to_use(settings), flush=True)
                _wait()
    except ServerFailed as error:
        sys.exit(f"\n{error}")
    print("\nThe server is stopped now, and its links with it. Leave it up with the option --keep.")
    return told


def settings_of(server: S3Server) -> dict[str, str]:
    """The environment variables that point the nodes at ``server``."""
    return {
        "COMFY_S3_PROVIDER": "Custom",
        "COMFY_S3_ENDPOINT_URL": server.endpoint_url,
        "COMFY_S3_ACCESS_KEY": server.keys.access_key,
        "COMFY_S3_SECRET_KEY": server.keys.secret_key,
        "COMFY_S3_BUCKET": BUCKET,
    }


def how_to_use(settings: dict[str, str], windows: bool = os.name == "nt") -> str:
    """The settings in the three forms that people need: a shell's, and profiles.json."""
    if windows:
        shell = ["# PowerShell", *(f'$env:{name} = "{value}"' for name, value in settings.items())]
        shell += ["", "rem Command Prompt", *(f"set {name}={value}" for name, value in settings.items())]
    else:
        shell = [f"export {name}='{value}'" for name, value in settings.items()]
    profile = {name.removeprefix("COMFY_S3_").lower(): value for name, value in settings.items()}
    file = json.dumps({"profiles": {"tryout": profile}}, indent=2)
    return "\n".join(
        [
            "\nPoint a ComfyUI at this server: set these where you start it, and start it",
            "",
            *shell,
            "",
            "or, without a restart, make a profile called tryout in its user/__cloud_storage/profiles.json",
            "",
            file,
            "",
            "The server keeps everything in memory. Ctrl-C stops it.",
        ]
    )


def _wait() -> NoReturn:
    while True:
        time.sleep(1)


def _stop(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
