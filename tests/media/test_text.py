from __future__ import annotations

import codecs

import pytest
from cloud_storage import errors
from cloud_storage.media import text
from cloud_storage.media.damage import FAIL

WORDS = 'a cat, 一只猫 🐈\r\n{"tab": "\t"}\n\ufeff'  # the last one is text: a mark is one at the start


@pytest.mark.parametrize("byte_order_mark", [False, True])
@pytest.mark.parametrize("written", [WORDS, "", "\0", "\u2028"])
def test_a_text_comes_back_as_it_was(written, byte_order_mark):
    data = text.encode(written, byte_order_mark)
    assert data.startswith(codecs.BOM_UTF8) == byte_order_mark
    assert text.decode(data, "a.txt") == (written, ())


def test_half_a_character_and_too_much_are_refused():
    with pytest.raises(errors.MediaError, match="character 3 is half of one"):
        text.encode("ab\ud800c")
    assert len(text.encode("é" * 8_000_000)) == text.MAX_BYTES
    with pytest.raises(errors.MediaError, match="16,000,001 bytes"):
        text.encode("é" * 8_000_000 + "a")


def test_what_is_no_utf8_is_replaced_and_told_or_refused():
    data = codecs.BOM_UTF8 + "é: ".encode() + b"caf\xe9!"
    found, (note,) = text.decode(data, "a.csv")
    assert found == "é: caf\ufffd!"
    assert note.startswith("a.csv: some bytes are not UTF-8, the first one is byte 7")
    with pytest.raises(errors.MediaError, match=r"load the text \(a.csv\): byte 7 is not UTF-8.*on_damage"):
        text.decode(data, "a.csv", FAIL)


@pytest.mark.parametrize(
    ("data", "said"), [("né".encode("utf-16"), "it is UTF-16"), (b"\x89PNG\r\n\x1a\n\0", "it is no text")]
)
def test_another_kind_of_file_is_refused_in_any_case(data, said):
    with pytest.raises(errors.MediaError, match=said):
        text.decode(data, "a")


@pytest.mark.parametrize(
    ("typed", "extension", "kind"),
    [
        ("txt", "txt", "text/plain;charset=utf-8"),
        (" .md ", "md", "text/markdown;charset=utf-8"),
        ("CSV", "CSV", "text/csv;charset=utf-8"),
        ("json", "json", "application/json"),
        ("en.srt", "en.srt", "application/x-subrip"),
        ("caption", "caption", "text/plain;charset=utf-8"),
        ("", "", "text/plain;charset=utf-8"),
    ],
)
def test_any_extension_has_a_media_type(typed, extension, kind):
    assert text.clean_extension(typed) == extension
    assert text.media_type(extension) == kind


@pytest.mark.parametrize("typed", ["a/b", "a\\b", "..", "a.", "a b", "%date%", "x" * 33, "é", "a\n"])
def test_an_extension_that_is_none_is_refused(typed):
    with pytest.raises(errors.ConfigurationError, match="extension"):
        text.clean_extension(typed + "b" * (typed == "a\n"))
