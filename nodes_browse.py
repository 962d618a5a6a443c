"""Nodes that look around: list what is in a bucket, and share an object by an address that expires."""

from __future__ import annotations

import itertools
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from . import node_inputs
from .comfyui import folders, results
from .comfyui.amounts import in_bytes, several
from .comfyui.progress import Progress
from .errors import NotFound
from .loading import is_changed, selection
from .storage.base import ObjectInfo, Storage
from .storage.connect import storage_of
from .system.meter import Meter
from .system.watch import run_in_thread

if TYPE_CHECKING:
    from .profile import Profile

MAX_RESULTS = 100_000
SHOWN_LINES = 100  # on the node; all of them are in file_list


class ListBucketContents:
    """List the objects below a prefix, in key order."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage/browse", "list_objects", True
    RETURN_TYPES, RETURN_NAMES = ("STRING", "STRING", "INT"), ("file_list", "keys", "count")
    OUTPUT_IS_LIST = (False, True, False)
    DESCRIPTION = "Lists the objects in a folder. Connect keys to a load node to load each of them."
    OUTPUT_TOOLTIPS = (
        "One line for each object: its key, size and date.",
        "The keys, one by one, for any node with a key input.",
        "How many objects were listed.",
    )
    SEARCH_ALIASES = ("s3 list", "browse bucket", "files", "ls", "列出文件")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "prefix": node_inputs.text_input(
                    "List only keys that start with this, for example comfyui/images/. "
                    "Empty: all keys below the path_prefix."
                ),
                "max_results": (
                    "INT",
                    {
                        "default": 100,
                        "min": 1,
                        "max": MAX_RESULTS,
                        "tooltip": "List at most this many objects.",
                    },
                ),
            },
            "optional": {
                "profile": node_inputs.PROFILE,
                "pattern": node_inputs.text_input(
                    "List only keys that match this after the prefix, for example *.png or portrait_??.webp.",
                    "*",
                ),
            },
            "hidden": node_inputs.UNIQUE_ID,
        }

    @classmethod
    def IS_CHANGED(
        cls,
        prefix: str | None = None,
        max_results: int | None = None,
        pattern: str | None = None,
        unique_id: str | None = None,
        **others: object,
    ) -> str:
        def state(storage: Storage, prefix: str, how: tuple[int, str]) -> str:
            return selection.state(_objects(storage, prefix, *how))

        return is_changed.answer(unique_id, prefix, state, is_changed.given(max_results, pattern))

    async def list_objects(
        self,
        prefix: str = "",
        max_results: int = 100,
        profile: Profile | None = None,
        pattern: str = "*",
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        meter, progress = Meter(), Progress(unique_id, "Listed")

        def collect() -> list[ObjectInfo]:
            storage = storage_of(profile, folders.profiles_file())
            found = []
            for info in _objects(storage, prefix, max_results, pattern):
                meter.check()
                found.append(info)
            is_changed.remember(unique_id, profile, prefix, selection.state(found), (max_results, pattern))
            if not found:  # an empty list would fail in the next node, with words that name nothing
                raise NotFound(
                    f"No object below {prefix!r} matches {pattern!r} ({storage.place}). "
                    "Check the prefix, the pattern and the profile's path_prefix."
                )
            return found

        found = await run_in_thread(collect, meter, progress)
        lines = list(map(_line, found))
        count = several(len(found), "{} object", "{} objects")
        progress.text(count)
        further = ["…"] if len(lines) > SHOWN_LINES else []
        result = ("\n".join(lines), [info.key for info in found], len(found))
        return results.shown(result, [f"{count}, times in UTC", *map(_shown, found[:SHOWN_LINES]), *further])


class GeneratePresignedURL:
    """Sign an address at which anybody can read one object until it expires."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage/browse", "share", True
    RETURN_TYPES, RETURN_NAMES = ("STRING",), ("url",)
    DESCRIPTION = (
        "Makes a link that works without a login until it expires. Everybody who has the link can"
        " read the object."
    )
    OUTPUT_TOOLTIPS = ("The presigned link. Treat it like a password until it expires.",)
    SEARCH_ALIASES = ("s3 share", "presigned url", "signed link", "分享")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "key": node_inputs.key("comfyui/images/a.png"),
                "expires_hours": node_inputs.EXPIRES_HOURS,
            },
            "optional": {"profile": node_inputs.PROFILE},
            "hidden": node_inputs.UNIQUE_ID,
        }

    @classmethod
    def IS_CHANGED(cls, expires_hours: int | None = None, **others: object) -> int:
        """Changes twice in the life of an address, so that a cached one always has half of it left."""
        return int(time.time() // (int(expires_hours or 1) * 1800))

    async def share(
        self,
        key: str = "",
        expires_hours: int = 24,
        profile: Profile | None = None,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        def sign() -> str:
            storage = storage_of(profile, folders.profiles_file())
            name = node_inputs.key_for(storage, key)
            storage.stat(name)  # an address of nothing would only fail in somebody else's browser
            return storage.signed_url(name, timedelta(hours=expires_hours))

        progress = Progress(unique_id, "Signed")
        url = await run_in_thread(sign, Meter(), progress)
        status = f"{key}: shared for {expires_hours} h"
        progress.text(status)
        return results.shown((url,), [status, url])


def _objects(storage: Storage, prefix: str, max_results: int, pattern: str) -> list[ObjectInfo]:
    return list(itertools.islice(selection.matching(storage, prefix, pattern), max_results))


def _line(info: ObjectInfo) -> str:
    date = f"{info.modified:%Y-%m-%d %H:%M:%S}" if info.modified else "-"
    return f"{info.key}  {info.size}  {date}"


def _shown(info: ObjectInfo) -> str:
    """The same for people: on the node, where nobody computes with it."""
    date = f"{info.modified:%Y-%m-%d %H:%M}" if info.modified else "-"
    return f"{info.key}  {in_bytes(info.size)}  {date}"


NODE_CLASS_MAPPINGS = {
    "ListBucketContents": ListBucketContents,
    "GeneratePresignedURL": GeneratePresignedURL,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "ListBucketContents": "List Bucket Contents",
    "GeneratePresignedURL": "Generate Sharing URL",
}
