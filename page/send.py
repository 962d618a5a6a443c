"""Puts files into a bucket for the page: what a node shows, and what the user drops onto a node.

Never over an object that exists: a name that is taken gets a number, unless the object has the same content.
"""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ..comfyui import folders, node_lines, uploadable_files
from ..comfyui.node_lines import for_page
from ..config.profiles_file import ENVIRONMENT
from ..errors import DISK_ADVICE, ConfigurationError, TooLarge, Unreachable, disk_errors
from ..profile import resolve
from ..saving import upload_file
from ..saving.choices import KEEP_AND_GO_ON, NEW_NAME
from ..saving.list_order import Call
from ..saving.names import Name, NameContext
from ..saving.save_request import SaveRequest, SaveResult
from ..saving.store_file import File
from ..storage import headers
from ..storage.base import Storage
from ..system.meter import Meter

if TYPE_CHECKING:
    from aiohttp import StreamReader

SENT_FOLDER = "comfyui/sent/"
MOST_FILES = 1000  # of one request
DROPPED_BYTES = 64 << 30
KEPT_FREE_BYTES = 1 << 30  # on the disk with ComfyUI's temp folder
IDLE_SECONDS = 60.0  # within which the browser must send something
WRITTEN_BYTES = 4 << 20  # collected before the disk is written to


def send(said: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Upload files that a node shows; returns the lines for it, and the keys.

    ``said`` has ``files``, each with ``filename``, ``subfolder`` and ``type`` as /view takes them; where
    wanted, the name of a ``profile``, and a ``key_prefix`` with the tokens of the save nodes. While the
    bucket cannot be reached, the files are kept in the outbox; then their key is "". Raises StorageError.
    """
    given = said.get("files")
    if not isinstance(given, list) or not given or not all(isinstance(each, dict) for each in given):
        raise ConfigurationError("The request names no files. Reload the page.")
    if len(given) > MOST_FILES:
        raise ConfigurationError(f"One request may send {MOST_FILES:,} files at most. Send fewer at once.")
    paths = [uploadable_files.shown(*(_text(each, name) for name in _VIEW)) for each in given]
    profile = resolve(_text(said, "profile") or ENVIRONMENT, {}, folders.profiles_file())
    prefix = _text(said, "key_prefix") or SENT_FOLDER
    request = SaveRequest(profile=profile, key_prefix=prefix, filename="", on_failure=KEEP_AND_GO_ON)
    results = [_sent(request, path, meter) for path in dict.fromkeys(paths)]
    lines = [line for result in results for line in result.lines]
    return {"lines": for_page(lines), "keys": [key for result in results for key in result.keys]}


def _unsaid(_text: str) -> None:
    """The page has no place for what is said meanwhile."""


_VIEW = ("type", "subfolder", "filename")


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name) or ""
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} in the request is no text. Reload the page.")
    return value


def _sent(request: SaveRequest, path: Path, meter: Meter) -> SaveResult:
    try:
        return request.upload(path.name, path, meter, _unsaid, Call())
    except Unreachable:  # tried once more, then kept
        room = request.storage.room_for_key
    name = upload_file.kept_name(request.key_prefix, path.name, request.context(), room)
    file = File(path, headers.media_type(path))
    return request.save([name], lambda _index: file, lambda _file, _key: None, meter, Call())


# ------------------------------------------------------------ what is dropped onto a node


@dataclass(frozen=True)
class Dropped:
    """A file from the browser, in a folder of its own below ComfyUI's temp folder; its name in the bucket."""

    path: Path
    name: Name

    def store(self, storage: Storage, meter: Meter) -> dict[str, Any]:
        """Upload it; returns the object's key, size and ETag, and a sentence."""
        done = upload_file.upload(storage, self.name, self.path, NEW_NAME, meter, _unsaid, Call())
        return {"key": done.key, "size": done.info.size, "etag": done.info.etag, "status": done.status}


@contextmanager
def place_for(storage: Storage, folder: str, name: str, size: int | None) -> Iterator[Dropped]:
    """A place for a file that the browser calls ``name``, of ``size`` bytes if that is known, on its way to
    ``folder`` of the bucket. It is removed at the end.

    Raises ConfigurationError for a bad name or folder, TooLarge, and StorageError for the disk.
    """
    last = PurePosixPath(name.replace("\\", "/")).name
    if not last.strip(". "):
        raise ConfigurationError("The file has no name. Give it one and drop it again.")
    named = upload_file.kept_name("", f"{folder}{last}", NameContext(datetime.now()), storage.room_for_key)
    _refuse_large(size or 0)
    place = folders.temp_folder() / f".dropped-{uuid.uuid4().hex}"
    with disk_errors("write a file", folders.TEMP, DISK_ADVICE):
        if (size or 0) > shutil.disk_usage(place.parent).free - KEPT_FREE_BYTES:
            raise TooLarge(
                f"There is not enough room on ComfyUI's disk for {last!r}. Free some space, or upload the "
                "file with cloud.py push instead."
            )
        place.mkdir()
    try:
        extension = PurePosixPath(last).suffix.removeprefix(".")
        yield Dropped(place / node_lines.file_name(last, extension), named)
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def receive(content: StreamReader, path: Path, size: int | None) -> None:
    """Write the body of a request to ``path``, a few megabytes at a time; to be awaited in the event loop.

    Raises TooLarge; Unreachable if the browser stops before ``size`` bytes; StorageError for the disk.
    """
    loop, arrived, waiting = asyncio.get_running_loop(), 0, bytearray()
    with disk_errors("write a file", folders.TEMP, DISK_ADVICE):
        file = path.open("xb")
    try:
        while True:
            part = await _next(content)
            arrived += len(part)
            _refuse_large(arrived)
            waiting += part
            if len(waiting) >= WRITTEN_BYTES or not part:
                with disk_errors("write a file", folders.TEMP, DISK_ADVICE):
                    await loop.run_in_executor(None, _writer(file.write, bytes(waiting)))
                waiting.clear()
            if not part:
                break
    finally:
        file.close()
    if size is not None and arrived != size:
        raise _broken_off()


async def _next(content: StreamReader) -> bytes:
    from aiohttp import ClientError

    try:
        return await asyncio.wait_for(content.readany(), IDLE_SECONDS)
    except (asyncio.TimeoutError, ConnectionError, ClientError) as error:
        raise _broken_off() from error


def _writer(write: Callable[[bytes], object], data: bytes) -> Callable[[], object]:
    return lambda: write(data)


def _broken_off() -> Unreachable:
    return Unreachable("The file did not arrive whole from the browser. Nothing was stored: drop it again.")


def _refuse_large(size: int) -> None:
    if size > DROPPED_BYTES:
        raise TooLarge(
            f"The file is larger than {DROPPED_BYTES >> 30} GB. Upload it with cloud.py push instead."
        )
