"""Inputs that several node modules share, in ComfyUI's form: (type, options); and the type of an output."""

from __future__ import annotations

from .media.damage import ON_DAMAGE as ON_DAMAGE_CHOICES
from .saving.choices import IF_EXISTS as IF_EXISTS_CHOICES
from .saving.choices import LINKS as LINK_CHOICES
from .saving.choices import ON_FAILURE as ON_FAILURE_CHOICES
from .storage.base import Storage
from .storage.keys import existing_key


class FileName(str):
    """The type of an output that can be wired to every list of file names and to every text.

    ComfyUI's server compares the types of both ends of a wire with ``!=`` (0.3.64 and 0.33), its page
    compares the names between the commas. So the page allows wires to lists and texts only, and the server
    accepts them. A loader's list is a type of its own, which equals no other value.
    """

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False


FILE_NAME = FileName("STRING,COMBO")


PROFILE = (
    "S3_PROFILE",
    {
        "tooltip": "The profile from a Cloud Storage Profile node. Not connected: the COMFY_S3_… "
        "environment variables, or the default profile of profiles.json."
    },
)
EXPIRES_HOURS = (
    "INT",
    {
        "default": 24,
        "min": 1,
        "max": 168,
        "tooltip": "How many hours a presigned link works, for example 24; 168 is a week.",
    },
)
FILENAME = (
    "STRING",
    {
        "default": "ComfyUI_%counter%",
        "tooltip": "File name without extension, for example cat_%counter%. These are replaced: "
        "%counter% %batch_num% %date% %time% %date:yyyy-MM-dd_hhmmss% %width% %height% %seed% "
        "%uuid% and %Node.widget%.",
    },
)
IF_EXISTS = (
    list(IF_EXISTS_CHOICES),
    {
        "tooltip": "What to do if an object already has this key: save under a new name, "
        "overwrite the object, fail, or skip the upload."
    },
)
LINK = (
    list(LINK_CHOICES),
    {
        "tooltip": "What the urls output contains: the plain address, a temporary link that works"
        " without a login, or nothing."
    },
)
EMBED_WORKFLOW = (
    "BOOLEAN",
    {
        "default": True,
        "tooltip": "Embed the prompt and the workflow in the file, unless ComfyUI runs with "
        "--disable-metadata.",
    },
)
# Shows ComfyUI's own player for ui.audio; optional, because new versions of ComfyUI do not send it.
AUDIO_PLAYER = ("AUDIO_UI", {"tooltip": "Plays the saved audio after the run."})
ON_FAILURE = (
    list(ON_FAILURE_CHOICES),
    {
        "tooltip": "If a file cannot be uploaded: keep a copy in the outbox for a later upload, "
        "then stop or continue; or stop without keeping it."
    },
)
ON_DAMAGE = (
    list(ON_DAMAGE_CHOICES),
    {
        "tooltip": "If the file is damaged or cut off: load the readable part and say what is "
        "missing, or fail."
    },
)
OBJECT_OPTIONS = {"if_exists": IF_EXISTS, "link": LINK, "expires_hours": EXPIRES_HOURS}
UNIQUE_ID = {"unique_id": "UNIQUE_ID"}
SAVE_CONTEXT = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", **UNIQUE_ID}


def key(example: str) -> tuple[str, dict[str, str]]:
    """An input for the key of an existing object."""
    return text_input(f"The object in the bucket, for example {example}.")


def key_prefix(default: str) -> tuple[str, dict[str, str]]:
    """An input for the folder that a save node writes to."""
    tooltip = "Folder in the bucket, for example renders/%date%/. The %tokens% of filename work here too."
    return text_input(tooltip, default)


def text_input(tooltip: str, default: str = "") -> tuple[str, dict[str, str]]:
    """A line of text."""
    return ("STRING", {"default": default, "tooltip": tooltip})


def count(tooltip: str, most: int = 2**31 - 1, least: int = 0) -> tuple[str, dict[str, object]]:
    """An input for a whole number; its default is ``least``."""
    return ("INT", {"default": least, "min": least, "max": most, "tooltip": tooltip})


def seconds(tooltip: str) -> tuple[str, dict[str, object]]:
    """An input for a number of seconds."""
    return ("FLOAT", {"default": 0, "min": 0, "max": 1e7, "step": 0.01, "tooltip": tooltip})


def key_for(storage: Storage, key: str) -> str:
    """Check the key of an existing object, typed or wired, for this storage. Raises ConfigurationError."""
    return existing_key(key, storage.room_for_key)
