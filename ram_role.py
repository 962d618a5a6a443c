"""Temporary credentials of an ECS instance's RAM role, for oss2.

oss2's own provider must be told the role's name and cannot talk to instances in security hardening mode.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from .errors import AccessDenied, sentence
from .oss_errors import said_by

# help.aliyun.com/en/ecs/user-guide/view-instance-metadata
METADATA_URL = "http://100.100.100.200/latest"
METADATA_SECONDS = 2  # it is a link-local address: who is not there in that time is not there
METADATA_TOKEN_SECONDS = 300
RENEW_SECONDS = 600  # before temporary credentials expire


class RamRole:
    """What oss2 calls a credentials provider: asks this instance on first use, and again in time."""

    def __init__(self, keys: Callable[[str, str, str], Any]) -> None:
        """``keys`` makes oss2's Credentials of id, secret and token."""
        self._keys = keys
        self._lock = threading.Lock()
        self._held: Any = None
        self._until = float("-inf")

    def get_credentials(self) -> Any:  # noqa: ANN401
        """An ``oss2.credentials.Credentials``. Raises AccessDenied where there is no role."""
        with self._lock:
            if time.time() > self._until - RENEW_SECONDS:
                try:
                    self._held, self._until = self._fetch()
                except Exception as error:  # whatever it is: what was had before may still do
                    if time.time() < self._until:
                        return self._held
                    said, advice = said_by(error), "Attach a RAM role to the instance, or set auth to keys."
                    where = "metadata of this ECS instance"
                    raise AccessDenied(sentence("get credentials", where, said, advice)) from error
            return self._held

    def _fetch(self) -> tuple[Any, float]:
        import requests

        with requests.Session() as session:
            session.trust_env = False  # a link-local address is not behind a proxy
            token = session.put(
                f"{METADATA_URL}/api/token",
                headers={"X-aliyun-ecs-metadata-token-ttl-seconds": str(METADATA_TOKEN_SECONDS)},
                timeout=METADATA_SECONDS,
            )
            if token.ok:
                session.headers["X-aliyun-ecs-metadata-token"] = token.text
            roles = f"{METADATA_URL}/meta-data/ram/security-credentials/"
            listed = session.get(roles, timeout=METADATA_SECONDS)
            listed.raise_for_status()
            if not listed.text.strip():
                raise ValueError("it has no RAM role")
            answer = session.get(roles + listed.text.split()[0], timeout=METADATA_SECONDS)
            answer.raise_for_status()
        role = answer.json()
        until = datetime.strptime(role["Expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        keys = self._keys(role["AccessKeyId"], role["AccessKeySecret"], role["SecurityToken"])
        return keys, until.timestamp()
