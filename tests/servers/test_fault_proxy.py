"""The fault proxy leaves signatures and bytes alone, is exact in faults and counts, and gone once closed."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, HTTPClientError
from servers.fault_proxy import FaultProxy
from servers.faults import LOST_ANSWER, Answer, Cut, Delay, Fault, Flip, Headers, s3_error, shifted

CONTENT = bytes(range(256)) * 4096  # 1 MiB, in which every byte tells its position


@pytest.fixture
def server(servers):
    return servers("ministack")


@pytest.fixture
def bucket(server) -> str:
    """A bucket with one object "x" of 1 MiB."""
    name = server.create_bucket()
    server.client().put_object(Bucket=name, Key="x", Body=CONTENT)
    return name


@pytest.fixture
def proxy(server) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", server.port) as running:
        yield running


@pytest.fixture
def client(server, proxy):
    return server.client(endpoint_url=proxy.url)


def get(client, bucket: str, key: str = "x") -> bytes:
    return client.get_object(Bucket=bucket, Key=key)["Body"].read()


def stored(server, bucket: str, key: str) -> bool:
    """Whether the server itself has the object."""
    return server.client().list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"] == 1


class Origin(BaseHTTPRequestHandler):
    """A server that shows every way in which a response can end, and says what it received."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for size in (1, 1000, 300_000):
                self.wfile.write(b"%x\r\n%b\r\n" % (size, CONTENT[:size]))
            self.wfile.write(b"0\r\nX-Trailer: end\r\n\r\n")
        elif self.path == "/until-close":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(CONTENT)
        elif self.path == "/304":
            self.send_response(304)
            self.send_header("Content-Length", "1000")  # of what it would have been
            self.end_headers()

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()

    def do_DELETE(self) -> None:
        self.send_response(204)
        self.end_headers()

    def do_PUT(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        elif self.path == "/refused":
            body = b""
            self.close_connection = True
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(403 if self.path == "/refused" else 200)
        self.send_header("Content-Length", "0")
        self.send_header("X-Received", str(len(body)))
        self.send_header("X-Intact", str(body == CONTENT[: len(body)]))
        self.end_headers()

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def origin() -> Iterator[FaultProxy]:
    """A proxy before an ``Origin``."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Origin) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        with FaultProxy("127.0.0.1", running.server_port) as proxy:
            yield proxy
        running.shutdown()


# Transparent


@pytest.mark.parametrize("client_tls", [False, True])
@pytest.mark.parametrize("server_tls", [False, True])
@pytest.mark.parametrize("kind", ["ministack", "ceph"])
def test_signatures_stay_valid(servers, kind, client_tls, server_tls):
    server = servers(kind)
    bucket = server.create_bucket()
    with FaultProxy(
        "127.0.0.1",
        server.tls_port if server_tls else server.port,
        certificates=server.certificates if client_tls else None,
        upstream_tls=server.certificates.authority if server_tls else None,
    ) as proxy:
        assert proxy.url.startswith("https" if client_tls else "http:")
        client = server.client(endpoint_url=proxy.url)
        client.put_object(Bucket=bucket, Key="x y/é+", Body=CONTENT)
        assert get(client, bucket, "x y/é+") == CONTENT
        ranged = client.get_object(Bucket=bucket, Key="x y/é+", Range="bytes=1000-1999")
        assert ranged["Body"].read() == CONTENT[1000:2000]
        assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
        upload = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
        part = client.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=CONTENT)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload=parts)
        assert client.head_object(Bucket=bucket, Key="parts")["ContentLength"] == len(CONTENT)
        with pytest.raises(ClientError, match="404"):
            client.head_object(Bucket=bucket, Key="none")
        client.delete_object(Bucket=bucket, Key="parts")
        url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "x y/é+"})
        assert url.startswith(proxy.url)


def test_bodies_in_chunks_over_tls_pass(servers):
    """botocore's default checksums: aws-chunked inside chunked, with a trailer."""
    server = servers("ministack")
    bucket = server.create_bucket()
    with FaultProxy(
        "127.0.0.1", server.tls_port, server.certificates, server.certificates.authority
    ) as proxy:
        client = server.client(endpoint_url=proxy.url, request_checksum_calculation="when_supported")
        client.put_object(Bucket=bucket, Key="x", Body=CONTENT)
        assert proxy.requests[-1].headers["transfer-encoding"] == "chunked"
        assert get(client, bucket) == CONTENT


def test_every_kind_of_message_passes_on_one_connection(origin):
    connection = http.client.HTTPConnection("127.0.0.1", origin.port, timeout=30)

    def ask(method: str, path: str, body=None, **more) -> tuple[int, bytes]:
        connection.request(method, path, body, **more)
        answer = connection.getresponse()
        return answer.status, answer.read()

    assert ask("HEAD", "/") == (200, b"")
    assert ask("GET", "/304") == (304, b"")
    assert ask("DELETE", "/") == (204, b"")
    assert ask("GET", "/chunked") == (200, CONTENT[:1] + CONTENT[:1000] + CONTENT[:300_000])
    assert ask("PUT", "/", CONTENT) == (200, b"")
    pieces = iter([CONTENT[:10], CONTENT[10:400_000], CONTENT[400_000:]])
    connection.request("PUT", "/", pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    answer = connection.getresponse()
    assert (answer.headers["X-Received"], answer.headers["X-Intact"]) == (str(len(CONTENT)), "True")
    answer.read()
    sent_from = connection.sock.getsockname()
    assert ask("HEAD", "/") == (200, b"")
    assert connection.sock.getsockname() == sent_from
    assert ask("GET", "/until-close") == (200, CONTENT)
    connection.close()


def test_a_trailer_passes(origin):
    with socket.create_connection(("127.0.0.1", origin.port)) as raw:
        raw.sendall(b"GET /chunked HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n")
        assert raw.makefile("rb").read().endswith(b"\r\n0\r\nX-Trailer: end\r\n\r\n")


def test_expect_continue_passes_both_ways(origin):
    with socket.create_connection(("127.0.0.1", origin.port)) as raw:
        reader = raw.makefile("rb")
        raw.sendall(b"PUT / HTTP/1.1\r\nHost: origin\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert reader.readline() == b"\r\n"
        raw.sendall(CONTENT[:5])
        assert b" 200 " in reader.readline()


def test_an_answer_before_the_body_ends_the_connection_in_good_order(origin):
    connection = http.client.HTTPConnection("127.0.0.1", origin.port, timeout=30)
    connection.request("PUT", "/refused", CONTENT)
    answer = connection.getresponse()
    assert answer.status == 403
    assert answer.headers["Connection"] == "close"
    assert answer.read() == b""


def test_what_is_no_http_is_dropped(origin):
    with socket.create_connection(("127.0.0.1", origin.port)) as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            raw.recv(1)


def test_requests_and_bytes_are_counted(client, proxy, bucket):
    client.put_object(Bucket=bucket, Key="y", Body=b"12345")
    get(client, bucket)
    with pytest.raises(ClientError):
        client.head_object(Bucket=bucket, Key="none")
    client.list_objects_v2(Bucket=bucket, Prefix="x")
    put, read, head, listing = proxy.requests
    assert (put.method, put.path, put.status, put.request_bytes) == ("PUT", f"/{bucket}/y", 200, 5)
    assert (read.method, read.status, read.request_bytes, read.response_bytes) == (
        "GET",
        200,
        0,
        len(CONTENT),
    )
    assert (head.method, head.status, head.response_bytes) == ("HEAD", 404, 0)
    assert "prefix=x" in listing.query
    assert put.headers["host"] == f"127.0.0.1:{proxy.port}"
    assert "authorization" not in repr(put)


def test_clearing_makes_it_transparent_again(client, proxy, bucket):
    proxy.latency_seconds, proxy.bandwidth_bytes_per_second = 3600, 1
    proxy.add(Fault(Answer(500), times=None))
    proxy.clear()
    assert get(client, bucket) == CONTENT
    assert len(proxy.requests) == 1


# Slow


def test_latency_is_added_to_every_answer(client, proxy, bucket):
    client.head_object(Bucket=bucket, Key="x")
    proxy.latency_seconds = 0.1
    begun = time.monotonic()
    for _ in range(3):
        client.head_object(Bucket=bucket, Key="x")
    assert time.monotonic() - begun >= 0.3


def test_latency_passes_side_by_side(server, proxy, bucket):
    """Of requests that would take an hour each, all have reached the server."""
    proxy.latency_seconds = 3600
    with ThreadPoolExecutor(4) as pool:
        calls = [
            pool.submit(
                server.client(endpoint_url=proxy.url).put_object, Bucket=bucket, Key=f"y{n}", Body=b""
            )
            for n in range(4)
        ]
        while server.client().list_objects_v2(Bucket=bucket, Prefix="y")["KeyCount"] < 4:
            time.sleep(0.01)
        assert not any(call.done() for call in calls)
        proxy.refuse()
        assert all(isinstance(call.exception(), HTTPClientError) for call in calls)


def test_bandwidth_limits_both_directions(client, proxy, bucket):
    proxy.bandwidth_bytes_per_second = 8 << 20  # an eighth of a second for the object
    begun = time.monotonic()
    assert get(client, bucket) == CONTENT
    assert time.monotonic() - begun >= 0.1
    begun = time.monotonic()
    client.put_object(Bucket=bucket, Key="y", Body=CONTENT)
    assert time.monotonic() - begun >= 0.1


def test_a_delay_concerns_its_request_only(client, proxy, bucket):
    rule = proxy.add(Fault(Delay(0.2), method="HEAD"))
    begun = time.monotonic()
    client.list_objects_v2(Bucket=bucket)
    assert rule.happened == 0
    client.head_object(Bucket=bucket, Key="x")
    assert time.monotonic() - begun >= 0.2
    assert rule.happened == 1


# Answers of its own


@pytest.mark.parametrize("when", ["before body", "after body", "after server"])
def test_an_answer_of_its_own_takes_the_place_of_the_servers(server, client, proxy, bucket, when):
    answer = Answer(503, s3_error("SlowDown", Message="Reduce < your rate."), when=when)
    rule = proxy.add(Fault(answer, method="PUT"))
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket=bucket, Key="y", Body=CONTENT)
    assert caught.value.response["Error"]["Code"] == "SlowDown"
    assert caught.value.response["Error"]["Message"] == "Reduce < your rate."
    assert rule.happened == 1
    assert proxy.requests[-1].status == 503
    assert stored(server, bucket, "y") is (when == "after server")
    client.put_object(Bucket=bucket, Key="y", Body=CONTENT)  # once only
    assert get(client, bucket, "y") == CONTENT


def test_an_answer_to_a_client_that_sends_its_whole_body_first_arrives(origin):
    origin.add(Fault(Answer(503, b"no", when="before body")))
    connection = http.client.HTTPConnection("127.0.0.1", origin.port, timeout=30)
    connection.request("PUT", "/", CONTENT * 8)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (503, b"no")


def test_a_completion_may_answer_200_with_an_error_inside(server, client, proxy, bucket):
    proxy.add(Fault(Answer(200, s3_error("InternalError")), method="POST", query="uploadId="))
    upload = client.create_multipart_upload(Bucket=bucket, Key="y")["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="y", UploadId=upload, PartNumber=1, Body=b"y")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    with pytest.raises(ClientError, match="InternalError"):
        client.complete_multipart_upload(Bucket=bucket, Key="y", UploadId=upload, MultipartUpload=parts)
    assert not stored(server, bucket, "y")
    client.complete_multipart_upload(Bucket=bucket, Key="y", UploadId=upload, MultipartUpload=parts)


def test_a_fault_may_pass_over_requests_and_happen_several_times(client, proxy, bucket):
    rule = proxy.add(Fault(Answer(500, s3_error("InternalError")), path="/x", method="GET", skip=1, times=2))
    always = proxy.add(Fault(Answer(500), path="/always", times=None))
    outcomes = []
    for _ in range(4):
        try:
            outcomes.append(get(client, bucket) == CONTENT)
        except ClientError:
            outcomes.append(False)
    assert outcomes == [True, False, False, True]
    assert (rule.seen, rule.happened, always.seen) == (4, 2, 0)
    for _ in range(3):
        with pytest.raises(ClientError):
            get(client, bucket, "always")
    assert always.happened == 3


# Cut


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("at", [0, 1000, 0.5])
def test_a_request_cut_in_its_body_stores_nothing(server, client, proxy, bucket, at, how):
    proxy.add(Fault(Cut("request body", at, how), method="PUT"))
    with pytest.raises(HTTPClientError):
        client.put_object(Bucket=bucket, Key="y", Body=CONTENT)
    assert proxy.requests[-1].request_bytes == (len(CONTENT) // 2 if at == 0.5 else at)
    assert proxy.requests[-1].status == 0
    assert not stored(server, bucket, "y")
    client.put_object(Bucket=bucket, Key="y", Body=CONTENT)


@pytest.mark.parametrize("at", [0, 1, 300_001, 0.25])
def test_a_response_is_cut_after_exactly_so_many_bytes(proxy, server, bucket, at):
    wanted = len(CONTENT) // 4 if at == 0.25 else at
    server.make_public(bucket)
    for how in ("close", "reset"):
        proxy.add(Fault(Cut("response body", at, how)))
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
        connection.request("GET", f"/{bucket}/x")
        answer = connection.getresponse()
        assert answer.headers["Content-Length"] == str(len(CONTENT))
        if how == "close":
            with pytest.raises(http.client.IncompleteRead) as caught:
                answer.read()
            assert caught.value.partial == CONTENT[:wanted]
        else:
            with pytest.raises(ConnectionResetError):
                answer.read()
        assert proxy.requests[-1].response_bytes == wanted


def test_a_response_under_tls_may_be_cut_too(server, bucket):
    server.make_public(bucket)
    context = ssl.create_default_context(cafile=str(server.certificates.authority))
    with FaultProxy("127.0.0.1", server.port, server.certificates) as proxy:
        for how in ("close", "reset"):
            proxy.add(Fault(Cut("response body", 0.5, how)))
            connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, timeout=30, context=context)
            connection.request("GET", f"/{bucket}/x")
            with pytest.raises((ssl.SSLError, http.client.IncompleteRead, ConnectionResetError)):
                connection.getresponse().read()
            assert proxy.requests[-1].response_bytes == len(CONTENT) // 2


@pytest.mark.parametrize("how", ["reset", "close"])
def test_an_answer_may_be_lost_after_the_server_has_acted(server, client, proxy, bucket, how):
    rule = proxy.add(Fault(LOST_ANSWER if how == "reset" else Cut("response", how=how), method="PUT"))
    with pytest.raises(ConnectionClosedError):
        client.put_object(Bucket=bucket, Key="y", Body=b"y")
    assert rule.happened == 1
    assert stored(server, bucket, "y")


@pytest.mark.parametrize("where", ["request body", "response", "response body"])
def test_silence_lasts_until_it_is_released(server, client, proxy, bucket, where):
    rule = proxy.add(Fault(Cut(where, 0.5, "silence"), path="/x"))
    with ThreadPoolExecutor(1) as pool:
        if where == "request body":
            call = pool.submit(client.put_object, Bucket=bucket, Key="x", Body=CONTENT[::-1])
        else:
            call = pool.submit(get, client, bucket)
        rule.wait()
        assert not call.done()
        assert len(get(server.client(endpoint_url=proxy.url), bucket)) == len(
            CONTENT
        )  # others are not affected
        assert not call.done()
        record = proxy.requests[0]
        assert record.request_bytes + record.response_bytes == (
            0 if where == "response" else len(CONTENT) // 2
        )
        proxy.release()
        call.result(30)
    assert get(client, bucket) == (CONTENT[::-1] if where == "request body" else CONTENT)


def test_waiting_for_what_does_not_happen_ends(proxy):
    rule = proxy.add(Fault(Cut("response", how="silence")))
    with pytest.raises(TimeoutError, match="silence"):
        rule.wait(0.01)


# Lies


def test_a_flipped_bit_of_a_response_is_the_only_difference(client, proxy, bucket):
    rule = proxy.add(Fault(Flip(at=700_000, bit=3)))
    damaged = get(client, bucket)
    assert len(damaged) == len(CONTENT)
    assert [n for n in range(len(CONTENT)) if damaged[n] != CONTENT[n]] == [700_000]
    assert damaged[700_000] == CONTENT[700_000] ^ 8
    assert rule.happened == 1
    assert get(client, bucket) == CONTENT


def test_a_flipped_bit_of_a_request_is_seen_where_the_body_is_signed(servers):
    server = servers("ceph")
    bucket = server.create_bucket()
    with FaultProxy("127.0.0.1", server.port) as proxy:
        proxy.add(Fault(Flip(at=5, where="request body"), times=2))
        with pytest.raises(ClientError, match="XAmzContentSHA256Mismatch"):
            server.client(endpoint_url=proxy.url).put_object(Bucket=bucket, Key="x", Body=CONTENT)
        assert not stored(server, bucket, "x")
        unsigned = server.client(
            endpoint_url=proxy.url, s3={"addressing_style": "path", "payload_signing_enabled": False}
        )
        unsigned.put_object(Bucket=bucket, Key="x", Body=CONTENT)
        assert get(server.client(), bucket) == CONTENT[:5] + bytes([CONTENT[5] ^ 1]) + CONTENT[6:]


def test_response_headers_are_set_removed_and_computed(client, proxy, bucket):
    honest = client.head_object(Bucket=bucket, Key="x")["ResponseMetadata"]["HTTPHeaders"]
    changes = {
        "Date": shifted(timedelta(hours=-1)),
        "ETag": None,
        "Content-Type": "image/png",
        "X-New": "new",
    }
    proxy.add(Fault(Headers(response=changes)))
    headers = client.head_object(Bucket=bucket, Key="x")["ResponseMetadata"]["HTTPHeaders"]
    difference = parsedate_to_datetime(honest["date"]) - parsedate_to_datetime(headers["date"])
    assert timedelta(minutes=59) < difference <= timedelta(hours=1)
    assert "etag" not in headers
    assert (headers["content-type"], headers["x-new"]) == ("image/png", "new")
    assert headers["last-modified"] == honest["last-modified"]


@pytest.mark.parametrize(("announced", "read"), [(len(CONTENT) + 10, None), (1000, 1000)])
def test_a_wrong_content_length_is_believed(server, proxy, bucket, announced, read):
    server.make_public(bucket)
    proxy.add(Fault(Headers(response={"content-length": str(announced)})))
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
    connection.request("GET", f"/{bucket}/x")
    answer = connection.getresponse()
    if read is None:
        with pytest.raises(http.client.IncompleteRead) as caught:
            answer.read()
        assert caught.value.partial == CONTENT
    else:
        assert answer.read() == CONTENT[:read]


def test_a_request_header_that_was_changed_breaks_the_signature(client, proxy, bucket):
    proxy.add(Fault(Headers(request={"X-Amz-Date": "20250101T000000Z"})))
    with pytest.raises(ClientError, match="403"):
        client.head_object(Bucket=bucket, Key="x")
    proxy.add(Fault(Headers(request={"Range": "bytes=0-3"})))  # not a signed one
    assert get(client, bucket) == CONTENT[:4]


def test_several_faults_of_one_request_all_happen(client, proxy, bucket):
    rules = [
        proxy.add(Fault(action)) for action in (Flip(at=0), Flip(at=9), Headers(response={"ETag": '"other"'}))
    ]
    answer = client.get_object(Bucket=bucket, Key="x")
    body = answer["Body"].read()
    assert (body[0], body[9], answer["ETag"]) == (CONTENT[0] ^ 1, CONTENT[9] ^ 1, '"other"')
    assert [rule.happened for rule in rules] == [1, 1, 1]


# Gone


def test_refusing_closes_the_port_until_it_resumes(server, client, proxy, bucket):
    assert get(client, bucket) == CONTENT
    proxy.refuse()
    with pytest.raises(EndpointConnectionError):
        server.client(endpoint_url=proxy.url).head_object(Bucket=bucket, Key="x")
    proxy.resume()
    assert get(server.client(endpoint_url=proxy.url), bucket) == CONTENT


def test_a_server_that_is_gone_resets_the_client():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with FaultProxy("127.0.0.1", port) as proxy:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
        connection.request("GET", "/")
        with pytest.raises(ConnectionResetError):
            connection.getresponse()


def test_a_server_that_restarts_is_reached_again_on_the_same_connection(origin):
    connection = http.client.HTTPConnection("127.0.0.1", origin.port, timeout=30)
    connection.request("GET", "/304")
    connection.getresponse().read()
    for wire in list(origin.connections):
        wire._upstream.socket.shutdown(socket.SHUT_RDWR)  # as if the server had closed it meanwhile
    connection.request("GET", "/304")
    assert connection.getresponse().status == 304


def test_closing_ends_every_connection_and_thread(server, bucket):
    before = set(threading.enumerate())
    with FaultProxy("127.0.0.1", server.port, server.certificates) as proxy:
        silent = proxy.add(Fault(Cut("response body", 0.5, "silence"), method="GET"))
        slow = proxy.add(Fault(Delay(3600), method="HEAD"))
        with (
            socket.create_connection(("127.0.0.1", proxy.port)),
            ThreadPoolExecutor(2) as pool,
        ):  # one never speaks
            calls = [
                pool.submit(get, server.client(endpoint_url=proxy.url), bucket),
                pool.submit(server.client(endpoint_url=proxy.url).head_object, Bucket=bucket, Key="x"),
            ]
            silent.wait()
            slow.wait()
            proxy.refuse()
            assert all(call.exception() is not None for call in calls)
    assert set(threading.enumerate()) == before
