"""What a status text lets through; what ComfyUI's page makes of it is in tests/real_comfyui."""

from __future__ import annotations

import re

import pytest
from cloud_storage import errors
from cloud_storage.comfyui import status_text
from cloud_storage.comfyui.progress import show_text
from hostile_texts import TEXTS

MEANS_SOMETHING = (
    re.compile(r"[<>&\[\]*`@]"),
    re.compile("__LNK"),
    re.compile(r"(?i)\b(?:https?|ftp|file)://"),
    re.compile(r"(?i)\bwww\."),
)


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_that_means_something_to_a_page_gets_into_a_status(comfyui, text):
    show_text("7", f"Loaded {text}.")
    ((shown, _, _),) = comfyui.texts
    assert not [each.pattern for each in MEANS_SOMETHING if each.search(shown)]
    assert len(shown) == len(f"Loaded {text}."), "each character has one that looks alike"


@pytest.mark.parametrize("odd", [*map(chr, (0, 7, 9, 13, 27, 0x7F, 0x85, 0x202E, 0x2066, 0xD800, 0xDFFF))])
def test_what_is_no_character_of_a_line_is_shown_as_such(odd):
    shown = status_text.safe(f"a{odd}b")
    assert shown == "a\ufffdb"
    shown.encode()  # as ComfyUI sends it


def test_an_ordinary_status_stays_as_it_is():
    text = "Uploaded 1.5 MB of 3.0 MB\nim Büro/图 (2) 'b' \"c\" 50% 👩‍🎨.png"
    assert status_text.safe(text) == text


def test_a_status_is_no_longer_than_somebody_reads():
    assert len(status_text.safe("x" * 100_000)) == status_text.MAX_CHARACTERS


@pytest.mark.parametrize(
    "error", [OSError(28, "disk full"), errors.StorageError("disk full."), ValueError("disk full")]
)
def test_why_there_is_no_preview_ends_in_one_full_stop(error):
    assert status_text.no_preview(error) == "There is no preview: disk full."
