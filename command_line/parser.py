"""The commands and their options."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..comfyui import installation

_EXIT_CODES = (
    "Exit codes: 0 done; 1 something failed, the rest is done; 2 wrong usage or settings; 130 interrupted."
)


def parser() -> argparse.ArgumentParser:
    """Return the parser. Its result has ``command``, and ``action`` for models and outbox."""
    every = _every_command()
    top = argparse.ArgumentParser(
        prog="cloud.py",
        description="Files and models between this machine and a bucket, with the settings of the cloud "
        "storage nodes of ComfyUI.",
        epilog=_EXIT_CODES,
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, parents=[every], help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=_EXIT_CODES
        )

    setup = command("setup", "ask for a bucket and its access key, test them, and write the settings")
    setup.add_argument(
        "--print", action="store_true", dest="prints", help="print lines to export instead of writing a file"
    )
    command("test", "test what the access key may do in the bucket")
    ls = command("ls", "list keys with their sizes and dates")
    ls.add_argument(
        "prefix", nargs="?", default="", metavar="PREFIX", help="a folder, or the beginning of keys"
    )
    ls.add_argument("-r", "--recursive", action="store_true", help="also what is in subfolders")
    _add_pattern(ls)

    pull = command("pull", "download objects and folders")
    pull.add_argument(
        "keys", nargs="+", metavar="KEY", help="a key; or a folder, of which KEY/ is the content"
    )
    pull.add_argument(
        "--to", type=Path, default=Path(), metavar="PATH", help="the folder, or for one key the file"
    )
    push = command("push", "upload files and folders")
    push.add_argument(
        "paths",
        nargs="+",
        type=str,
        metavar="PATH",
        help="a file; or a folder, of which PATH/ is the content",
    )
    push.add_argument("--to", default="", metavar="PREFIX", help="the folder in the bucket")
    for both in (pull, push):
        _add_pattern(both)
        _add_dry_run(both)
        both.add_argument("--overwrite", action="store_true", help="replace what is there with other content")

    sync = command("sync", "make one folder like another one, of which one is in the bucket")
    sync.add_argument("source", metavar="FROM", help="a folder, or cloud:PREFIX for one in the bucket")
    sync.add_argument("target", metavar="TO", help="the same")
    sync.add_argument("--delete", action="store_true", help="also delete in TO what FROM does not have")
    _add_pattern(sync)
    _add_dry_run(sync)

    models = command("models", "list, download and upload models by ComfyUI's types and names")
    actions = models.add_subparsers(dest="action", metavar="ACTION", required=True)
    prefix = argparse.ArgumentParser(add_help=False)
    prefix.add_argument(
        "--prefix",
        metavar="PREFIX",
        help="where the models are in the bucket, instead of the setting models_prefix",
    )
    listed = actions.add_parser("list", parents=[every, prefix], help="list the models of both sides")
    listed.add_argument("type", nargs="?", default="", metavar="TYPE", help="for example loras")
    pulled = actions.add_parser(
        "pull", parents=[every, prefix], help="download models into ComfyUI's folders"
    )
    pulled.add_argument(
        "names", nargs="*", metavar="NAME", help="TYPE/NAME, for example loras/style/ink.safetensors"
    )
    pulled.add_argument(
        "--manifest", action="append", default=[], type=Path, metavar="FILE", help="a list in JSON"
    )
    pulled.add_argument(
        *("--workflow",),
        nargs="+",
        action="extend",
        default=[],
        type=Path,
        metavar="FILE",
        help="every model that these workflows name and this machine lacks: JSON, or a file with one inside",
    )
    pulled.add_argument("--overwrite", action="store_true", help="replace files of other origin")
    pushed = actions.add_parser("push", parents=[every, prefix], help="upload models of ComfyUI's folders")
    pushed.add_argument(
        "names", nargs="+", metavar="NAME", help="TYPE/NAME, for example loras/style/ink.safetensors"
    )
    pushed.add_argument("--overwrite", action="store_true", help="replace models with other content")
    for both in (pulled, pushed):
        _add_dry_run(both)

    outbox = command("outbox", "files whose upload failed, and that wait for another one")
    actions = outbox.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", parents=[every], help="list what waits")
    actions.add_parser("send", parents=[every], help="upload what waits")

    mirror = command("mirror", "upload new files of the folders that the setting mirror names")
    mirror.add_argument("--once", action="store_true", help="end when everything is uploaded")
    mirror.add_argument(
        "--all", action="store_true", help="also files from before the mirror was switched on"
    )
    return top


def _every_command() -> argparse.ArgumentParser:
    """Return the options that each command has."""
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--profile", default="", metavar="NAME", help="the profile of profiles.json")
    every.add_argument("--json", action="store_true", help="one JSON object a line on standard output")
    every.add_argument("-q", "--quiet", action="store_true", help="only errors, and what was asked for")
    where = every.add_argument_group(
        "where ComfyUI is", "Not needed if this script is in its custom_nodes. As ComfyUI's own options:"
    )
    where.add_argument("--comfyui", type=Path, metavar="DIR", help="the folder of ComfyUI")
    where.add_argument(
        "--base-directory", type=Path, metavar="DIR", help="the folder of models, user, output, …"
    )
    where.add_argument("--models-directory", type=Path, metavar="DIR")
    where.add_argument(
        "--user-directory", type=Path, metavar="DIR", help="profiles.json is in its __cloud_storage"
    )
    where.add_argument("--output-directory", type=Path, metavar="DIR")
    where.add_argument("--extra-model-paths-config", type=Path, action="append", default=[], metavar="FILE")
    return every


def _add_pattern(command: argparse.ArgumentParser) -> None:
    command.add_argument("--pattern", default="", help="only names like this, for example '*.png'")


def _add_dry_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def folders(options: argparse.Namespace) -> installation.Options:
    """Return where ComfyUI is, by these options."""
    return installation.Options(
        options.comfyui,
        options.base_directory,
        options.models_directory,
        options.user_directory,
        options.output_directory,
        tuple(options.extra_model_paths_config),
    )
