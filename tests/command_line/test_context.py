"""What every command has."""

from __future__ import annotations

import pytest
from cloud_storage.comfyui.installation import Installation
from cloud_storage.command_line.console import Console
from cloud_storage.command_line.context import Context
from cloud_storage.command_line.parser import parser
from cloud_storage.errors import ConfigurationError


def context(tmp_path, base):
    installation = Installation(base, tmp_path / "models", tmp_path / "user", tmp_path / "output")
    return Context(parser().parse_args(["ls"]), "ls", Console(), installation)


def test_models_need_a_comfyui(tmp_path):
    context(tmp_path, tmp_path).require_comfyui()
    with pytest.raises(ConfigurationError, match="--comfyui DIR"):
        context(tmp_path, None).require_comfyui()


def test_the_exit_code_says_if_something_failed(tmp_path):
    found = context(tmp_path, tmp_path)
    assert found.exit_code() == 0
    found.console.failed += 1
    assert found.exit_code() == 1
