"""The documents as tests read them: which there are, and their sections, tables and blocks.

A page in English is ``name.md``, the same in Chinese ``name.zh.md`` beside it. What is said of sections is
said of the English pages; a heading stands in them once.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from conftest import ROOT

_PAGES = [path.name for path in sorted((ROOT / "docs").glob("*.md")) if not path.name.endswith(".zh.md")]
ENGLISH = ("README.md", *(f"docs/{name}" for name in _PAGES))
CHINESE = {name: name.replace(".md", ".zh.md") for name in ENGLISH}
DOCUMENTS = (*ENGLISH, *CHINESE.values(), "CONTRIBUTING.md", "CHANGELOG.md")

_BLOCK = re.compile(r"^ *```(.*?)^ *```", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """A heading, its level, and the text below it, up to the next heading of any level."""

    level: int
    title: str
    text: str


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def sections(text: str) -> list[Section]:
    """Those of a document, in order; a line of a fenced block is no heading, whatever it begins with."""
    hidden = _BLOCK.sub(lambda block: re.sub(r"[^\n]", "·", block[0]), text)
    found = list(_HEADING.finditer(hidden))
    ends = [each.start() for each in found[1:]] + [len(text)]
    return [
        Section(len(each[1]), each[2], text[each.end() : end]) for each, end in zip(found, ends, strict=True)
    ]


def section(title: str) -> str:
    """The text below a heading of an English page."""
    (found,) = (each for name in ENGLISH for each in sections(text_of(name)) if each.title == title)
    return found.text


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a text: their rows, without the head; cells without the space around them."""
    found = re.findall(r"((?:^\|.*\n)+)", f"{text}\n", re.MULTILINE)
    return [
        [[cell.strip() for cell in row.split("|")[1:-1]] for row in each.splitlines()[2:]] for each in found
    ]


def table(title: str) -> list[list[str]]:
    """The rows of the first table below a heading, cells without their backticks."""
    return [[cell.replace("`", "") for cell in row] for row in tables(section(title))[0]]


def codes(text: str) -> list[str]:
    """What stands between backticks, outside of fenced blocks."""
    return re.findall(r"`([^`\n]+)`", _BLOCK.sub("", text))


def blocks(text: str) -> list[str]:
    """Every fenced block, its first line being its language, or empty."""
    return [block[1] for block in _BLOCK.finditer(text)]


def json_blocks(text: str) -> list[object]:
    return [json.loads(block.removeprefix("json")) for block in blocks(text) if block.startswith("json")]
