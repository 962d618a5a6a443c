"""The options of each command."""

from __future__ import annotations

from pathlib import Path

import pytest
from cloud_storage.command_line import main, parser


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ls", {"prefix": "", "recursive": False, "pattern": ""}),
        ("pull a b/ --to out", {"keys": ["a", "b/"], "to": Path("out"), "overwrite": False}),
        ("push a --to x --dry-run", {"paths": ["a"], "to": "x", "dry_run": True}),
        ("sync a cloud:b --delete", {"source": "a", "target": "cloud:b", "delete": True}),
        (
            "models pull --workflow a.json b.png --workflow c.mp4",
            {"workflow": [Path("a.json"), Path("b.png"), Path("c.mp4")]},
        ),
        ("models push loras/a.safetensors --prefix m/", {"names": ["loras/a.safetensors"], "prefix": "m/"}),
        ("outbox send --profile p --json -q", {"profile": "p", "json": True, "quiet": True}),
        ("setup --print", {"prints": True}),
    ],
)
def test_the_words_of_a_command_line(words, expected):
    options = parser.parser().parse_args(words.split())
    assert {name: getattr(options, name) for name in expected} == expected


def test_comfyui_is_where_its_own_options_say():
    words = ["ls", "--comfyui", "c", "--base-directory", "b", "--user-directory", "u"]
    folders = parser.folders(parser.parser().parse_args([*words, "--extra-model-paths-config", "x.yaml"]))
    assert (folders.comfyui, folders.base_directory, folders.user_directory) == (
        Path("c"),
        Path("b"),
        Path("u"),
    )
    assert folders.extra_model_paths_config == (Path("x.yaml"),)


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_command_has_a_help_with_the_exit_codes(command, capsys):
    with pytest.raises(SystemExit) as ended:
        parser.parser().parse_args([*command.split(), "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert "--profile NAME" in shown
