"""The documents say the same in both languages: neither is changed without the other."""

from __future__ import annotations

import json
import re

import pytest
from conftest import ROOT
from documents import CHINESE, ENGLISH, blocks, codes, sections, tables, text_of

LETTERS = re.compile("[一-鿿]")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
OUTCOMES = {"kept": "留存", "error": "报错", "stored": "已保存", "loaded": "已加载", "listed": "已列出"}


def without_comments(block):
    """A block without what stands behind a # that begins a word, and without the space around lines."""
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in block.splitlines()]
    return [line for line in lines if line]


def targets(text):
    """Where the links of a text lead, each page by its English name and without the heading in it."""
    found = re.findall(r"\]\(([^)]+)\)", text)
    return sorted(re.sub(r"#.*", "#", target).replace(".zh.md", ".md") for target in found)


def test_every_page_is_there_in_both_languages():
    there = [*ROOT.glob("*.zh.md"), *(ROOT / "docs").glob("*.zh.md")]
    assert {path.relative_to(ROOT).as_posix() for path in there} == set(CHINESE.values())
    for name in ENGLISH:
        assert not LETTERS.search(text_of(name).replace("中文", "")), name
        assert LETTERS.search(text_of(CHINESE[name])), name


@pytest.mark.parametrize("name", ENGLISH)
def test_a_page_begins_with_a_link_to_the_other_language(name):
    here, there = (path.rpartition("/")[2] for path in (name, CHINESE[name]))
    assert text_of(name).splitlines()[2] == f"English | [中文]({there})"
    assert text_of(CHINESE[name]).splitlines()[2] == f"[English]({here}) | 中文"


@pytest.mark.parametrize("name", ENGLISH)
def test_the_headings_are_the_same_in_number_and_level(name):
    english, chinese = sections(text_of(name)), sections(text_of(CHINESE[name]))
    assert [each.level for each in english] == [each.level for each in chinese]


@pytest.mark.parametrize("name", ENGLISH)
def test_every_section_names_the_same_codes_and_leads_to_the_same_places(name):
    pairs = zip(sections(text_of(name)), sections(text_of(CHINESE[name])), strict=True)
    for english, chinese in list(pairs)[1:]:
        assert set(codes(english.text)) == set(codes(chinese.text)), english.title
        assert targets(english.text) == targets(chinese.text), english.title
        assert english.text.count("\n* ") == chinese.text.count("\n* "), english.title
        assert len(re.findall(r"\n\d\. ", english.text)) == len(re.findall(r"\n\d\. ", chinese.text))


@pytest.mark.parametrize("name", ENGLISH)
def test_the_blocks_are_the_same_but_for_their_comments(name):
    english, chinese = (map(without_comments, blocks(text_of(each))) for each in (name, CHINESE[name]))
    assert list(english) == list(chinese)


@pytest.mark.parametrize("name", ENGLISH)
def test_the_pictures_are_the_same(name):
    english, chinese = (re.findall(r"!\[[^]]*\]\(([^)]+)\)", text_of(each)) for each in (name, CHINESE[name]))
    assert english == chinese


@pytest.mark.parametrize("name", ENGLISH)
def test_the_tables_have_the_same_rows_codes_and_figures(name):
    english, chinese = tables(text_of(name)), tables(text_of(CHINESE[name]))
    assert len(english) == len(chinese)
    for ours, theirs in zip(english, chinese, strict=True):
        assert len(ours) == len(theirs), ours[0]
        for row, translated in zip(ours, theirs, strict=True):
            assert len(row) == len(translated), row
            for cell, other in zip(row, translated, strict=True):
                assert sorted(codes(cell)) == sorted(codes(other)), row
                assert sorted(NUMBER.findall(cell)) == sorted(NUMBER.findall(other)), row
                assert bool(cell) == bool(other), row


def test_the_nodes_have_the_names_that_comfyui_shows():
    names = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
    (nodes,) = (each for each in tables(text_of("README.zh.md")) if each[0][0] == "`CloudStorageProfile`")
    for node_id, name, _what in nodes:
        assert name == names[node_id.strip("`")]["display_name"]


def test_the_providers_have_their_own_names():
    def rows(name):
        return next(each for each in tables(text_of(name)) if each[0][0] == "AWS S3")

    assert [(row[0], *row[2:]) for row in rows("docs/providers.md")] == [
        (row[0], *row[2:]) for row in rows("docs/providers.zh.md")
    ]


def test_the_outcomes_of_a_fault_are_the_same():
    english, chinese = (tables(text_of(f"docs/failures{ending}"))[1] for ending in (".md", ".zh.md"))
    for row, translated in zip(english, chinese, strict=True):
        assert [OUTCOMES[outcome] for outcome in row[1:]] == translated[1:], row[0]
