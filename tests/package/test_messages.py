"""What the server's part may show on a node is there in Chinese, message by message and value by value."""

from __future__ import annotations

import json
import re
import sys

import cloud_storage
import pytest
from cloud_storage import errors
from conftest import ROOT

CHINESE = re.compile("[一-鿿]")
NAMES = {  # values of drop-downs that are names: the same in every language
    *("png", "jpg", "webp", "mp4", "webm", "mkv", "gif", "h264", "h265", "vp9", "av1"),
    *("flac", "mp3", "wav", "opus"),
    *("V0", "64k", "96k", "128k", "192k", "320k", "alpha"),
    *("AnimateDiff", "Mochi", "LTXV", "Hunyuan", "Cosmos", "Wan"),
}
# inputs whose values are names all the same
OF_THE_SERVER = {"provider", "model_type", "model", "file", "folder"}


@pytest.fixture
def messages(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    monkeypatch.delitem(sys.modules, "messages", raising=False)
    import messages

    return messages


def test_every_message_has_its_chinese(messages):
    rows, said = messages.rows(), messages.all_templates()
    assert len(said) > 400
    assert list(rows) == said, "python3 tools/messages.py"
    assert not [template for template, chinese in rows.items() if not chinese], "fill in the empty rows"
    for template, chinese in rows.items():
        holes = {int(number) for number in re.findall(r"\{(\d+)\}", chinese)}
        assert holes <= set(range(template.count("{}"))), template
        assert CHINESE.search(chinese) or not re.search("[A-Za-z]{4}", template), template


def test_a_message_is_found_wherever_the_source_says_it(messages):
    source = '''
"""A docstring with words."""

TABLE = {"code": Row("what to do then")}


class Node:
    DESCRIPTION = "words of a node"

    def told(self, name: "int | None"):
        """Another docstring."""
        log.warning("for the log alone %s", name)
        spec = {"tooltip": "words beside an input"}
        text = f"Could not {f'read {name}' if name else 'look around'} here. Go on."
        raise errors.StorageError(text + " And more words.") from row.error(f"somebody said {name}")
'''
    assert list(messages.templates(source)) == [
        "what to do then",
        "Could not {} here. Go on.",
        "read {}",
        "look around",
        "And more words.",
        "somebody said {}",
    ]


def test_the_messages_of_errors_are_among_those_that_are_found(messages):
    there = set(messages.rows())
    assert "Could not {} ({}): {}. {}" in there, errors.sentence("x", "y", "z", "A.")
    assert errors.TAKEN in there


def test_every_value_of_a_drop_down_is_a_name_or_has_its_chinese(comfyui):
    text = (ROOT / "web" / "choices_zh.js").read_text(encoding="utf-8")
    rows = dict(re.findall(r'^  "?([^":]+)"?: "([^"]+)",$', text, re.MULTILINE))
    assert all(CHINESE.search(chinese) for chinese in rows.values())
    offered = set()
    for node in cloud_storage.NODE_CLASS_MAPPINGS.values():
        declared = node.INPUT_TYPES()
        for name, spec in {**declared.get("required", {}), **declared.get("optional", {})}.items():
            if isinstance(spec[0], list) and name not in OF_THE_SERVER:
                offered.update(map(str, spec[0]))
    assert offered - NAMES - set(rows) == set()
    assert set(rows) - offered <= {"(from profile)", "load what is there"}, "offered by nobody"


def test_the_table_is_a_module_of_the_page(messages):
    text = messages.FILE.read_text(encoding="utf-8")
    assert text.startswith(messages.HEAD)
    assert json.loads(text.removeprefix(messages.HEAD)) == messages.rows()
