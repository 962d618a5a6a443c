"""One HTTP request to the OSS test server: its address, its signer, what he may do, its body, and its answer.

The operations, in ``oss_operations``, get an ``Exchange`` and call ``answer`` once, or raise OssRefused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import os
import re
import secrets
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BufferedReader
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import quote, unquote, unquote_plus, unquote_to_bytes
from xml.sax.saxutils import escape

from . import oss_errors as errors
from .oss_objects import Bucket, Piece, Received, Spool, StoredObject, receive
from .oss_signature import Request, authenticate

if TYPE_CHECKING:
    from .oss_server import Listener, OssServer

MAX_KEY_BYTES = 1023
XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'

# Sub-resources that the server lacks; without this list their requests would be taken for plainer ones.
_LACKING = """
    acl append asyncFetch callback cname comp cors delete encryption inventory lifecycle live logging policy
    qosInfo referer replication requestPayment restore sequential stat style symlink transferAcceleration
    versionId versioning versions website worm x-oss-async-process x-oss-process
"""
LACKING = frozenset(_LACKING.split())


@dataclass(frozen=True)
class Permissions:
    """What a key may do, as a RAM policy says it; ``prefix`` is that of keys and of a listing's prefix."""

    prefix: str = ""
    read: bool = True  # oss:GetObject
    put: bool = True  # oss:PutObject, which is also what a multipart upload needs
    abort: bool = True  # oss:AbortMultipartUpload, oss:ListParts
    delete: bool = True  # oss:DeleteObject
    list: bool = True  # oss:ListObjects
    info: bool = False  # oss:GetBucketInfo, oss:GetBucketLocation, oss:ListMultipartUploads


OWNER = Permissions(info=True)


@dataclass(frozen=True)
class Operation:
    """Which request it is, what it needs, and what runs.

    ``parameter`` is the query parameter that marks it, if any; ``action`` its name in RAM policies,
    ``permission`` the field of Permissions.
    """

    method: str
    level: str
    parameter: str
    action: str
    permission: str
    run: Callable[[Exchange], None] = field(repr=False)


class Seen(NamedTuple):
    """One answered request; ``path`` is as it was on the wire, with the query."""

    method: str
    path: str
    status: int


class Disconnected(ConnectionError):
    """The client went away in the middle of its request."""


class RequestBody:
    """The body of a request, however it is framed; ``size`` is None where that is not known beforehand."""

    def __init__(self, stream: BufferedReader, connection: socket.socket, headers: Mapping[str, str]) -> None:
        length = headers.get("content-length", "")
        self._stream = stream
        self._connection = connection
        self._waits = 0 if isinstance(connection, ssl.SSLSocket) else getattr(socket, "MSG_WAITALL", 0)
        self._buffered = -1  # bytes of this body that the stream holds already; -1: not known yet
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self.size: int | None = int(length) if length.isdigit() and not self._chunked else None
        self.missing = self.size is None and not self._chunked
        self._left = self.size or 0
        self._ended = not self._chunked

    def readinto(self, view: memoryview) -> int:
        """Fill the front of ``view``; 0 at the end. Raises Disconnected if the client leaves before that."""
        if not self._left and not self._ended:
            self._left = int(self._line().split(b";")[0], 16)
            if not self._left:
                self._ended = True
                while self._line():  # trailers
                    pass
        if not self._left or not view:
            return 0
        got = self._take(view[: self._left])
        if not got:
            raise Disconnected(f"the client left {self._left} bytes before the end of its request")
        self._left -= got
        if self._chunked and not self._left:
            self._line()
        return got

    def _take(self, view: memoryview) -> int:
        """One read; past what the stream holds, the kernel fills the whole view at once, without the GIL."""
        if self._chunked or not self._waits:
            return self._stream.readinto(view)
        if self._buffered < 0:
            self._buffered = len(self._stream.peek())
            if not self._buffered:
                return 0
        if not self._buffered:
            return self._connection.recv_into(view, len(view), self._waits)
        got = self._stream.readinto(view[: self._buffered])
        self._buffered -= got
        return got

    def read(self) -> bytes:
        read = bytearray()
        buffer = memoryview(bytearray(1 << 16))
        while got := self.readinto(buffer):
            read += buffer[:got]
        return bytes(read)

    def drain(self) -> None:
        buffer = memoryview(bytearray(min(1 << 20, self._left or 1 << 16)))
        while self.readinto(buffer):
            pass

    def _line(self) -> bytes:
        line = self._stream.readline()
        if not line.endswith(b"\n"):
            raise Disconnected("the client left in the middle of a chunked request")
        return line.strip()


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def xml(**elements: str) -> str:
    """Elements one after the other; no attributes, no namespace, as OSS writes them."""
    return "".join(f"<{name}>{escape(text)}</{name}>" for name, text in elements.items())


class Exchange(BaseHTTPRequestHandler):
    """A connection, and the request that is being handled on it.

    ``fields`` are its headers by lower-case name, ``parameters`` its decoded query, ``key_id`` who signed it
    ("" for nobody); ``body``, ``bucket`` and ``key`` speak for themselves.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed; the server's ``requests`` has it all."""

    def handle_method(self) -> None:
        """One request, from its head to the end of the answer."""
        self.oss: OssServer = cast("Listener", self.server).oss
        # Not self.path: http.server takes a second leading slash away, which here begins the object's name.
        self.target = self.requestline.split()[1]
        self.request_id = secrets.token_hex(12).upper()
        self.fields: dict[str, str] = {}
        for name, value in self.headers.items():
            lower = name.lower()
            self.fields[lower] = (
                f"{self.fields[lower]},{value.strip()}" if lower in self.fields else value.strip()
            )
        self.body = RequestBody(cast("BufferedReader", self.rfile), self.connection, self.fields)
        try:
            try:
                self._perform()
            except errors.OssRefused as refused:
                self._refuse(refused)
            except (ConnectionError, TimeoutError, ssl.SSLError):
                raise
            except Exception as failure:  # noqa: BLE001  # nothing is lost: it is answered, kept, and raised at the end
                self.oss.failures.append(failure)
                self._refuse(errors.INTERNAL_ERROR.because())
        except (ConnectionError, TimeoutError, ssl.SSLError):
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_method  # noqa: N815  # the base class's names

    # --- from the wire to an operation ---

    def _perform(self) -> None:
        path, _, query = self.target.partition("?")
        pairs = [pair.partition("=") for pair in query.split("&") if pair]
        decoded = tuple((unquote_plus(name), unquote_plus(value)) for name, _, value in pairs)
        self.parameters = dict(decoded)
        bucket_name, raw_key = self._address(path)
        try:
            self.key = unquote_to_bytes(raw_key).decode()
        except UnicodeDecodeError:
            raise errors.INVALID_OBJECT_NAME.because() from None
        signed = Request(self.command, bucket_name, self.key, decoded, self.fields)
        self.key_id = authenticate(
            signed, self.oss.keyring, self.oss.now(), self.oss.region, self.oss.refuse_v1
        )
        if not bucket_name:
            raise (errors.NO_RIGHT if self.key_id else errors.ANONYMOUS_FORBIDDEN).because()
        if bucket_name not in self.oss.buckets:
            raise errors.NO_SUCH_BUCKET.because(BucketName=bucket_name)
        self.bucket: Bucket = self.oss.buckets[bucket_name]
        operation = self._operation()
        self._check_permission(operation)
        if len(self.key.encode()) > MAX_KEY_BYTES:
            raise errors.LONG_OBJECT_NAME.because(ObjectName=self.key)
        if self.key.startswith(("/", "\\")):
            raise errors.INVALID_OBJECT_NAME.because(ObjectName=self.key)
        operation.run(self)

    def _address(self, path: str) -> tuple[str, str]:
        """The bucket and the still encoded key, from host and path."""
        host = re.sub(r":\d+$", "", self.fields.get("host", "")).lower()
        path = path[1:]
        if host in self.oss.cnames:
            return self.oss.cnames[host], path
        if host == "localhost" or is_address(host):
            bucket, _, key = path.partition("/")
            return unquote(bucket), key
        if host in self.oss.endpoints:
            if path:
                raise errors.SECOND_LEVEL_DOMAIN.because()
            return "", ""
        bucket, _, endpoint = host.partition(".")
        if endpoint not in self.oss.endpoints:
            raise errors.UNKNOWN_HOST.because()
        return bucket, path

    def _operation(self) -> Operation:
        if LACKING & self.parameters.keys():
            raise errors.NOT_IMPLEMENTED.because()
        level = "object" if self.key else "bucket"
        for operation in self.oss.operations:
            fits = (operation.method, operation.level) == (self.command, level)
            if fits and (not operation.parameter or operation.parameter in self.parameters):
                return operation
        raise errors.NOT_IMPLEMENTED.because()

    def _check_permission(self, operation: Operation) -> None:
        if not self.key_id:
            self._check_anonymous(operation)
            return
        allowed = self.oss.permissions.get(self.key_id, OWNER)
        name = self.key or self.parameters.get("prefix", "")
        inside = operation.permission == "info" or name.startswith(allowed.prefix)
        if not (inside and getattr(allowed, operation.permission)):
            raise errors.NO_RIGHT.because(
                AccessDeniedDetail={"AuthAction": operation.action, "NoPermissionType": "ImplicitDeny"}
            )

    def _check_anonymous(self, operation: Operation) -> None:
        # Of a public-read bucket, too, objects can be read but not listed: oss2/auth.py, AnonymousAuth.
        if operation.level == "bucket":
            raise errors.ANONYMOUS_FORBIDDEN.because()
        with self.oss.lock:
            known = self.bucket.objects.get(self.key)
        acl = known.headers.get("x-oss-object-acl", "default") if known else "default"
        acl = self.bucket.acl if acl == "default" else acl
        if acl != "public-read-write" and (acl != "public-read" or operation.permission != "read"):
            raise errors.NO_RIGHT.because()

    # --- pieces of requests ---

    def receive(self, spool: Callable[[], Spool]) -> Received:
        """The body, stored, and compared with Content-MD5 where the request has it."""
        if self.body.missing:
            raise errors.MISSING_LENGTH.because()
        announced = self.fields.get("content-md5")
        digest = None if announced is None else _decoded_md5(announced)
        received = receive(self.body, self.body.size, spool, self.oss.crc64)
        if digest is not None and digest != received.md5:
            raise errors.WRONG_MD5.because(**{"Content-MD5": announced or ""})
        return received

    def integer(self, name: str, least: int, most: int, default: int | None) -> int:
        """A query parameter; with ``default`` None it has to be there."""
        text = self.parameters.get(name, "")
        if not text and default is not None:
            return default
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise errors.INVALID_ARGUMENT.because(ArgumentName=name, ArgumentValue=text)
        return int(text)

    def date(self, header: str) -> datetime | None:
        """A header that holds a time; None where it is missing or no time."""
        try:
            return parsedate_to_datetime(self.fields[header]).astimezone(timezone.utc)
        except (KeyError, TypeError, ValueError):
            return None

    def stored(self) -> StoredObject:
        with self.oss.lock:
            found = self.bucket.objects.get(self.key)
        if found is None:
            raise errors.NO_SUCH_KEY.because(Key=self.key)
        return found

    # --- answers ---

    def encoded(self, text: str) -> str:
        """A key or prefix as the request wants it in the answer."""
        return quote(text, safe="") if self.parameters.get("encoding-type") == "url" else text

    def answer_xml(self, root: str, inner: str, headers: Mapping[str, str] | None = None) -> None:
        """Answer 200 with a document, EncodingType in front where the request asked for one."""
        if self.parameters.get("encoding-type") == "url":
            inner = xml(EncodingType="url") + inner
        document = f"{XML_HEAD}<{root}>{inner}</{root}>".encode()
        fields = {**(headers or {}), "Content-Type": "application/xml", "Content-Length": str(len(document))}
        self.answer(200, fields, (Piece(len(document), document),))

    def answer(self, status: int, headers: Mapping[str, str], content: Iterable[Piece] = ()) -> None:
        """Send the answer, after the rest of the request: a client that still sends reads nothing."""
        self.body.drain()
        fields = {
            "Server": "AliyunOSS",
            "Date": formatdate(self.oss.now().timestamp(), usegmt=True),
            "Connection": "keep-alive",
            "x-oss-request-id": self.request_id,
            "x-oss-server-time": "1",
            **headers,
        }
        if status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            fields.setdefault("Content-Length", "0")
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            *(f"{name}: {fields[name]}" for name in fields),
        ]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.oss.requests.append(Seen(self.command, self.target, status))  # who has the answer finds it there
        pieces = list(content)
        if pieces and pieces[0].spool is None:
            head += bytes(pieces.pop(0).memory)
        self.connection.sendall(head)
        for piece in pieces:
            self._send(piece)

    def _send(self, piece: Piece) -> None:
        if piece.spool is None or isinstance(self.connection, ssl.SSLSocket) or not hasattr(os, "sendfile"):
            for chunk in piece.chunks():
                self.connection.sendall(chunk)
            return
        offset, end = piece.offset, piece.offset + piece.size
        while offset < end:
            offset += os.sendfile(self.connection.fileno(), piece.spool.fileno(), offset, end - offset)

    def _refuse(self, refused: errors.OssRefused) -> None:
        refusal = refused.refusal
        inner = xml(Code=refusal.code, Message=refusal.message, RequestId=self.request_id)
        inner += xml(HostId=self.fields.get("host", ""))
        for name, value in refused.details.items():
            inner += xml(**{name: value}) if isinstance(value, str) else f"<{name}>{xml(**value)}</{name}>"
        headers: dict[str, str] = {}
        if refusal.ec:
            inner += xml(EC=refusal.ec, RecommendDoc=f"https://api.aliyun.com/troubleshoot?q={refusal.ec}")
            headers["x-oss-ec"] = refusal.ec
        document = f"{XML_HEAD}<Error>{inner}</Error>".encode()
        if self.command == "HEAD":
            headers["x-oss-err"] = base64.b64encode(document).decode()
            document = b""
        headers |= {"Content-Type": "application/xml", "Content-Length": str(len(document))}
        self.answer(refusal.status, headers, (Piece(len(document), document),))


def _decoded_md5(text: str) -> bytes:
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != hashlib.md5(usedforsecurity=False).digest_size:
        raise errors.INVALID_MD5.because(**{"Content-MD5": text})
    return digest
