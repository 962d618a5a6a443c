"""Which bucket to use and how: settings of four layers, resolved into a Profile that contains no secret.

Layers, weakest first: the provider's defaults, the environment, a named profile of profiles.json, node
widgets. All credentials come from one layer and never travel on a wire: ``unlock`` reads them when a
connection is made. An unknown, malformed or missing setting is a ConfigurationError; nothing else is used
instead.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from . import providers
from .config import settings, validation
from .config.profiles_file import ENVIRONMENT, ON_SERVER
from .config.settings import (
    FROM_PROFILE,
    KEYS,
    PAIR,
    SETTINGS,
    Layer,
    MirrorSettings,
    ModelSettings,
    UploadSettings,
)
from .errors import ConfigurationError

DEFAULT = "default"  # the source of a setting that no layer sets


@dataclass(frozen=True)
class Profile:
    """A bucket and how to use it, without the secret. This is the value of an ``S3_PROFILE`` wire.

    ``endpoint_url`` is the resolved one; "" means the SDK's own for the region. ``sources`` has the layer of
    each setting. It was resolved from ``name``, ``overrides`` and ``file``.
    """

    name: str
    provider: str
    bucket: str
    region: str
    endpoint_url: str
    path_prefix: str
    auth: str
    public_url: str
    read_only: bool
    locked: bool
    ca_file: str
    upload: UploadSettings
    sources: Mapping[str, str]
    file: Path = field(repr=False)
    overrides: Mapping[str, str] = field(default_factory=dict, repr=False)
    models: ModelSettings = field(default_factory=ModelSettings, repr=False)
    mirror: MirrorSettings = field(default_factory=MirrorSettings, repr=False)

    def __str__(self) -> str:
        return f"Cloud Storage Profile {self.name!r}: bucket {self.bucket!r} at {self.provider}"


class Credentials:
    """A key pair with its token, or none. It cannot be printed, copied or pickled."""

    __slots__ = ("_keys", "source")

    def __init__(self, access_key: str, secret_key: str, session_token: str, source: str) -> None:
        keys = (access_key, secret_key, session_token)
        self._keys: Callable[[], tuple[str, str, str]] = lambda: keys  # no attribute that a debugger shows
        self.source = source

    def reveal(self) -> tuple[str, str, str]:
        """Access key, secret key and session token, "" if there is none. Only for the SDK."""
        return self._keys()

    def digest(self) -> str:
        """A digest, equal for equal credentials within this process. No secret can be guessed from it."""
        return _salted("\0".join((*self.reveal(), self.source)))

    def __repr__(self) -> str:
        return f"<Credentials from {self.source}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("Credentials are never pickled or copied.")


_SALT = secrets.token_bytes(32)


def _salted(text: str) -> str:
    return hmac.new(_SALT, text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def resolve(
    name: str, overrides: Mapping[str, str], file: Path, environ: Mapping[str, str] | None = None
) -> Profile:
    """The profile ``name`` (see ``settings.choose_profile``), overridden by a node's widgets.

    ``overrides`` has widget settings by name (provider, bucket, path_prefix, region); empty values and
    "(from profile)" override nothing. ``file`` is profiles.json, read at each call; ``environ`` is
    ``os.environ`` unless given. Raises ConfigurationError, which names the wrong file, field or variable.
    """
    name = settings.choose_profile(name, file, environ)
    return _resolve_layers(name, settings.layers(name, overrides, file, environ), file)


def unlock(profile: Profile, environ: Mapping[str, str] | None = None) -> tuple[Profile, Credentials]:
    """Resolve ``profile`` again and read its credentials, both from one reading of the layers.

    So a key that is edited together with its endpoint is never sent to the old endpoint. The credentials are
    empty if auth is not "keys". Raises ConfigurationError as ``resolve`` does, and if there is no key pair.
    """
    name = settings.choose_profile(profile.name, profile.file, environ)
    layers = settings.layers(name, profile.overrides, profile.file, environ)
    now = _resolve_layers(name, layers, profile.file)
    if now.auth != "keys":
        return now, Credentials("", "", "", f"{now.auth} (set by {now.sources['auth']})")
    layer = _find_key_pair(layers)
    if layer is None:
        variables = _listed(SETTINGS[key].variable for key in PAIR)
        raise ConfigurationError(
            f"There are no access keys for profile {now.name!r}. Set {variables} in the environment, "
            f"or {_listed(PAIR)} in a profile of {ON_SERVER}, or auth to ambient or anonymous."
        )
    access_key, secret_key, session_token = (str(layer.values.get(key, "")) for key in KEYS)
    return now, Credentials(access_key, secret_key, session_token, layer.where)


def credentials(profile: Profile, environ: Mapping[str, str] | None = None) -> Credentials:
    """The credentials of a profile, see ``unlock``."""
    return unlock(profile, environ)[1]


def fingerprint(profile: Profile, environ: Mapping[str, str] | None = None) -> str:
    """A text that changes with the profile or its secret and reveals neither. Only for this process."""
    try:
        return fingerprint_of(*unlock(profile, environ))
    except ConfigurationError as error:
        return _salted(f"{profile!r}\0{error}")[:16]


def fingerprint_of(profile: Profile, credentials: Credentials) -> str:
    """The fingerprint of what ``unlock`` returned."""
    return _salted(f"{profile!r}\0{credentials.digest()}")[:16]


# ------------------------------------------------------------------------------------------ layers


def _resolve_layers(name: str, layers: Sequence[Layer], file: Path) -> Profile:
    values, found = _merge(layers)
    overrides = layers[-1].values
    if values["locked"] and overrides:
        raise ConfigurationError(
            f"The profile {name!r} is locked ({found['locked'].label('locked')}), "
            f"but the node sets {_listed(overrides)}. "
            "Clear these inputs: the owner of the server decides them."
        )
    labels = {key: layer.label(key) for key, layer in found.items()}
    row = providers.provider(values["provider"], labels.get("provider", "provider"))
    if not values["bucket"]:
        _raise_no_bucket(name, file)
    for required in row.requires:
        if not values[required] and not values["endpoint_url"]:
            _raise_missing(required, row, name, layers)
    validation.check_bucket(values["bucket"], labels["bucket"])
    for key in ("region", "account_id"):
        if values[key]:
            validation.check_endpoint_part(values[key], labels[key])
    for key in ("endpoint_url", "public_url"):
        if values[key]:
            values[key] = validation.clean_url(values[key], labels[key])
    region = values["region"] or row.region
    if values["endpoint_url"]:
        validation.refuse_bucket_in(values["endpoint_url"], values["bucket"], labels["endpoint_url"])
    else:
        values["endpoint_url"] = providers.endpoint(row, region, values["account_id"])
    sources = {key: found[key].where if key in found else DEFAULT for key in values}
    values["auth"], sources["auth"] = _find_auth(layers)
    return Profile(
        name=name,
        provider=row.name,
        bucket=values["bucket"],
        region=region,
        endpoint_url=values["endpoint_url"],
        path_prefix=values["path_prefix"],
        auth=values["auth"],
        public_url=values["public_url"],
        read_only=values["read_only"],
        locked=values["locked"],
        ca_file=_check_ca_file(values["ca_file"], labels.get("ca_file", "")),
        upload=values["upload"],
        sources=sources,
        file=file,
        overrides=dict(overrides),
        models=_models(values),
        mirror=_mirror(values),
    )


_MODEL_FIELDS = {
    "models": "mode",
    "models_prefix": "prefix",
    "models_budget_gb": "budget_gb",
    "models_keep_free_gb": "keep_free_gb",
    "models_pickles": "pickles",
}


def _models(values: Mapping[str, Any]) -> ModelSettings:
    return ModelSettings(**_said(values, _MODEL_FIELDS))


_MIRROR_FIELDS = {
    "mirror": "folders",
    "mirror_prefix": "prefix",
    "mirror_exclude": "exclude",
    "mirror_delete_after_days": "delete_after_days",
    "mirror_mb_per_second": "mb_per_second",
}


def _mirror(values: Mapping[str, Any]) -> MirrorSettings:
    said = _said(values, _MIRROR_FIELDS)
    if "exclude" in said:
        said["exclude"] = tuple(part.strip() for part in said["exclude"].split(",") if part.strip())
    return MirrorSettings(**said)


def _said(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    said = {name: values[setting] for setting, name in names.items() if values[setting] != ""}
    if "prefix" in said:
        folder = said["prefix"].strip("/")
        said["prefix"] = f"{folder}/" if folder else ""  # "/" alone means the whole bucket
    return said


def _merge(layers: Iterable[Layer]) -> tuple[dict[str, Any], dict[str, Layer]]:
    """The value of every setting except credentials, and the layer that sets it, if any."""
    values: dict[str, Any] = {row.name: "" for row in SETTINGS.values() if not row.credential}
    values.update(provider=providers.names()[0], read_only=False, locked=False, upload=UploadSettings())
    found: dict[str, Layer] = {}
    for layer in layers:
        if _changes_provider(layer, values, found):
            for row in SETTINGS.values():
                if row.of_provider:
                    values[row.name] = ""
                    found.pop(row.name, None)
        for key, value in layer.values.items():
            if not SETTINGS[key].credential:
                values[key], found[key] = value, layer
    return values, found


def _changes_provider(layer: Layer, values: Mapping[str, Any], found: Mapping[str, Layer]) -> bool:
    """Whether ``layer`` names another provider, so that weaker layers' settings of theirs are dropped.

    An endpoint without a provider is not the default provider's: it must not get that provider's keys.
    """
    if "provider" not in layer.values:
        return False
    is_known = "provider" in found or not values["endpoint_url"]
    return not (is_known and layer.values["provider"] == values["provider"])


def _find_auth(layers: Sequence[Layer]) -> tuple[str, str]:
    """The auth mode, and its layer: the strongest one that sets any credential."""
    for layer in reversed(layers):
        if any(SETTINGS[key].credential for key in layer.values) or any(key in PAIR for key in layer.blank):
            mode = _auth_of(layer)
            if mode == "keys":
                _find_key_pair(layers)
            return mode, layer.where
    return "keys", DEFAULT


def _auth_of(layer: Layer) -> str:
    mode = str(layer.values.get("auth", "keys"))
    given = [layer.name_of(key) for key in KEYS if key in layer.values]
    if mode != "keys" and given:
        raise ConfigurationError(
            f"{layer.label('auth')} is {mode}, which uses no keys, but {_listed(given)} is set beside it. "
            "Remove one or the other."
        )
    return mode


def _find_key_pair(layers: Sequence[Layer]) -> Layer | None:
    """The strongest layer with a key pair, or None. Raises ConfigurationError for half a pair."""
    for layer in reversed(layers):
        given = [layer.name_of(key) for key in KEYS if key in layer.values]
        lacking = [layer.name_of(key) for key in PAIR if key not in layer.values]
        if given and lacking:
            raise ConfigurationError(
                f"{layer.place[0].upper()}{layer.place[1:]} has {_listed(given)} but no {_listed(lacking)}. "
                "Set both in the same place."
            )
        if given:
            _auth_of(layer)
            return layer
        if any(key in layer.blank for key in PAIR):
            raise ConfigurationError(
                f"The access keys are left empty in {layer.place}. "
                f"Fill in {_listed(PAIR)}, or remove them to use those of the environment."
            )
    return None


def _raise_no_bucket(name: str, file: Path) -> NoReturn:
    if name != ENVIRONMENT:
        raise ConfigurationError(f"No bucket is set. Set bucket in profile {name!r} of {ON_SERVER}.")
    names = ", ".join(settings.profile_names(file)[1:])
    first = f"Write a profile into {ON_SERVER}"
    if names:
        first = f"Choose a profile ({names}) in Cloud Storage Profile"
    raise ConfigurationError(f"No bucket is set. {first}, or set {SETTINGS['bucket'].variable}.")


def _raise_missing(setting: str, row: providers.Provider, name: str, layers: Sequence[Layer]) -> NoReturn:
    given = [layer for layer in layers if setting in layer.values]
    if given and "provider" in layers[-1].values:
        raise ConfigurationError(
            f"The node sets provider to {row.name}, so {given[-1].label(setting)} is ignored. "
            f"Set provider back to {FROM_PROFILE}."
        )
    where = f"in profile {name!r} of {ON_SERVER}" if name != ENVIRONMENT else "in the environment"
    named = setting if name != ENVIRONMENT else SETTINGS[setting].variable
    ignored = f": {given[-1].label(setting)} is that of another provider" if given else ""
    raise ConfigurationError(f"{row.name} needs {setting}, which is not set{ignored}. Set {named} {where}.")


# ------------------------------------------------------------------------------------------ checks


def _check_ca_file(path: str, label: str) -> str:
    try:
        if not path or Path(path).is_file():
            return path
    except OSError:  # no permission, or not a file name: reported below
        pass
    raise ConfigurationError(
        f"There is no file {path} ({label}). Give the path of a PEM file with the private CA."
    )


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
