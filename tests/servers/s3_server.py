"""What every S3 test server offers: two endpoints, keys, buckets, and users that may do less.

``started`` is what a fixture needs: it skips where a server cannot be had, and fails instead where ``CI`` is
set.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from .certificates import Certificates
from .processes import ServerUnavailable

_making_a_client = threading.Lock()  # boto3's clients may be shared between threads, its sessions may not

Policy = Mapping[str, Any]
Running = TypeVar("Running", bound="S3Server")

# What the nodes' own operations need, as IAM calls it.
READ = ("s3:GetObject",)
WRITE = ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
DELETE = ("s3:DeleteObject",)
LIST = ("s3:ListBucket",)

ALLOW_ALL: Policy = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}


@dataclass(frozen=True)
class Keys:
    """One set of credentials; the secrets stay out of its representation and so out of test reports."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def allow(bucket: str, *actions: str, prefix: str = "") -> Policy:
    """A policy document that allows ``actions`` in one bucket, below ``prefix``, and nothing else."""
    on_objects = [action for action in actions if action != "s3:ListBucket"]
    statements: list[dict[str, Any]] = []
    if on_objects:
        statements.append(
            {"Effect": "Allow", "Action": on_objects, "Resource": f"arn:aws:s3:::{bucket}/{prefix}*"}
        )
    if "s3:ListBucket" in actions:
        listing: dict[str, Any] = {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{bucket}",
        }
        if prefix:
            listing["Condition"] = {"StringLike": {"s3:prefix": f"{prefix}*"}}
        statements.append(listing)
    return {"Version": "2012-10-17", "Statement": statements}


@functools.cache
def _session() -> Any:
    """One for all clients: each would spend a tenth of a second reading the service's description again."""
    import boto3

    return boto3.session.Session()


class S3Server(ABC):
    """A running S3 server on loopback, as a context manager; both endpoints serve the same buckets."""

    name: str
    port: int
    tls_port: int
    region: str
    keys: Keys
    certificates: Certificates

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_endpoint_url(self) -> str:
        return f"https://127.0.0.1:{self.tls_port}"

    @abstractmethod
    def start(self) -> None:
        """Return when the server answers. Raises ServerUnavailable, ServerFailed."""

    @abstractmethod
    def stop(self) -> None:
        """End every process and remove every file. A second call does nothing."""

    @abstractmethod
    def create_user(self, policy: Policy | None = None) -> Keys:
        """The keys of a new user who may do what ``policy`` says; without one, nothing in others' buckets."""

    def client(self, keys: Keys | None = None, tls: bool = False, service: str = "s3", **config: Any) -> Any:
        """A boto3 client with one attempt per call, so that a test sees the server's first answer."""
        from botocore.config import Config

        keys = keys or self.keys
        chosen: dict[str, Any] = {
            "signature_version": "s3v4" if service == "s3" else "v4",
            "retries": {"total_max_attempts": 1},
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "s3": {"addressing_style": "path"},
        }
        endpoint_url = config.pop("endpoint_url", None) or (
            self.tls_endpoint_url if tls else self.endpoint_url
        )
        # Those that older releases do not know are what newer ones are to be kept from doing.
        known, options = set(Config.OPTION_DEFAULTS), {**chosen, **config}
        with _making_a_client:
            return _session().client(
                service,
                endpoint_url=endpoint_url,
                region_name=self.region,
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
                aws_session_token=keys.session_token or None,
                verify=str(self.certificates.authority),
                config=Config(**{name: value for name, value in options.items() if name in known}),
            )

    def create_bucket(self, bucket: str = "") -> str:
        """Create a bucket that belongs to ``keys``, with a new name if none is given; returns the name."""
        bucket = bucket or f"bucket-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=bucket)
        return bucket

    def make_public(self, bucket: str) -> None:
        """Let anybody read and list a bucket of ``keys``, without any signature."""
        client = self.client()
        with contextlib.suppress(
            client.exceptions.ClientError
        ):  # one that has no such block, or does not know it
            client.delete_public_access_block(Bucket=bucket)
        document = allow(bucket, *READ, *LIST)
        for statement in document["Statement"]:
            statement["Principal"] = "*"
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))

    def __enter__(self: Running) -> Running:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@contextlib.contextmanager
def started(kind: type[Running], folder: Path, **options: Any) -> Iterator[Running]:
    """A running server for a fixture; one that cannot be had skips the test, or fails it where CI is set."""
    import pytest

    server = kind(folder, **options)  # type: ignore[call-arg]  # every kind takes its folder first
    try:
        server.__enter__()
    except ServerUnavailable as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    try:
        yield server
    finally:
        server.stop()
