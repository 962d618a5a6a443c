"""The servers the other tests rely on: they check what they are said to check, and end when they should."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, SSLError
from servers.ceph import CephRgw
from servers.certificates import certificates
from servers.ministack import EXECUTABLE_VARIABLE, MiniStack, ministack_python
from servers.processes import ServerFailed, ServerUnavailable, accepts_connections, free_ports
from servers.s3_server import DELETE, LIST, READ, WRITE, Keys, S3Server, allow, started


@pytest.fixture
def ministack(servers) -> MiniStack:
    return servers("ministack")


@pytest.fixture
def ceph(servers) -> CephRgw:
    return servers("ceph")


@pytest.fixture(params=["ministack", "ceph"])
def server(request: pytest.FixtureRequest, servers) -> S3Server:
    return servers(request.param)


@pytest.fixture
def bucket(server: S3Server) -> str:
    """A bucket with one object "a/x"."""
    name = server.create_bucket()
    server.client().put_object(Bucket=name, Key="a/x", Body=b"hello")
    return name


def refusal(call, *arguments, **parameters) -> str:
    """The error code with which a server refuses a call."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    return caught.value.response["Error"]["Code"]


@contextmanager
def clock_off_by(seconds: float, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """botocore signs as if this machine's clock were wrong."""
    with monkeypatch.context() as patched:
        moment = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        patched.setattr("botocore.auth.get_current_datetime", lambda **_: moment.replace(tzinfo=None))
        yield


def status_of(url: str, server: S3Server) -> int:
    context = ssl.create_default_context(cafile=str(server.certificates.authority))
    try:
        with urllib.request.urlopen(url, context=context if url.startswith("https") else None) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


# What both check


def test_both_endpoints_serve_the_same_objects(server, bucket):
    for tls in (False, True):
        client = server.client(tls=tls)
        assert client.get_object(Bucket=bucket, Key="a/x")["Body"].read() == b"hello"
        url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a/x"})
        assert status_of(url, server) == 200


def test_the_certificate_is_trusted_by_its_own_authority_only(server, bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "certificates", certificates(tmp_path))
    with pytest.raises(SSLError, match="certificate verify failed"):
        server.client(tls=True).list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("tls", [False, True])
def test_buckets_are_also_served_as_subdomains(server, bucket, tls, monkeypatch):
    import socket

    resolve = socket.getaddrinfo  # glibc does not resolve names below localhost
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: resolve(
            "127.0.0.1" if host.endswith("localhost") else host, *rest, **more
        ),
    )
    endpoint_url = f"https://s3.localhost:{server.tls_port}" if tls else f"http://s3.localhost:{server.port}"
    client = server.client(endpoint_url=endpoint_url, s3={"addressing_style": "virtual"})
    assert client.get_object(Bucket=bucket, Key="a/x")["Body"].read() == b"hello"
    url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a/x"})
    assert f"//{bucket}.s3.localhost:" in url
    assert status_of(url, server) == 200


@pytest.mark.parametrize("tls", [False, True])
def test_a_wrong_secret_or_key_is_refused(server, bucket, tls):
    wrong_secret = server.client(replace(server.keys, secret_key="wrong"), tls=tls)
    assert refusal(wrong_secret.get_object, Bucket=bucket, Key="a/x") == "SignatureDoesNotMatch"
    assert refusal(wrong_secret.put_object, Bucket=bucket, Key="a/y", Body=b"") == "SignatureDoesNotMatch"
    assert refusal(wrong_secret.head_object, Bucket=bucket, Key="a/x") == "403"
    unknown = server.client(replace(server.keys, access_key="AKNOBODY"), tls=tls)
    assert refusal(unknown.get_object, Bucket=bucket, Key="a/x") == "InvalidAccessKeyId"


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_clock_that_is_off_by_an_hour_is_refused(server, bucket, seconds, monkeypatch):
    with clock_off_by(seconds, monkeypatch):
        assert refusal(server.client().get_object, Bucket=bucket, Key="a/x") == "RequestTimeTooSkewed"


def test_a_presigned_url_is_refused_once_expired_or_changed(server, bucket, monkeypatch):
    def url(**parameters):
        return server.client().generate_presigned_url(
            "get_object", {"Bucket": bucket, "Key": "a/x"}, **parameters
        )

    assert status_of(url(ExpiresIn=60), server) == 200
    assert status_of(url().replace("a/x?", "a/y?"), server) == 403
    with clock_off_by(-120, monkeypatch):
        expired = url(ExpiresIn=60)
    assert status_of(expired, server) == 403


def test_without_a_signature_only_a_public_bucket_can_be_read(server, bucket):
    url = f"{server.endpoint_url}/{bucket}/a/x"
    assert status_of(url, server) == 403
    server.make_public(bucket)
    assert status_of(url, server) == 200
    assert status_of(f"{server.endpoint_url}/{bucket}?list-type=2", server) == 200


def test_a_new_user_may_do_nothing_in_others_buckets(server, bucket):
    client = server.client(server.create_user())
    assert refusal(client.get_object, Bucket=bucket, Key="a/x") == "AccessDenied"
    assert refusal(client.put_object, Bucket=bucket, Key="a/y", Body=b"") == "AccessDenied"
    assert refusal(client.list_objects_v2, Bucket=bucket) == "AccessDenied"


def test_a_user_may_be_held_to_single_operations_below_a_prefix(server, bucket):
    reader = server.client(server.create_user(allow(bucket, *READ, prefix="a/")))
    assert reader.get_object(Bucket=bucket, Key="a/x")["Body"].read() == b"hello"
    assert refusal(reader.get_object, Bucket=bucket, Key="b/x") == "AccessDenied"
    assert refusal(reader.list_objects_v2, Bucket=bucket, Prefix="a/") == "AccessDenied"
    assert refusal(reader.head_bucket, Bucket=bucket) == "403"
    assert refusal(reader.put_object, Bucket=bucket, Key="a/y", Body=b"") == "AccessDenied"

    writer = server.client(server.create_user(allow(bucket, *WRITE, prefix="a/")))
    writer.put_object(Bucket=bucket, Key="a/y", Body=b"")
    upload = writer.create_multipart_upload(Bucket=bucket, Key="a/z")["UploadId"]
    writer.abort_multipart_upload(Bucket=bucket, Key="a/z", UploadId=upload)
    assert refusal(writer.put_object, Bucket=bucket, Key="b/y", Body=b"") == "AccessDenied"
    assert refusal(writer.get_object, Bucket=bucket, Key="a/x") == "AccessDenied"
    assert refusal(writer.delete_object, Bucket=bucket, Key="a/y") == "AccessDenied"

    lister = server.client(server.create_user(allow(bucket, *LIST, *DELETE, prefix="a/")))
    assert lister.list_objects_v2(Bucket=bucket, Prefix="a/")["KeyCount"] == 2
    lister.delete_object(Bucket=bucket, Key="a/y")
    assert refusal(lister.list_objects_v2, Bucket=bucket) == "AccessDenied"
    assert refusal(lister.list_objects_v2, Bucket=bucket, Prefix="b/") == "AccessDenied"


def test_creation_if_absent_is_atomic(server, bucket):
    client = server.client()
    client.put_object(Bucket=bucket, Key="a/new", Body=b"first", IfNoneMatch="*")
    refused = refusal(client.put_object, Bucket=bucket, Key="a/new", Body=b"second", IfNoneMatch="*")
    assert refused == "PreconditionFailed"
    assert client.get_object(Bucket=bucket, Key="a/new")["Body"].read() == b"first"


# Where they differ from AWS: a contract test of one of these needs the other server, or the fault proxy


def test_the_key_missing_without_list_permission_is_hidden_by_ceph_only(server, bucket):
    reader = server.client(server.create_user(allow(bucket, *READ, prefix="a/")))
    expected = {"MiniStack": "NoSuchKey", "Ceph RGW": "AccessDenied"}  # AWS: AccessDenied
    assert refusal(reader.get_object, Bucket=bucket, Key="a/missing") == expected[server.name]


def test_a_wrong_region_in_the_signature_is_seen_by_neither(server, bucket, monkeypatch):
    monkeypatch.setattr(type(server), "region", "eu-west-3")
    assert server.client().get_object(Bucket=bucket, Key="a/x")["Body"].read() == b"hello"


def test_a_body_other_than_the_signed_one_is_refused_by_ceph_only(server, bucket):
    client = server.client()

    def damage(request, **_):
        request.body = b"Y"

    client.meta.events.register("before-send.s3", damage)
    if server.name == "Ceph RGW":
        assert refusal(client.put_object, Bucket=bucket, Key="a/y", Body=b"y") == "XAmzContentSHA256Mismatch"
        assert refusal(server.client().head_object, Bucket=bucket, Key="a/y") == "404"
    else:
        client.put_object(Bucket=bucket, Key="a/y", Body=b"y")


def test_a_body_other_than_its_md5_is_refused_by_both(server, bucket):
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    refused = refusal(server.client().put_object, Bucket=bucket, Key="a/y", Body=b"y", ContentMD5=wrong)
    assert refused == "BadDigest"
    assert refusal(server.client().head_object, Bucket=bucket, Key="a/y") == "404"


def test_an_object_belongs_to_who_wrote_it_with_ceph_only(server, bucket):
    writer = server.client(server.create_user(allow(bucket, *WRITE)))
    writer.put_object(Bucket=bucket, Key="a/y", Body=b"y")
    if server.name == "Ceph RGW":  # the bucket's owner may list, replace and delete it, but not read it
        assert refusal(server.client().get_object, Bucket=bucket, Key="a/y") == "AccessDenied"
        assert writer.get_object(Bucket=bucket, Key="a/y")["Body"].read() == b"y"
    else:
        assert server.client().get_object(Bucket=bucket, Key="a/y")["Body"].read() == b"y"
        assert refusal(writer.get_object, Bucket=bucket, Key="a/y") == "AccessDenied"


def test_small_parts_are_refused_by_ceph_only(server, bucket):
    client = server.client()
    upload = client.create_multipart_upload(Bucket=bucket, Key="a/parts")["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": client.upload_part(
            Bucket=bucket, Key="a/parts", UploadId=upload, PartNumber=number, Body=b"part")["ETag"]}
        for number in (1, 2)
    ]  # fmt: skip
    wanted = {"Bucket": bucket, "Key": "a/parts", "UploadId": upload, "MultipartUpload": {"Parts": parts}}
    if server.name == "Ceph RGW":
        assert refusal(client.complete_multipart_upload, **wanted) == "EntityTooSmall"
    else:
        client.complete_multipart_upload(**wanted)


def test_default_checksums_over_tls_are_refused_by_ceph_only(server, bucket):
    client = server.client(tls=True, request_checksum_calculation="when_supported")
    if server.name == "Ceph RGW":
        assert refusal(client.put_object, Bucket=bucket, Key="a/y", Body=b"y") == "MissingContentLength"
    else:
        client.put_object(Bucket=bucket, Key="a/y", Body=b"y")


def test_creation_if_absent_counts_for_multipart_uploads_with_ministack_only(server, bucket):
    client = server.client()
    upload = client.create_multipart_upload(Bucket=bucket, Key="a/x")["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="a/x", UploadId=upload, PartNumber=1, Body=b"new")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    wanted = {
        "Bucket": bucket,
        "Key": "a/x",
        "UploadId": upload,
        "MultipartUpload": parts,
        "IfNoneMatch": "*",
    }
    if server.name == "MiniStack":
        assert refusal(client.complete_multipart_upload, **wanted) == "PreconditionFailed"
    else:
        client.complete_multipart_upload(**wanted)
        assert client.get_object(Bucket=bucket, Key="a/x")["Body"].read() == b"new"


# Tokens, which MiniStack alone gives out


def test_temporary_keys_work_with_their_token_until_it_expires(ministack):
    bucket = ministack.create_bucket()

    def code(keys: Keys) -> str:
        return refusal(ministack.client(keys).put_object, Bucket=bucket, Key="x", Body=b"")

    keys = ministack.temporary_keys()
    ministack.client(keys).put_object(Bucket=bucket, Key="x", Body=b"")
    assert code(replace(keys, session_token="")) == "InvalidAccessKeyId"
    assert code(replace(keys, session_token="wrong")) == "InvalidToken"
    assert code(replace(keys, secret_key="wrong")) == "SignatureDoesNotMatch"
    assert code(ministack.temporary_keys(seconds=-1)) == "ExpiredToken"


def test_temporary_keys_may_do_what_their_role_may(ministack):
    bucket = ministack.create_bucket()
    client = ministack.client(ministack.assumed_keys(allow(bucket, *WRITE, prefix="a/")))
    client.put_object(Bucket=bucket, Key="a/x", Body=b"")
    assert refusal(client.put_object, Bucket=bucket, Key="b/x", Body=b"") == "AccessDenied"


def test_disabled_keys_are_refused(ministack, ceph):
    keys = ministack.create_user()
    ministack.disable(keys)
    assert refusal(ministack.client(keys).list_buckets) == "InvalidAccessKeyId"
    ceph.admin("user", "suspend", "--uid", "other")
    try:
        assert refusal(ceph.client(ceph.other_keys).list_buckets) == "UserSuspended"
    finally:
        ceph.admin("user", "enable", "--uid", "other")


def test_without_auth_ministack_believes_everybody(tmp_path):
    with started(MiniStack, tmp_path, auth=False) as open_server:
        open_server.create_bucket("anyone")
        open_server.client(Keys("someone", "else")).put_object(Bucket="anyone", Key="x", Body=b"")


# Their lives


@pytest.mark.parametrize("kind", [MiniStack, CephRgw])
def test_a_stopped_server_leaves_neither_process_nor_file(kind, tmp_path):
    with started(kind, tmp_path) as server:
        processes = server._processes
        pids = [processes.process_id(name) for name in processes._running]
        assert all(alive(pid) for pid in pids)
    server.stop()
    assert not any(alive(pid) for pid in pids)
    assert not accepts_connections(server.port)
    assert not accepts_connections(server.tls_port)
    assert [path.name for path in tmp_path.iterdir()] == [server.certificates.key.parent.name]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_server_ends_with_a_process_that_is_killed(ministack, tmp_path):
    script = (
        "import os, pathlib, signal, sys\n"
        "from servers.ministack import MiniStack\n"
        "server = MiniStack(pathlib.Path(sys.argv[1]), auth=False)\n"
        "server.start()\n"
        "print(server._processes.process_id('ministack'), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    for _ in range(1000):
        if not alive(int(ended.stdout)) and not list(tmp_path.glob("ministack-*")):
            return
        time.sleep(0.01)
    pytest.fail("the server or its folder is still there")


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet waited for by its parent does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        pass
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return not Path("/proc").is_dir()


class Unobtainable(S3Server):
    """A server that cannot be had."""

    def __init__(self, folder: Path) -> None:
        pass

    def start(self) -> None:
        raise ServerUnavailable("It cannot be had. Get it from there.")

    def stop(self) -> None:
        pass

    def create_user(self, policy=None) -> Keys:
        raise NotImplementedError


def test_a_server_that_cannot_be_had_skips_here_and_fails_in_ci(tmp_path, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    either = (pytest.skip.Exception, pytest.fail.Exception)  # a skip that is not caught would skip this test
    with pytest.raises(either, match="Get it from there") as caught, started(Unobtainable, tmp_path):
        pass
    assert caught.type is pytest.skip.Exception
    monkeypatch.setenv("CI", "true")
    with pytest.raises(either, match="Get it from there") as caught, started(Unobtainable, tmp_path):
        pass
    assert caught.type is pytest.fail.Exception


def test_ceph_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install ceph-mon ceph-osd radosgw" in CephRgw.available()
    with pytest.raises(ServerUnavailable, match="ceph-osd"):
        CephRgw(tmp_path).start()


def test_an_executable_that_is_none_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(EXECUTABLE_VARIABLE, str(tmp_path / "ministack"))
    with pytest.raises(ServerUnavailable, match=EXECUTABLE_VARIABLE):
        ministack_python()


def test_a_server_that_does_not_start_shows_its_log(tmp_path, monkeypatch):
    server = MiniStack(tmp_path)
    monkeypatch.setattr(server, "_environment", lambda: {"PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere"})
    with pytest.raises(ServerFailed, match=r"ministack: .*Python"), server:
        pass
    assert not list(tmp_path.glob("ministack-*"))


def test_ports_are_free_and_different():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert not any(accepts_connections(port) for port in ports)


def test_certificates_are_made_once_for_a_folder(tmp_path):
    first = certificates(tmp_path)
    content = first.certificate.read_bytes()
    assert certificates(tmp_path) == first
    assert first.certificate.read_bytes() == content
    assert first.key.stat().st_mode & 0o077 == 0 or sys.platform == "win32"
