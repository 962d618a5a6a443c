"""A socket that watches what it sends and receives: by rate, whatever the line's speed; Cancel ends it.

One thread plays both ends. Whenever the socket looks whether it was cancelled, the peer takes some bytes and
the clock goes on: no test waits, and none depends on the machine's speed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import sys
import threading
from types import SimpleNamespace

import pytest
from cloud_storage import errors
from cloud_storage.storage import connection_watch
from cloud_storage.system.meter import Meter
from servers.certificates import certificates

DATA = os.urandom(200_000)


class Peer:
    """The other end, and the clock. ``meter`` has it take ``step`` bytes in ``seconds`` at each look."""

    def __init__(self, end, step, seconds):
        self.end, self.step, self.seconds = end, step, seconds
        self.now, self.took, self.most = 0.0, bytearray(), float("inf")
        self.meter = Meter()
        self.meter.check = self.look
        self.cancelled = False

    def look(self):
        if self.cancelled:
            raise errors.TransferCancelled("x")
        self.now += self.seconds
        if len(self.took) < self.most:
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
                self.took += self.end.recv(self.step)


@pytest.fixture(params=["plain", "TLS"])
def ends(request, tmp_path):
    """Two connected sockets with small buffers: (ours, the peer's)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ours = socket.socket()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 << 10)
        ours.settimeout(10)
        ours.connect(listener.getsockname())
        theirs = listener.accept()[0]
    if request.param == "TLS":
        made = certificates(tmp_path)
        server = made.server_context()
        accepted = []
        thread = threading.Thread(
            target=lambda: accepted.append(server.wrap_socket(theirs, server_side=True))
        )
        thread.start()
        ours = ssl.create_default_context(cafile=str(made.authority)).wrap_socket(
            ours, server_hostname="localhost"
        )
        thread.join()
        theirs = accepted[0]
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def watch(ends, monkeypatch):
    """A watched socket and its peer: ``watch(step, seconds)``."""

    def made(step, seconds):
        peer = Peer(ends[1], step, seconds)
        monkeypatch.setattr(connection_watch, "time", SimpleNamespace(monotonic=lambda: peer.now))
        monkeypatch.setattr(connection_watch, "POLL_SECONDS", 0.001)
        return connection_watch.WatchedSocket(ends[0]), peer

    return made


@pytest.fixture(params=["bytes", "file"])
def send(request, ends, tmp_path):
    """A function that sends DATA on a watched socket: from memory, or the file itself."""
    if request.param == "bytes":
        return lambda line: line.sendall(DATA)
    if not (hasattr(os, "sendfile") and type(ends[0]) is socket.socket):
        pytest.skip("a file is sent by itself only where the system can, and without TLS")
    (tmp_path / "data").write_bytes(DATA)

    def send_file(line):
        assert line.sends_files
        with (tmp_path / "data").open("rb") as file:
            sent = 0
            while sent < len(DATA):
                sent += line.send_file(file.fileno(), sent, len(DATA) - sent)

    return send_file


def test_a_line_as_slow_as_an_answer_may_be_sends_all(watch, send):
    line, peer = watch(4096, 3.9)
    with peer.meter.governs():
        send(line)
        while len(peer.took) < len(DATA):
            peer.look()
    assert bytes(peer.took) == DATA
    assert peer.now > 180, "it took minutes, and urllib3 had set ten seconds"
    assert line.gettimeout() == 10


def test_a_line_that_is_slower_is_as_good_as_none(watch, send):
    line, peer = watch(400, 1.0)
    # Of TLS a whole record is taken at once; the system's window opens by leaps, and may count as shut then
    slow = (connection_watch.TooSlow, TimeoutError) if line._is_tls else connection_watch.TooSlow
    said = r"\d+ bytes of the request were sent|accepts no more of the request"
    with peer.meter.governs(), pytest.raises(slow, match=said):
        send(line)


@pytest.mark.parametrize("first", [0, 100_000])
def test_a_peer_that_takes_nothing_more_ends_it(watch, send, first):
    line, peer = watch(4096, 0.5)
    peer.most = first
    with peer.meter.governs(), pytest.raises(TimeoutError, match="accepts no more of the request"):
        send(line)
    assert peer.now < 100


def test_cancel_ends_what_is_being_sent(watch, send):
    line, peer = watch(4096, 0.5)
    peer.most = 0
    take = peer.look

    def look():
        peer.cancelled = peer.now > 5
        take()

    peer.meter.check = look
    with peer.meter.governs(), pytest.raises(errors.TransferCancelled):
        send(line)


@pytest.mark.skipif(not hasattr(os, "sendfile"), reason="this system cannot send files")
@pytest.mark.parametrize("ends", ["plain"], indirect=True)
def test_a_file_that_the_system_cannot_send_is_left_to_the_caller(watch, monkeypatch, tmp_path):
    line, _ = watch(4096, 0.0)
    read_end, write_end = os.pipe()  # as the files of some file systems
    try:
        assert line.send_file(read_end, 0, 10) == 0
    finally:
        os.close(read_end)
        os.close(write_end)
    monkeypatch.delattr(os, "sendfile")
    assert not line.sends_files


@pytest.mark.parametrize("ends", ["TLS"], indirect=True)
def test_with_tls_no_file_is_sent_as_it_is(watch):
    assert not watch(4096, 0.0)[0].sends_files


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell what is still to be sent")
def test_what_the_system_still_sends_is_no_silence(ends, watch):
    ends[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    line, peer = watch(2048, 1.9)
    with peer.meter.governs():
        line.sendall(DATA)
        assert len(peer.took) < len(DATA) / 2, "the system has taken more than the peer"
        line.makefile("rb", 0)
        take = peer.look

        def look():
            take()
            if len(peer.took) == len(DATA) and not peer.cancelled:
                peer.end.send(b"HTTP/1.1 200 OK")
                peer.most = 0

        peer.meter.check = look
        line.settimeout(30)
        began = peer.now
        assert line.receive(bytearray(100)) == 15
    assert bytes(peer.took) == DATA
    assert peer.now - began > 60


@pytest.mark.parametrize("takes", [0, 100_000])
def test_an_answer_that_does_not_come_is_a_silence_whatever_is_still_to_be_sent(ends, watch, takes):
    ends[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    line, peer = watch(4096, 1.0)
    peer.most = takes
    with peer.meter.governs():
        line.sendall(DATA)
        line.makefile("rb", 0)
        line.settimeout(30)
        with pytest.raises(TimeoutError):
            line.receive(bytearray(100))
    assert peer.now < 200


def test_through_tls_within_tls_all_arrives(tmp_path):
    """As an HTTPS proxy has it: urllib3's own socket, which is none of Python's."""
    from urllib3.util.ssltransport import SSLTransport

    made = certificates(tmp_path)
    ours, theirs = socket.socketpair()
    took = bytearray()

    def serve():
        with made.server_context().wrap_socket(theirs, server_side=True) as end:
            while len(took) < len(DATA):
                took.extend(end.recv(5000))

    thread = threading.Thread(target=serve)
    thread.start()
    context = ssl.create_default_context(cafile=str(made.authority))
    ours.settimeout(10)
    line = connection_watch.WatchedSocket(SSLTransport(ours, context, server_hostname="localhost"))
    line.sendall(DATA)
    thread.join()
    ours.close()
    assert bytes(took) == DATA
