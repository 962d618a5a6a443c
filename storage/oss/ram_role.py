"""Get temporary credentials of an ECS instance's RAM role, for oss2.

oss2's own provider needs the name of the role, and does not support instances in security hardening mode.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from ...errors import AccessDenied, TransferCancelled, sentence
from .. import answers, connection_watch
from .errors import innermost_text

# help.aliyun.com/en/ecs/user-guide/view-instance-metadata
METADATA_URL = "http://100.100.100.200/latest"
METADATA_SECONDS = 2  # a link-local address answers at once or never
METADATA_TOKEN_SECONDS = 300
_WHERE = "metadata of this ECS instance"
RENEW_SECONDS = 600  # before temporary credentials expire


class RamRole:
    """A credentials provider for oss2: asks the instance on first use, and again before they expire."""

    def __init__(self, keys: Callable[[str, str, str], Any]) -> None:
        """``keys`` is oss2's class Credentials, called with id, secret and token."""
        self._keys = keys
        self._lock = threading.Lock()
        self._credentials: Any = None
        self._expires = float("-inf")

    def get_credentials(self) -> Any:  # noqa: ANN401
        """Return oss2's Credentials. Raises AccessDenied without a role, and TransferCancelled."""
        with self._lock:
            if time.time() > self._expires - RENEW_SECONDS:
                said = ""
                try:
                    self._credentials, self._expires = self._fetch()
                except TransferCancelled:
                    raise
                except Exception as error:  # noqa: BLE001  the old credentials may still be valid
                    said = innermost_text(error)
                # Not within "except": a traceback of the cause could show credentials.
                if said and time.time() >= self._expires:
                    advice = "Attach a RAM role to the instance, or set auth to keys."
                    raise AccessDenied(sentence("get credentials", _WHERE, said, advice))
            return self._credentials

    def _fetch(self) -> tuple[Any, float]:
        with connection_watch.session(1) as session:
            session.trust_env = False  # a link-local address is not behind a proxy

            def ask(method: str, path: str, **headers: str) -> tuple[bool, str]:
                answer = session.request(
                    method,
                    f"{METADATA_URL}/{path}",
                    headers=headers,
                    timeout=METADATA_SECONDS,
                    stream=True,
                    allow_redirects=False,
                )
                text = answers.error_document(answer.raw).decode()  # the same size limit
                if method == "GET":
                    answer.raise_for_status()
                return answer.ok, text

            lifetime = {"X-aliyun-ecs-metadata-token-ttl-seconds": str(METADATA_TOKEN_SECONDS)}
            ok, token = ask("PUT", "api/token", **lifetime)
            sent = {"X-aliyun-ecs-metadata-token": token} if ok else {}
            roles = "meta-data/ram/security-credentials/"
            _, names = ask("GET", roles, **sent)
            if not names.strip():
                raise ValueError("it has no RAM role")
            _, found = ask("GET", roles + names.split()[0], **sent)
        role = json.loads(found)
        until = datetime.strptime(role["Expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        keys = self._keys(role["AccessKeyId"], role["AccessKeySecret"], role["SecurityToken"])
        return keys, until.timestamp()
