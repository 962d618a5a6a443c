"""GET and PUT of one object over the client's connections, without botocore's own work for each request.

For each request botocore checks parameters, resolves the endpoint and calls some twenty handlers, which costs
more than moving 1 MiB: benchmarks/throughput.py. Here the address is the one that botocore used before, and
the signing key is kept for the day. botocore still signs, sends, and reads the answers that refuse.
"""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .. import headers
from ..headers import Reply
from .errors import unwrapped

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
UNSIGNED = "UNSIGNED-PAYLOAD"  # docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
_MOVED = (301, 302, 307, 400)  # botocore finds the region of a bucket that is somewhere else
_last: contextvars.ContextVar[Any] = contextvars.ContextVar("last_request", default=None)


@dataclass(frozen=True)
class Address:
    """Where botocore sent a request: what stands before the key, the signature's region, "" for none."""

    base: str
    region: str
    user_agent: str


class Direct:
    """Sends requests of one client. Any thread may use it."""

    def __init__(self, client: Any, send: Callable[[Any], Any]) -> None:  # noqa: ANN401
        """``send`` sends a prepared request of botocore and returns its answer."""
        self._client, self._send = client, send
        self.is_ready = False  # whether botocore has shown where this bucket is
        self.address = Address("", "", "")
        self._signer: Any = None
        self._lock = threading.Lock()
        model = client.meta.service_model.operation_model("PutObject").input_shape.members
        # What the parameters of PutObject that are headers are called as such
        self.header_names = {name: str(shape.serialization.get("name")) for name, shape in model.items()}

        def remember(request: Any, **_: object) -> None:  # noqa: ANN401
            _last.set(request)

        client.meta.events.register_first("before-send.s3", remember)

    def learn(self, full_key: str) -> None:
        """Remember where botocore has just sent this thread's request for the object."""
        request = _last.get()
        url, quoted = request.url.partition("?")[0], headers.quoted(full_key)
        if self.is_ready or not url.endswith(f"/{quoted}"):
            return
        signed = _text(request.headers.get("Authorization"))
        region = ""
        if signed:
            scope = signed.partition("Credential=")[2].partition(",")[0].split("/")
            if not signed.startswith("AWS4-HMAC-SHA256 ") or scope[-2:] != ["s3", "aws4_request"]:
                return  # a signature of another kind, as of directory buckets
            region = scope[-3]
        agent = _text(request.headers.get("User-Agent"))
        self.address = Address(url.removesuffix(quoted), region, agent)
        self.is_ready = True

    def get(self, full_key: str, conditions: Mapping[str, str]) -> Reply:
        """Ask for an object, with these headers. Raises what botocore raises."""
        from botocore.response import StreamingBody

        answer = self._request("GetObject", "GET", full_key, conditions, EMPTY_SHA256)
        body = StreamingBody(answer.raw, answer.headers.get("content-length"))
        return Reply(answer.status_code, _lower(answer.headers), body.read, body.close)

    def put(self, full_key: str, sent: Mapping[str, str], payload: str, body: Any) -> Mapping[str, str]:  # noqa: ANN401
        """Send an object, and return the headers of the answer. Raises what botocore raises.

        ``payload`` is the SHA-256 of ``body`` in hexadecimal digits, or UNSIGNED.
        """
        return _lower(self._request("PutObject", "PUT", full_key, sent, payload, body).headers)

    def _request(
        self,
        operation: str,
        method: str,
        full_key: str,
        sent: Mapping[str, str],
        payload: str,
        body: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        from botocore.awsrequest import AWSPreparedRequest, AWSRequest

        address = self.address
        request = AWSRequest(method, address.base + headers.quoted(full_key), dict(sent))
        request.headers["User-Agent"] = address.user_agent
        if address.region:
            request.context["payload"] = payload
            self._signer_of(address.region).add_auth(request)
        # as bytes, as botocore prepares them: it looks for b"100-continue"
        encoded = {name: value.encode() for name, value in request.headers.items()}
        prepared = AWSPreparedRequest(method, request.url, encoded, body, method == "GET")
        try:
            answer = self._send(prepared)
        except Exception as error:
            if (cause := unwrapped(error)) is not None:
                raise cause from None
            raise
        if answer.status_code // 100 != 2:  # noqa: PLR2004
            if answer.status_code in _MOVED:
                self.is_ready = False
            raise self._refusal(operation, answer)
        return answer

    def _refusal(self, operation: str, answer: Any) -> Exception:  # noqa: ANN401
        from botocore.endpoint import convert_to_response_dict
        from botocore.exceptions import ClientError
        from botocore.parsers import ResponseParserFactory

        model = self._client.meta.service_model.operation_model(operation)
        parser = ResponseParserFactory().create_parser(model.metadata["protocol"])
        parsed = parser.parse(convert_to_response_dict(answer, model), model.output_shape)
        refusal: Exception = ClientError(parsed, operation)
        return refusal

    def _signer_of(self, region: str) -> Any:  # noqa: ANN401
        """The signer for the credentials of now, which may be those of a role and change by the hour."""
        auth = self._client._request_signer.get_auth_instance("s3", region, "s3v4")
        with self._lock:
            if self._signer is None or self._signer.credentials != auth.credentials:
                self._signer = _signer_class()(auth.credentials, "s3", region)
            return self._signer


@functools.cache
def _signer_class() -> type:
    from botocore.auth import S3SigV4Auth

    class Signer(S3SigV4Auth):  # type: ignore[misc]
        """Signs as botocore does; the key, which four digests make, is kept for its day."""

        _day, _key = "", b""

        def payload(self, request: Any) -> str:  # noqa: ANN401
            return str(request.context["payload"])

        def signature(self, string_to_sign: str, request: Any) -> str:  # noqa: ANN401
            day = request.context["timestamp"][:8]
            if day != self._day:
                key = f"AWS4{self.credentials.secret_key}".encode()
                for part in (day, self._region_name, self._service_name, "aws4_request"):
                    key = self._sign(key, part)
                self._day, self._key = day, key
            return str(self._sign(self._key, string_to_sign, hex=True))

    return Signer


def _text(header: str | bytes | None) -> str:
    return header.decode() if isinstance(header, bytes) else header or ""


def _lower(answer: Mapping[str, str]) -> Mapping[str, str]:
    return {name.lower(): value for name, value in answer.items()}
