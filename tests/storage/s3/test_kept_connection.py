"""Answers in every shape, on a connection that botocore has opened."""

from __future__ import annotations

import pytest
from cloud_storage.errors import TransferCancelled
from cloud_storage.storage.s3 import kept_connection
from cloud_storage.system.meter import Meter
from servers.scripted_server import answered
from urllib3.util.connection import is_connection_dropped


def get(made):
    connection = made.connection()
    assert connection is not None, "there is no connection"
    return made.get(connection, "c.png", {})


def waits(made):
    """Whether an open connection waits in the pool."""
    kept = [connection for connection in made._pool.pool.queue if connection is not None]
    return any(not is_connection_dropped(connection) for connection in kept if connection.sock is not None)


@pytest.mark.parametrize(
    "answer",
    [
        [bytes([byte]) for byte in answered(body=b"abc")],
        [b"HTTP/1.1 100 Continue\r\n\r\n", answered(body=b"abc")],
        b"HTTP/1.1 100 Continue\r\n\r\n" + answered(body=b"abc"),
        b"HTTP/1.1 200\r\nContent-Length:3\r\nETag:x\r\nx: 1\r\nX: 2\r\n\r\nabc",
    ],
    ids=["byte by byte", "continue", "continue in one", "bare"],
)
def test_an_answer_may_come_in_any_pieces(serve, answer):
    made = serve(answer)[1]
    reply = get(made)
    assert (reply.status, reply.read(2), reply.read(9)) == (200, b"ab", b"c")
    assert reply.headers.get("x", "1, 2") == "1, 2"


def test_a_large_answer_comes_whole_and_its_connection_is_used_again(serve):
    body = bytes(range(256)) * (1 << 13)
    server, made = serve(answered(body=body), answered(body=body))
    for _ in range(2):
        reply = get(made)
        assert b"".join(iter(lambda reply=reply: reply.read(300_000), b"")) == body
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        answered(body=b"abc", Connection="close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        answered(body=b"abc", Content_Length=""),
    ],
    ids=["close", "1.0", "no length"],
)
def test_a_connection_that_ends_with_its_answer_is_not_used_again(serve, answer):
    made = serve(answer)[1]
    get(made).read(3)
    assert not waits(made)


def test_a_body_that_is_not_read_to_its_end_closes_the_connection(serve):
    made = serve(answered(body=b"abc"))[1]
    reply = get(made)
    assert reply.read(1) == b"a"
    reply.close()
    assert not waits(made)


def test_instead_of_a_connection_that_the_server_has_closed_a_new_one_is_opened(serve):
    server, made = serve([answered(body=b"abc"), None], answered(body=b"def"))
    get(made).read(3)
    server.closed.wait()
    assert get(made).read(3) == b"def"
    assert server.connections == 2


@pytest.fixture
def cut_off(serve, monkeypatch):
    """The requests of a client whose connections are closed, and which can open no other."""

    def made(error):
        def connect(self):
            raise error(self, "no answer")

        made = serve([answered(body=b"abc"), None])[1]
        get(made).close()
        monkeypatch.setattr(made._pool.ConnectionCls, "connect", connect)
        return made

    return made


def test_where_no_connection_can_be_opened_botocore_says_why(cut_off):
    from botocore.exceptions import EndpointConnectionError
    from urllib3.exceptions import NewConnectionError

    made = cut_off(NewConnectionError)
    assert made.connection() is None
    with pytest.raises(EndpointConnectionError):
        made._client.get_object(Bucket="b", Key="c.png")


def test_a_server_that_cannot_be_reached_in_time_is_not_asked_twice(cut_off):
    from botocore.exceptions import ConnectTimeoutError
    from urllib3 import exceptions

    made = cut_off(exceptions.ConnectTimeoutError)
    with pytest.raises(ConnectTimeoutError):
        made.connection()
    assert not waits(made)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-", None], "ConnectionClosedError"),
        ([None], "ConnectionClosedError"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "ConnectionClosedError"),
        (b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", "ConnectionClosedError"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000 + b"\r\n", "TooLong"),
    ],
    ids=["cut", "nothing", "another protocol", "no header", "endless"],
)
def test_an_answer_that_is_none_is_an_error_of_the_connection(serve, answer, error):
    made = serve(answer)[1]
    with pytest.raises(Exception) as raised:
        get(made)
    assert type(raised.value).__name__ == error
    assert not waits(made)


def test_a_body_that_ends_too_soon_is_an_error(serve):
    from botocore.exceptions import IncompleteReadError

    made = serve([answered(body=b"abc", Content_Length="4"), None])[1]
    reply = get(made)
    with pytest.raises(IncompleteReadError, match="3 read"):
        reply.read(4)
    assert not waits(made)


def test_a_server_that_says_nothing_ends_in_a_time_out(serve, monkeypatch):
    from botocore.exceptions import ReadTimeoutError

    monkeypatch.setattr(kept_connection, "READ_SECONDS", 0.05)
    made = serve([])[1]
    with pytest.raises(ReadTimeoutError):
        get(made)


def test_cancel_ends_an_answer_that_does_not_come(serve):
    made, meter = serve([])[1], Meter()
    meter.stop()
    with meter.governs(), pytest.raises(TransferCancelled):
        get(made)
    assert not waits(made)
