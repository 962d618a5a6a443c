"""The entry of the command line: what is asked for, where ComfyUI is, and which module does it."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

from ..comfyui import installation
from ..errors import ConfigurationError
from ..system.meter import Meter
from . import parser as parsers
from . import running
from .console import Console
from .context import Context

# The module of each command, and the function in it: (Context, Meter) -> exit code
COMMANDS = {
    "setup": ("setup", "setup"),
    "test": ("connection", "test"),
    "ls": ("objects", "ls"),
    "pull": ("objects", "pull"),
    "push": ("objects", "push"),
    "sync": ("objects", "sync"),
    "models list": ("models", "list_models"),
    "models pull": ("models", "pull"),
    "models push": ("models", "push"),
    "outbox list": ("outbox", "list_waiting"),
    "outbox send": ("outbox", "send"),
    "mirror": ("mirror", "run"),
}


def main(arguments: Sequence[str], folder: str) -> int:
    """Run a command and return its exit code. ``folder`` is that of the package."""
    options = parsers.parser().parse_args(arguments)
    console = Console(is_json=options.json, is_quiet=options.quiet)
    name = " ".join(filter(None, (options.command, getattr(options, "action", ""))))
    try:
        context = _context(options, name, console, Path(folder))
    except ConfigurationError as error:
        console.error(str(error), type(error).__name__)
        return running.WRONG_USAGE
    module, function = COMMANDS[name]

    def work(meter: Meter) -> int:
        found = importlib.import_module(f".{module}", __package__)
        return int(getattr(found, function)(context, meter))

    run = running.run_here if name == "setup" else running.run  # it asks questions
    code = run(work, console)
    console.event("done", command=name, exit_code=code, **context.summary)
    return code


def _context(options: argparse.Namespace, name: str, console: Console, folder: Path) -> Context:
    found = installation.find(folder, parsers.folders(options))
    installation.install(found)
    return Context(options, name, console, found)
