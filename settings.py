"""The table of settings, and the three layers that give them: environment, profiles.json, node widgets.

A layer only reads and checks; what is stronger than what is decided in ``profile``. Nothing is cached, so an
edit of profiles.json counts from the next use on. What is unknown or malformed is a ConfigurationError that
names it. No value that may be a secret is in an error, in the ``repr`` of a layer, or in a local variable of
this module while one is raised: tracebacks are sent to browsers and into reports.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .errors import ConfigurationError

ENVIRONMENT = "(env vars)"  # the name that means: no named profile, the environment alone
FROM_PROFILE = "(from profile)"  # the provider widget's value that overrides nothing
FILE_NAME = "profiles.json"

AUTH_MODES = ("keys", "ambient", "anonymous")


@dataclass(frozen=True)
class Setting:
    """One setting: its field in profiles.json, its environment variable, and what it may be.

    ``kind`` is "text", "flag", "auth", "key" or "upload". ``widget`` settings may be overridden in a
    workflow, ``credential`` ones come whole from one layer, ``of_provider`` ones are dropped when a stronger
    layer names a provider, since they describe another one.
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
    )
}
KEYS = tuple(row.name for row in SETTINGS.values() if row.kind == "key")
PAIR = ("access_key", "secret_key")
_FLAGS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # surrogates: bytes of os.environ that are no UTF-8
_SENT_IN_HEADER = re.compile("[!-~]+")  # access key and token; a secret key only enters a digest


@dataclass(frozen=True)
class Upload:
    """Per-object options of a profile; empty ones are not sent."""

    storage_class: str = ""
    acl: str = ""
    cache_control: str = ""
    server_side_encryption: str = ""
    kms_key_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


class _Quiet(dict[str, Any]):
    """Settings by name, whose ``repr`` shows the names alone."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"


@dataclass(frozen=True)
class Layer:
    """What one layer says: ``values`` by setting name, those that it leaves blank not among them.

    ``where`` tells users which layer it is, ``place`` where to correct it, with the path of a file.
    """

    where: str
    place: str
    by_variable: bool = False
    values: Mapping[str, Any] = field(default_factory=_Quiet)
    blank: tuple[str, ...] = ()

    def name_of(self, setting: str) -> str:
        """What the setting is called in this layer: the environment variable or the field."""
        return SETTINGS[setting].variable if self.by_variable else setting

    def label(self, setting: str) -> str:
        """The setting and its layer, for messages: "bucket in profile 'a' of /…/profiles.json"."""
        return f"{self.name_of(setting)} in {self.place}"


def profile_names(file: Path) -> list[str]:
    """The names a drop-down offers: the environment first, then those of profiles.json, in its order.

    Never raises: a file that cannot be read gives no names here and a full error when one is used.
    """
    try:
        return [ENVIRONMENT, *(_read_profiles(file) or {})]
    except ConfigurationError:
        return [ENVIRONMENT]


def layers(
    name: str, overrides: Mapping[str, str], file: Path, environ: Mapping[str, str] | None = None
) -> list[Layer]:
    """Environment, the named profile of ``file`` if one is named, and widgets: weakest first, all checked."""
    found = [_environment_layer(environ)]
    if name and name != ENVIRONMENT:
        found.append(_file_layer(name, file, environ))
    return [*found, _widget_layer(overrides)]


def _environment_layer(environ: Mapping[str, str] | None) -> Layer:
    rows = [row for row in SETTINGS.values() if row.variable]
    given = _Quiet({row.name: text for row in rows if (text := _variable(row.variable, environ))})
    return _filled(Layer("the environment", "the environment", by_variable=True), given)


def _file_layer(name: str, file: Path, environ: Mapping[str, str] | None) -> Layer:
    profiles = _read_profiles(file)
    if profiles is None:
        raise ConfigurationError(
            f"There is no profile {name!r}, for there is no file {file}. Write it, or choose {ENVIRONMENT}."
        )
    if name not in profiles:
        raise ConfigurationError(
            f"There is no profile {name!r} in {file}.{did_you_mean(name, profiles)} "
            f"Known profiles: {', '.join(profiles) or 'none'}; add it there, or choose {ENVIRONMENT}."
        )
    layer = Layer(f"profile {name!r} of {file.name}", f"profile {name!r} of {file}")
    entry = _object(profiles[name], layer.place, SETTINGS)
    given = _Quiet(
        {key: _expanded(entry, key, layer.label(key), environ) for key in entry if key != "upload"}
    )
    if entry.get("upload") is not None:
        given["upload"] = _upload(entry, layer.label("upload"), environ)
    return _filled(layer, given)


def _widget_layer(overrides: Mapping[str, str]) -> Layer:
    for key in overrides:
        if key not in SETTINGS or not SETTINGS[key].widget:
            raise ConfigurationError(
                f"A node may not set {key}. It belongs into the environment or {FILE_NAME} of the server."
            )
    texts = {key: str(value or "").strip() for key, value in overrides.items()}
    given = _Quiet({key: text for key, text in texts.items() if text and text != FROM_PROFILE})
    return _filled(Layer("the node", "the inputs of the node"), given)


# ------------------------------------------------------------------------------------------ profiles.json


def _read_profiles(file: Path) -> dict[str, Any] | None:
    """The ``profiles`` object of profiles.json by name; None when the file is not there."""
    try:
        content = json.loads(file.read_bytes().decode("utf-8-sig"), object_pairs_hook=_without_repeats)
    except FileNotFoundError:
        return None
    except OSError as error:
        said = f"cannot be read: {error.strerror or error}. Make it a file that ComfyUI's user may read."
    except UnicodeDecodeError as error:
        said = f"is not UTF-8 at byte {error.start}. Save it as UTF-8."
    except (ValueError, RecursionError) as error:
        said = f"is not valid JSON: {error}. Correct or complete it; no other credentials are used instead."
    else:
        profiles = _object(
            _object(content, str(file), ("profiles",)).get("profiles", {}), f"profiles in {file}"
        )
        for name in (ENVIRONMENT, ""):
            if name in profiles:
                raise ConfigurationError(f"A profile in {file} is called {name!r}. Give it another name.")
        return profiles
    raise ConfigurationError(f"{file} {said}")  # without its cause: a JSONDecodeError holds the whole text


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = _Quiet()
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the name {key!r} stands twice in one object")
        found[key] = value
    return found


def _object(value: object, where: str, known: Iterable[str] | None = None) -> dict[str, Any]:
    """``value``, if it is a JSON object with none but ``known`` fields; None: any."""
    if not isinstance(value, dict):
        raise ConfigurationError(
            f'Not a JSON object: {where}. Write it in braces, as in {{"name": "value"}}.'
        )
    known = list(value if known is None else known)
    for key in value:
        if key not in known:
            hint = did_you_mean(key, known)
            raise ConfigurationError(
                f"Unknown field {key!r} in {where}.{hint} Known fields: {', '.join(known)}."
            )
    return value


def _expanded(entry: Mapping[str, Any], key: str, label: str, environ: Mapping[str, str] | None) -> object:
    """The value of ``key``; a text is stripped, and "${NAME}" is taken from the environment."""
    if not isinstance(entry[key], str):
        return entry[key]
    if "${" not in entry[key]:
        return entry[key].strip()
    variable = _VARIABLE.fullmatch(entry[key].strip())
    if variable is None:
        raise ConfigurationError(
            f'{label} holds "${{" and more than the name of a variable. Write "${{NAME}}" and nothing else.'
        )
    if not _variable(variable[1], environ):
        raise ConfigurationError(
            f"The environment variable {variable[1]}, which {label} names, is not set. "
            "Set it where ComfyUI is started, or write the value itself."
        )
    return _variable(variable[1], environ)


def _upload(entry: Mapping[str, Any], label: str, environ: Mapping[str, str] | None) -> Upload:
    values = _object(entry["upload"], label, [f.name for f in fields(Upload)])
    texts: dict[str, Any] = {}
    for key in values:
        if key in ("tags", "metadata"):
            pairs = _object({} if values[key] is None else values[key], f"{key} of {label}")
            texts[key] = {name: _text(pairs, name, f"{key}.{name} of {label}", environ) for name in pairs}
        else:
            texts[key] = _text(values, key, f"{key} of {label}", environ)
    return Upload(**texts)


def _text(entry: Mapping[str, Any], key: str, label: str, environ: Mapping[str, str] | None) -> str:
    value = _Quiet({key: _expanded(entry, key, label, environ)})
    _check_text(value, key, label)
    return str(value[key] or "")


def exposed(file: Path) -> str:
    """A sentence where other users of this machine may read the file, which holds keys; "" where none may."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:  # there is none, or none to read: whoever needs it will say so
        return ""
    if os.name == "nt" or not mode & (stat.S_IRWXG | stat.S_IRWXO):  # Windows keeps such rights elsewhere
        return ""
    return f"Other users of this machine may read {file} (its mode is {mode:o}). Run `chmod 600` on it."


# ------------------------------------------------------------------------------------------ checks


def _variable(name: str, environ: Mapping[str, str] | None) -> str:
    """An environment variable; "" where it is not set. No caller has os.environ as a local variable."""
    return (os.environ if environ is None else environ).get(name, "").strip()


def _filled(layer: Layer, given: Mapping[str, Any]) -> Layer:
    """``layer`` with the values that it was ``given``, each checked to be of its kind."""
    said = [key for key in given if given[key] not in ("", None)]
    values = _Quiet({key: _typed(given, key, layer.label(key)) for key in said})
    return replace(layer, values=values, blank=tuple(key for key in given if key not in said))


def _typed(given: Mapping[str, Any], key: str, label: str) -> object:
    kind = SETTINGS[key].kind
    if kind == "upload":
        return given[key]
    if kind == "flag":
        flag = given[key] if isinstance(given[key], bool) else _FLAGS.get(str(given[key]).lower())
        if flag is None:
            raise ConfigurationError(f"{label} is neither true nor false. Write true or false.")
        return flag
    _check_text(given, key, label)
    if kind == "key" and key != "secret_key" and not _SENT_IN_HEADER.fullmatch(given[key]):
        raise ConfigurationError(
            f"{label} holds a space or a character that is not ASCII. Copy it once more."
        )
    if kind == "auth" and given[key] not in AUTH_MODES:
        raise ConfigurationError(f"{label} is {given[key]!r}. Write one of {', '.join(AUTH_MODES)}.")
    return given[key]


def _check_text(given: Mapping[str, Any], key: str, label: str) -> None:
    if not isinstance(given[key], str | None):
        raise ConfigurationError(f"{label} is not a text. Put the value in quotation marks.")
    if _UNPRINTABLE.search(given[key] or ""):
        raise ConfigurationError(f"{label} holds a line break or another unprintable character. Remove it.")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence with the known name most like ``word``, a space before it; "" where none is."""
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1)
    return f" Did you mean {folded[near[0]]!r}?" if near else ""
