"""The table of settings, and the three layers that set them: environment, profiles.json, node widgets.

A layer is only read and checked here; ``profile`` decides which layer wins. Nothing is cached, so an edit of
profiles.json takes effect at the next use. An unknown or malformed setting is a ConfigurationError that names
it. No value that may be a secret is in an error, in the ``repr`` of a layer, or in a local variable of this
module while an error is raised: tracebacks are sent to browsers and put into reports.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, did_you_mean
from . import profiles_file
from .profiles_file import DEFAULT_FIELD, ENVIRONMENT, FILE_NAME, ON_SERVER, MaskedDict, check_object

FROM_PROFILE = "(from profile)"  # value of the provider widget: override nothing

AUTH_MODES = ("keys", "ambient", "anonymous")
OFF, OFFER, ON_DEMAND = "off", "offer", "on demand"
MODELS_MODES = (OFF, OFFER, ON_DEMAND)  # weakest first
MIRROR_FOLDERS = ("output", "input", "workflows")


@dataclass(frozen=True)
class Setting:
    """One setting: its field in profiles.json, its environment variable, and its kind of value.

    ``kind`` is "text", "flag", "auth", "key", "upload", "mode", "folders", "gigabytes", "days" or
    "megabytes". ``widget``: a workflow may override it. ``credential``: all of these come from one layer.
    ``of_provider``: dropped when a stronger layer names a provider, because the value belongs to another one.
    """

    name: str
    variable: str = ""
    kind: str = "text"
    widget: bool = False
    credential: bool = False
    of_provider: bool = False


SETTINGS: dict[str, Setting] = {
    row.name: row
    for row in (
        Setting("provider", "COMFY_S3_PROVIDER", widget=True),
        Setting("access_key", "COMFY_S3_ACCESS_KEY", kind="key", credential=True),
        Setting("secret_key", "COMFY_S3_SECRET_KEY", kind="key", credential=True),
        Setting("session_token", "COMFY_S3_SESSION_TOKEN", kind="key", credential=True),
        Setting("bucket", "COMFY_S3_BUCKET", widget=True),
        Setting("region", "COMFY_S3_REGION", widget=True, of_provider=True),
        Setting("endpoint_url", "COMFY_S3_ENDPOINT_URL", of_provider=True),
        Setting("account_id", "COMFY_S3_ACCOUNT_ID", of_provider=True),
        Setting("path_prefix", "COMFY_S3_PATH_PREFIX", widget=True),
        Setting("auth", "COMFY_S3_AUTH", kind="auth", credential=True),
        Setting("public_url", "COMFY_S3_PUBLIC_URL"),
        Setting("read_only", "COMFY_S3_READ_ONLY", kind="flag"),
        Setting("locked", "COMFY_S3_LOCKED", kind="flag"),
        Setting("ca_file", "COMFY_S3_CA_FILE"),
        Setting("upload", kind="upload"),
        Setting("models", "COMFY_S3_MODELS", kind="mode"),
        Setting("models_prefix", "COMFY_S3_MODELS_PREFIX"),
        Setting("models_budget_gb", "COMFY_S3_MODELS_BUDGET_GB", kind="gigabytes"),
        Setting("models_keep_free_gb", "COMFY_S3_MODELS_KEEP_FREE_GB", kind="gigabytes"),
        Setting("models_pickles", "COMFY_S3_MODELS_PICKLES", kind="flag"),
        Setting("mirror", "COMFY_S3_MIRROR", kind="folders"),
        Setting("mirror_prefix", "COMFY_S3_MIRROR_PREFIX"),
        Setting("mirror_exclude", "COMFY_S3_MIRROR_EXCLUDE"),
        Setting("mirror_delete_after_days", "COMFY_S3_MIRROR_DELETE_AFTER_DAYS", kind="days"),
        Setting("mirror_mb_per_second", "COMFY_S3_MIRROR_MB_PER_SECOND", kind="megabytes"),
    )
}
KEYS = tuple(row.name for row in SETTINGS.values() if row.kind == "key")
PAIR = ("access_key", "secret_key")
_FLAGS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f\ud800-\udfff]"
)  # surrogates: bytes in os.environ that are not UTF-8
_SENT_IN_HEADER = re.compile("[!-~]+")  # access key and token; the secret key is never sent


@dataclass(frozen=True)
class UploadSettings:
    """Options for each uploaded object; empty ones are not sent."""

    storage_class: str = ""
    acl: str = ""
    cache_control: str = ""
    server_side_encryption: str = ""
    kms_key_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSettings:
    """What the library does with the models of this bucket: ``mode`` is one of MODELS_MODES.

    ``prefix`` is the folder of the bucket that has a folder for each type of model. ``budget_gb`` is the most
    that copies on this machine may take, None: no limit; ``keep_free_gb`` is the room on the disk that they
    leave, both in 10**9 bytes. ``pickles``: files that can run code are fetched on demand too.
    """

    mode: str = OFFER
    prefix: str = "models/"
    budget_gb: float | None = None
    keep_free_gb: float = 10.0
    pickles: bool = False


@dataclass(frozen=True)
class MirrorSettings:
    """Which folders of ComfyUI follow into the bucket by themselves: ``folders`` are some of MIRROR_FOLDERS.

    Keys begin with ``prefix``. ``exclude`` has patterns of names that are left out. Files of output are
    removed from this machine ``delete_after_days`` after the bucket has them, 0: never. ``mb_per_second``
    limits what is sent, in 10**6 bytes, 0: no limit.
    """

    folders: tuple[str, ...] = ()
    prefix: str = "comfyui/"
    exclude: tuple[str, ...] = ()
    delete_after_days: float = 0.0
    mb_per_second: float = 0.0


@dataclass(frozen=True)
class Layer:
    """One layer: the ``values`` it sets, by setting name, and the names of those it leaves ``blank``.

    ``where`` names the layer in reports, ``place`` in advice on what to correct.
    """

    where: str
    place: str
    by_variable: bool = False
    values: Mapping[str, Any] = field(default_factory=MaskedDict)
    blank: tuple[str, ...] = ()

    def name_of(self, setting: str) -> str:
        """The name of the setting in this layer: the environment variable or the field."""
        return SETTINGS[setting].variable if self.by_variable else setting

    def label(self, setting: str) -> str:
        """The setting and its layer, for messages: "bucket in profile 'a' of profiles.json on the server"."""
        return f"{self.name_of(setting)} in {self.place}"


def profile_names(file: Path) -> list[str]:
    """The names for a drop-down: the environment first, then those of profiles.json, in its order.

    Never raises: an unreadable file has no names here, and is a full error when a profile is used.
    """
    try:
        return [ENVIRONMENT, *profiles_file.read(file).profiles]
    except ConfigurationError:
        return [ENVIRONMENT]


def choose_profile(name: str, file: Path, environ: Mapping[str, str] | None = None) -> str:
    """The name of the profile to use: ``name`` itself; for "" and ENVIRONMENT the default profile if the
    environment sets neither a bucket nor credentials, so that profiles.json alone is enough.

    The default is the one that the file names, or its only one. Without any profile it is ENVIRONMENT. Raises
    ConfigurationError if there are several profiles and none is the default.
    """
    if name and name != ENVIRONMENT:
        return name
    places = [row for row in SETTINGS.values() if row.credential or row.name == "bucket"]
    if any(_variable(row.variable, environ) for row in places):
        return ENVIRONMENT
    there = profiles_file.read(file)
    if there.default or len(there.profiles) <= 1:
        return there.default or next(iter(there.profiles), ENVIRONMENT)
    names = ", ".join(there.profiles)
    raise ConfigurationError(
        f"No profile is chosen, and {ON_SERVER} has several: {names}. Choose one in a Cloud Storage Profile "
        f'node, or write "{DEFAULT_FIELD}": "{next(iter(there.profiles))}" into the file, beside "profiles".'
    )


def layers(
    name: str, overrides: Mapping[str, str], file: Path, environ: Mapping[str, str] | None = None
) -> list[Layer]:
    """The layers, weakest first, checked: environment, the profile ``name`` of ``file`` if given, widgets."""
    found = [_environment_layer(environ)]
    if name and name != ENVIRONMENT:
        found.append(_file_layer(name, file, environ))
    return [*found, _widget_layer(overrides)]


def check_value(setting: str, value: str) -> None:
    """Raises ConfigurationError for a text that this setting of profiles.json cannot have as it stands: there
    "${" begins a reference to an environment variable.
    """
    if "${" in value:
        raise ConfigurationError(f'{setting} has "${{" in it. Write the value itself.')
    _convert(MaskedDict({setting: value}), setting, setting)


def is_locked(entry: object, environ: Mapping[str, str] | None = None) -> bool:
    """Whether a profile of the file refuses other settings, by itself or by the environment. True for what
    cannot be read, too: it may be locked.
    """
    given = MaskedDict(entry if isinstance(entry, dict) else {})
    label = "locked"
    try:
        said = _expand(given, label, label, environ) if label in given else None
        said = _variable(SETTINGS[label].variable, environ) if said in ("", None) else said
        return said not in ("", None) and bool(_convert({label: said}, label, label))
    except ConfigurationError:
        return True


def _environment_layer(environ: Mapping[str, str] | None) -> Layer:
    rows = [row for row in SETTINGS.values() if row.variable]
    given = MaskedDict({row.name: text for row in rows if (text := _variable(row.variable, environ))})
    return _checked_layer(Layer("the environment", "the environment", by_variable=True), given)


def _file_layer(name: str, file: Path, environ: Mapping[str, str] | None) -> Layer:
    there = profiles_file.read(file)
    profiles = there.profiles
    if not there.exists:
        raise ConfigurationError(
            f"There is no profile {name!r}, because there is no {ON_SERVER}. "
            f"Write it, or choose {ENVIRONMENT}."
        )
    if name not in profiles:
        raise ConfigurationError(
            f"There is no profile {name!r} in {ON_SERVER}.{did_you_mean(name, profiles)} "
            f"Known profiles: {', '.join(profiles) or 'none'}. Choose one of them, or add it there."
        )
    layer = Layer(f"profile {name!r} of {FILE_NAME}", f"profile {name!r} of {ON_SERVER}")
    entry = check_object(profiles[name], layer.place, SETTINGS)
    given = MaskedDict(
        {key: _expand(entry, key, layer.label(key), environ) for key in entry if key != "upload"}
    )
    if entry.get("upload") is not None:
        given["upload"] = _upload(entry, layer.label("upload"), environ)
    return _checked_layer(layer, given)


def _widget_layer(overrides: Mapping[str, str]) -> Layer:
    for key in overrides:
        if key not in SETTINGS or not SETTINGS[key].widget:
            raise ConfigurationError(
                f"A node may not set {key}. Set it in the environment or in {ON_SERVER}."
            )
    texts = {key: str(value or "").strip() for key, value in overrides.items()}
    given = MaskedDict({key: text for key, text in texts.items() if text and text != FROM_PROFILE})
    return _checked_layer(Layer("the node", "the inputs of the node"), given)


# ------------------------------------------------------------------------------------------ profiles.json


def _expand(entry: Mapping[str, Any], key: str, label: str, environ: Mapping[str, str] | None) -> object:
    """The value of ``key``: a text is stripped, and "${NAME}" is replaced from the environment."""
    if not isinstance(entry[key], str):
        return entry[key]
    if "${" not in entry[key]:
        return entry[key].strip()
    variable = _VARIABLE.fullmatch(entry[key].strip())
    if variable is None:
        raise ConfigurationError(
            f'{label} has "${{" and other text than the name of a variable. '
            'Write "${NAME}" and nothing else.'
        )
    if not _variable(variable[1], environ):
        raise ConfigurationError(
            f"The environment variable {variable[1]}, which {label} names, is not set. "
            "Set it where ComfyUI is started, or write the value itself."
        )
    return _variable(variable[1], environ)


def _upload(entry: Mapping[str, Any], label: str, environ: Mapping[str, str] | None) -> UploadSettings:
    values = check_object(entry["upload"], label, [f.name for f in fields(UploadSettings)])
    texts: dict[str, Any] = {}
    for key in values:
        if key in ("tags", "metadata"):
            pairs = check_object({} if values[key] is None else values[key], f"{key} of {label}")
            texts[key] = {name: _text(pairs, name, f"{key}.{name} of {label}", environ) for name in pairs}
        else:
            texts[key] = _text(values, key, f"{key} of {label}", environ)
    return UploadSettings(**texts)


def _text(entry: Mapping[str, Any], key: str, label: str, environ: Mapping[str, str] | None) -> str:
    value = MaskedDict({key: _expand(entry, key, label, environ)})
    _check_text(value, key, label)
    return str(value[key] or "")


# ------------------------------------------------------------------------------------------ checks


def _variable(name: str, environ: Mapping[str, str] | None) -> str:
    """An environment variable, "" if it is not set. No caller has os.environ as a local variable."""
    return (os.environ if environ is None else environ).get(name, "").strip()


def _checked_layer(layer: Layer, given: Mapping[str, Any]) -> Layer:
    """``layer`` with the values ``given``, each checked by its kind."""
    said = [key for key in given if given[key] not in ("", None)]
    values = MaskedDict({key: _convert(given, key, layer.label(key)) for key in said})
    return replace(layer, values=values, blank=tuple(key for key in given if key not in said))


def _convert(given: Mapping[str, Any], key: str, label: str) -> object:
    kind = SETTINGS[key].kind
    if kind == "upload":
        return given[key]
    if kind == "flag":
        flag = given[key] if isinstance(given[key], bool) else _FLAGS.get(str(given[key]).lower())
        if flag is None:
            raise ConfigurationError(f"{label} is neither true nor false. Write true or false.")
        return flag
    if kind in _NUMBERS:
        return _number(given[key], label, *_NUMBERS[kind])
    _check_text(given, key, label)
    if kind == "mode":
        mode = given[key].lower().replace("-", " ").replace("_", " ")
        if mode not in MODELS_MODES:
            raise ConfigurationError(f"{label} is {given[key]!r}. Write one of {', '.join(MODELS_MODES)}.")
        return mode
    if kind == "folders":
        return _folders(given[key], label)
    if kind == "key" and key != "secret_key" and not _SENT_IN_HEADER.fullmatch(given[key]):
        raise ConfigurationError(f"{label} has a space or a character that is not ASCII. Copy it again.")
    if kind == "auth" and given[key] not in AUTH_MODES:
        raise ConfigurationError(f"{label} is {given[key]!r}. Write one of {', '.join(AUTH_MODES)}.")
    return given[key]


_NUMBERS = {  # what the number of a kind counts, and examples
    "gigabytes": ("gigabytes", "200 or 0.5"),
    "days": ("days", "30 or 0.5"),
    "megabytes": ("megabytes", "20 or 0.5"),
}


def _number(value: object, label: str, of: str, like: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ConfigurationError(f"{label} is not a number of {of}. Write it like {like}.")
    return number


def _folders(text: str, label: str) -> tuple[str, ...]:
    named = [part.strip().lower() for part in text.split(",") if part.strip()]
    if wrong := [name for name in named if name not in MIRROR_FOLDERS]:
        known = ", ".join(MIRROR_FOLDERS)
        raise ConfigurationError(
            f"{label} names {wrong[0]!r}. Write some of {known}, with commas between them."
        )
    return tuple(name for name in MIRROR_FOLDERS if name in named)


def _check_text(given: Mapping[str, Any], key: str, label: str) -> None:
    if not isinstance(given[key], str | None):
        raise ConfigurationError(f"{label} is not text. Put the value in quotation marks.")
    if _UNPRINTABLE.search(given[key] or ""):
        raise ConfigurationError(f"{label} has a line break or another unprintable character. Remove it.")
