"""GET, HEAD and PUT of an object, or of a part of one, without botocore's own work for each request.

For each request botocore checks parameters, resolves the endpoint and calls some twenty handlers, which costs
more than moving 1 MiB: benchmarks/throughput.py. Here the address is the one that botocore used before, the
signing key is kept for the day, and the connection is one of botocore's pool. Where there is none, botocore
sends the request: proxies are left to it. It also says what an answer means that refuses.
"""

from __future__ import annotations

import contextvars
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, urlsplit

from .. import answers, connection_watch, headers
from ..headers import Reply
from ..multipart import Slice
from . import kept_connection
from .kept_connection import KeptConnection

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
UNSIGNED = "UNSIGNED-PAYLOAD"  # docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
_MOVED = (301, 302, 307, 400)  # botocore finds the region of a bucket that is somewhere else
_DEFAULT_PORTS = {"http": 80, "https": 443}
_last: contextvars.ContextVar[Any] = contextvars.ContextVar("last_request", default=None)


@dataclass(frozen=True)
class Address:
    """Where botocore sent a request: what stands before the key, the signature's region, "" for none."""

    base: str
    region: str
    user_agent: str

    @property
    def host(self) -> str:
        """The header Host: without a port that is the scheme's own."""
        parts = urlsplit(self.base)
        return parts.netloc.removesuffix(f":{_DEFAULT_PORTS[parts.scheme]}")

    @property
    def path(self) -> str:
        return urlsplit(self.base).path


@dataclass(frozen=True)
class Part:
    """Which part of an object a body is."""

    upload_id: str
    number: int


class Direct:
    """Sends requests of one client. Any thread may use it."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401
        self._client = client
        self._address: Address | None = None  # once botocore has shown where this bucket is
        self._host = self._path = ""
        self._pool: Any = None
        self._key: tuple[Any, str, bytes] | None = None  # credentials, day and region, signing key
        model = client.meta.service_model.operation_model("PutObject").input_shape.members
        # What the parameters of PutObject that are headers are called as such
        self.header_names = {name: str(shape.serialization.get("name")) for name, shape in model.items()}

        def remember(request: Any, **_: object) -> None:  # noqa: ANN401
            _last.set((request.url, request.headers))

        client.meta.events.register_first("before-send.s3", remember)

    @property
    def address(self) -> Address | None:
        return self._address

    @address.setter
    def address(self, address: Address | None) -> None:
        pool = None
        if address:
            session = self._client._endpoint.http_session
            try:  # botocore has had these private names since 1.11
                if not session._proxy_config.proxy_url_for(address.base):
                    pool = session._manager.connection_from_url(address.base)
            except AttributeError:
                pass  # a release that is not known sends every request itself
            self._host, self._path = address.host, address.path
        self._address, self._pool = address, pool

    def learn(self, full_key: str) -> None:
        """Remember where botocore has just sent this thread's request for the object."""
        sent_to, sent = _last.get()
        url, quoted = sent_to.partition("?")[0], headers.quoted(full_key)
        if self._address or not url.endswith(f"/{quoted}"):
            return
        signed = _text(sent.get("Authorization"))
        region = ""
        if signed:
            scope = signed.partition("Credential=")[2].partition(",")[0].split("/")
            if not signed.startswith("AWS4-HMAC-SHA256 ") or scope[-2:] != ["s3", "aws4_request"]:
                return  # a signature of another kind, as of directory buckets
            region = scope[-3]
        agent = _text(sent.get("User-Agent"))
        self.address = Address(url.removesuffix(quoted), region, agent)

    def connection(self) -> KeptConnection | None:
        """Take a connection for a request; None if botocore has to send the request."""
        pool = self._pool
        return kept_connection.take(pool, self._host) if pool else None

    def get(self, connection: KeptConnection, full_key: str, conditions: Mapping[str, str]) -> Reply:
        """Ask for an object, with these headers. Raises what botocore raises."""
        status, answer = self._request(connection, "GET", full_key, conditions, EMPTY_SHA256)
        connection_watch.allow(None)  # its Content-Length limits it
        body = connection.body(answer)
        return Reply(status, answer, body.read, body.close)

    def head(self, connection: KeptConnection, full_key: str) -> Mapping[str, str]:
        """Ask for the headers of an object. Raises what botocore raises."""
        answer = self._request(connection, "HEAD", full_key, {}, EMPTY_SHA256)[1]
        connection.keep(answer)
        return answer

    def put(
        self,
        connection: KeptConnection,
        full_key: str,
        sent: Mapping[str, str],
        payload: str,
        body: Slice,
        part: Part | None = None,
    ) -> Mapping[str, str]:
        """Send an object or a part of one, and return the headers of the answer. Raises what botocore raises.

        ``payload`` is the SHA-256 of ``body`` in hexadecimal digits, or UNSIGNED.
        """
        more = {**sent, "content-length": str(len(body))}
        status, answer = self._request(connection, "PUT", full_key, more, payload, body, part)
        if answer.get("content-length") == "0":
            connection.keep(answer)
        elif answers.is_error(document := connection.error_document(status, answer, "PUT")):
            raise self._refusal("PUT", part, 500, answer, document)
        return answer

    def _request(
        self,
        connection: KeptConnection,
        method: str,
        full_key: str,
        sent: Mapping[str, str],
        payload: str,
        body: Slice | None = None,
        part: Part | None = None,
    ) -> tuple[int, Mapping[str, str]]:
        address = self._address
        query = f"partNumber={part.number}&uploadId={quote(part.upload_id, safe='')}" if part else ""
        try:
            path = self._path + headers.quoted(full_key)
            fields = {name.lower(): value for name, value in sent.items()}
            fields["host"] = self._host
            if address and address.region:
                self._sign(address.region, method, path, query, fields, payload)
            fields["user-agent"] = address.user_agent if address else ""
        except BaseException:
            connection.keep({})  # nothing has been sent
            raise
        target = f"{path}?{query}" if query else path
        status, answer = connection.send(f"{method} {target}", fields, body)
        if status // 100 != 2:  # noqa: PLR2004
            if status in _MOVED:
                self.address = None
            document = connection.error_document(status, answer, method)
            raise self._refusal(method, part, status, answer, document)
        return status, answer

    def _sign(
        self, region: str, method: str, path: str, query: str, fields: dict[str, str], payload: str
    ) -> None:
        """Add the headers of Signature Version 4:
        docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
        """
        credentials = self._client._request_signer.get_auth_instance("s3", region, "s3v4").credentials
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        fields["x-amz-date"], fields["x-amz-content-sha256"] = now, payload
        if credentials.token:
            fields["x-amz-security-token"] = credentials.token
        names = sorted(fields)
        values = "".join(f"{name}:{' '.join(fields[name].split())}\n" for name in names)
        signed = ";".join(names)
        request = f"{method}\n{path}\n{query}\n{values}\n{signed}\n{payload}"
        scope = f"{now[:8]}/{region}/s3/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = self._signing_key(credentials, scope)
        signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}".encode(), "sha256").hex()
        fields["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )

    def _signing_key(self, credentials: Any, scope: str) -> bytes:  # noqa: ANN401
        """The key of the day, for the credentials of now, which may be those of a role and change by the
        hour.
        """
        kept = self._key
        if kept is None or kept[:2] != (credentials, scope):
            key = f"AWS4{credentials.secret_key}".encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            kept = self._key = credentials, scope, key
        return kept[2]

    def _refusal(
        self, method: str, part: Part | None, status: int, answer: Mapping[str, str], document: bytes
    ) -> Exception:
        from botocore.exceptions import ClientError
        from botocore.parsers import ResponseParserFactory

        operation = "UploadPart" if part else f"{method.title()}Object"
        model = self._client.meta.service_model.operation_model(operation)
        parser = ResponseParserFactory().create_parser(model.metadata["protocol"])
        received = {"status_code": status, "headers": dict(answer), "body": document}
        refusal: Exception = ClientError(parser.parse(received, model.output_shape), operation)
        return refusal


def _text(header: str | bytes | None) -> str:
    return header.decode() if isinstance(header, bytes) else header or ""
