"""Inputs that nodes of several modules share, in ComfyUI's own form: (type, options)."""

from __future__ import annotations

from .damage import ON_DAMAGE as ON_DAMAGE_CHOICES
from .naming import existing_key
from .saving import LINKS as LINK_CHOICES
from .saving import ON_FAILURE as ON_FAILURE_CHOICES
from .storage import Storage
from .storing import IF_EXISTS as IF_EXISTS_CHOICES

PROFILE = (
    "S3_PROFILE",
    {"tooltip": "From Cloud Storage Profile; unconnected, the COMFY_S3_… environment variables decide."},
)
KEY = (
    "STRING",
    {
        "default": "",
        "tooltip": "The object's key below the profile's prefix, for example comfyui/images/a.png.",
    },
)
EXPIRES_HOURS = (
    "INT",
    {
        "default": 24,
        "min": 1,
        "max": 168,
        "tooltip": "For how long a presigned address works; 168 hours is a week.",
    },
)
FILENAME = (
    "STRING",
    {
        "default": "ComfyUI_%counter%",
        "tooltip": "Without extension. %counter% %batch_num% %date% %time% %date:yyyy-MM-dd_hhmmss% %width% "
        "%height% %seed% %uuid% and %Node.widget% are replaced.",
    },
)
IF_EXISTS = (
    list(IF_EXISTS_CHOICES),
    {"tooltip": "When the key is taken: a new name (nothing is ever replaced), overwrite, fail, or skip."},
)
LINK = (
    list(LINK_CHOICES),
    {"tooltip": "What urls holds: the object's address, a temporary one that needs no login, or none."},
)
EMBED_WORKFLOW = (
    "BOOLEAN",
    {"default": True, "tooltip": "Put prompt and workflow into the file. ComfyUI's --disable-metadata wins."},
)
# Draws ComfyUI's own player for what a node returns as ui.audio; optional, since new cores do not send it.
AUDIO_PLAYER = ("AUDIO_UI", {"tooltip": "The player; nothing is to be set here."})
ON_FAILURE = (
    list(ON_FAILURE_CHOICES),
    {
        "tooltip": "When a file cannot be stored: keep it in the outbox, to be sent later, and stop or "
        "go on; or stop and lose it."
    },
)
ON_DAMAGE = (
    list(ON_DAMAGE_CHOICES),
    {
        "tooltip": "When the file is damaged or cut off: load what can be read and say what is missing, "
        "or fail."
    },
)
UNIQUE_ID = {"unique_id": "UNIQUE_ID"}


def key_prefix(default: str) -> tuple[str, dict[str, str]]:
    """The folder that a save node writes to."""
    return (
        "STRING",
        {"default": default, "tooltip": "The folder in the bucket; takes the same %tokens% as filename."},
    )


def count(tooltip: str, most: int = 2**31 - 1, least: int = 0) -> tuple[str, dict[str, object]]:
    """A whole number that begins at the least it may be."""
    return ("INT", {"default": least, "min": least, "max": most, "tooltip": tooltip})


def seconds(tooltip: str) -> tuple[str, dict[str, object]]:
    """A time span."""
    return ("FLOAT", {"default": 0, "min": 0, "max": 1e7, "step": 0.01, "tooltip": tooltip})


def room_for_key(storage: Storage) -> int:
    """How many bytes of UTF-8 a key may have below the profile's prefix."""
    return storage.max_key_bytes - len(storage.path_prefix.encode())


def key_for(storage: Storage, key: str) -> str:
    """The key of an existing object, typed or wired, checked for this storage. Raises ConfigurationError."""
    return existing_key(key, room_for_key(storage))
