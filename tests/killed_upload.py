"""Begins an upload in parts and never ends: whoever started this process kills it."""

from __future__ import annotations

import sys
from pathlib import Path

from conftest import load_package


def main(profiles_file: str, key: str) -> None:
    load_package()
    from cloud_storage.storage import connect, multipart
    from cloud_storage.storage.base import PutOptions
    from cloud_storage.system.meter import Meter

    storage = connect.storage_of(None, Path(profiles_file))
    storage.put(key, bytes(multipart.SINGLE_MAX_BYTES + 1), PutOptions(), Meter())


if __name__ == "__main__":
    main(*sys.argv[1:])
