"""Workflows in JPEG, Matroska, Ogg, MP3, GLB and safetensors files; real ones are in tests/page."""

from __future__ import annotations

import json
import struct
from io import BytesIO

import pytest
from cloud_storage.errors import MediaError
from cloud_storage.media import workflow_places, workflow_reader

WORKFLOW = {"nodes": [{"id": 1, "type": "LoraLoader"}], "text": "ü 日本"}
TEXT = json.dumps(WORKFLOW, ensure_ascii=False)


def element(kind, content, *, size=None):
    head = kind.to_bytes((kind.bit_length() + 7) // 8, "big")
    return head + (size or (1 << 56 | len(content)).to_bytes(8, "big")) + content


def tags(name="WORKFLOW"):
    simple = element(0x67C8, element(0x45A3, name.encode()) + element(0x4487, TEXT.encode()))
    return element(0x1254C367, element(0x7373, simple))


def matroska(body, *, size=None):
    return element(0x1A45DFA3, b"") + element(0x18538067, body, size=size)


UNKNOWN = b"\x01" + b"\xff" * 7
CLUSTER = element(0x1F43B675, b"\0" * 5000)


def pointed_at(clusters):
    """A table with the place of tags after the clusters, as live streams get none."""
    entry = element(0x53AB, (0x1254C367).to_bytes(4, "big"))
    table = element(0x114D9B74, element(0x4DBB, entry + element(0x53AC, b"\0" * 8)))
    place = len(table) + len(clusters)
    table = element(0x114D9B74, element(0x4DBB, entry + element(0x53AC, place.to_bytes(8, "big"))))
    return table + clusters + tags()


def txxx(version, encoding, text):
    body = bytes([encoding]) + text
    size = len(body)
    sizes = [size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127]
    frame = b"TXXX" + (bytes(sizes) if version == 4 else struct.pack(">I", size)) + b"\0\0" + body
    total = len(frame)
    whole = bytes([total >> 21 & 127, total >> 14 & 127, total >> 7 & 127, total & 127])
    return b"ID3" + bytes([version, 0, 0]) + whole + frame


FILES = {
    "tags first": matroska(tags() + CLUSTER),
    "tags after clusters": matroska(CLUSTER * 3 + tags("workflow")),
    "tags in the table": matroska(pointed_at(CLUSTER * 3)),
    "an unknown size": matroska(tags() + CLUSTER, size=UNKNOWN),
    "ID3 2.3 in UTF-16": txxx(3, 1, f"workflow\0{TEXT}".encode("utf-16")),
    "ID3 2.4 in UTF-8": txxx(4, 3, f"workflow\0{TEXT}".encode()),
    "safetensors": b"".join(
        [
            struct.pack("<Q", 70_000),
            b'{"__metadata__":',
            json.dumps({"workflow": TEXT}).encode(),
            b" " * 70_000,
        ]
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_the_workflow_is_found(name):
    assert workflow_reader.find(BytesIO(FILES[name]), "a") == WORKFLOW


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_ends_anywhere_is_an_error_in_plain_words_or_complete(name):
    data = FILES[name]
    for length in (*range(0, min(len(data), 400), 7), len(data) // 2):
        try:
            found = workflow_reader.find(BytesIO(data[:length]), "a")
        except MediaError as error:
            assert "has no workflow" in str(error)
        else:
            assert found == WORKFLOW


def test_no_size_in_a_file_makes_a_reader_go_back_or_run_forever():
    for data in (
        element(0x18538067, b"", size=b"\x80") * 50,
        b"\x1aE\xdf\xa3" + b"\x80" * 100,
        b"ID3\4\0\0\x7f\x7f\x7f\x7f" + (b"TABC" + b"\0" * 6) * 100,
        b"\xff\xd8" + b"\xff\xe1\0\0" * 100,
    ):
        with pytest.raises(MediaError):
            workflow_reader.find(BytesIO(data), "a")
    assert workflow_places.MAX_BYTES < 1 << 30
