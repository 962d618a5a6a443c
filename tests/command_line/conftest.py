"""The fixtures of ``command_line_process`` for the tests of this folder."""

from __future__ import annotations

from command_line_process import bare_python, bucket, cli, offline, proxied, storage

__all__ = ["bare_python", "bucket", "cli", "offline", "proxied", "storage"]
