"""What a request may hold: JSON of one kind, up to a size."""

from __future__ import annotations

import socket
import urllib.parse

import pytest
from cloud_storage.page import request_reading


@pytest.mark.parametrize("body", [b"no json", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a"'])
def test_a_body_that_is_no_json_object_is_refused(ask, comfyui, body):
    answer = ask.post("models/workflow", body)
    assert (answer.status, answer.json["kind"]) == (400, "ConfigurationError")
    assert "not a JSON object" in answer.json["error"]


def test_a_body_that_is_too_large_is_refused_with_the_size(ask, comfyui, monkeypatch):
    monkeypatch.setattr(request_reading, "BODY_BYTES", 1 << 20)
    answer = ask.post("models/workflow", {"workflow": {"x": "y" * (1 << 20)}})
    assert (answer.status, answer.json["kind"]) == (400, "ConfigurationError")
    assert "larger than 1 MB" in answer.json["error"]


def test_a_body_that_never_ends_is_given_up(ask, comfyui, monkeypatch):
    monkeypatch.setattr(request_reading, "BODY_SECONDS", 0.2)
    address = urllib.parse.urlsplit(ask.address)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        lines = (
            "POST /api/cloud_storage/models/workflow HTTP/1.1",
            f"Host: {address.netloc}",
            "X-Cloud-Storage: 1",
        )
        connection.sendall("\r\n".join((*lines, "Content-Length: 100", "", "{")).encode())
        answer = connection.recv(10_000)
    assert b" 504 " in answer.splitlines()[0]
