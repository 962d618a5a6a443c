"""What the dialog "Set up a bucket" asks for: the questions, a test of the answers, and a new profile.

A secret comes in with a request and is in no answer, no log and no error. Test and Save are for the user of
this machine alone: ``refusal`` says why a request is refused. All but ``refusal`` is run in threads.
"""

from __future__ import annotations

import ipaddress
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from .. import providers
from ..comfyui import folders, server
from ..comfyui.node_lines import Line, for_page
from ..config import profile_writer, profiles_file, settings
from ..config.profiles_file import ENVIRONMENT, FILE_NAME, MaskedDict
from ..config.settings import SETTINGS
from ..errors import AccessDenied, ConfigurationError, StorageError, Throttled
from ..profile import resolve
from ..storage import connection_test, profile_questions
from ..storage.connect import connect
from ..storage.profile_questions import Question
from ..system.meter import Meter

VARIABLE = "COMFY_S3_SETUP"  # of the environment: 1 allows it on a server for a network, 0 forbids it
BODY_BYTES = 16 * 1024  # of a request: ten answers
TESTS_AT_ONCE = 2  # each sends a handful of requests, to a server that may not answer
PLACE = f"user/__cloud_storage/{FILE_NAME}"  # in ComfyUI's folder, for whoever writes the file by hand
_PROXIED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "CF-Connecting-IP")
_HIDDEN = "***"

Said = Mapping[str, Any]  # a JSON object
_testing = threading.BoundedSemaphore(TESTS_AT_ONCE)


# ------------------------------------------------------------ who may


def refusal(headers: Any) -> str:  # noqa: ANN401  aiohttp's multi-dict, which has getall
    """Return why a request with these headers may not test or save settings, "" if it may. Quick: for the
    event loop.
    """
    said = os.environ.get(VARIABLE, "").strip().lower()
    if settings.is_locked({}):
        return f"The settings of this server are locked by {SETTINGS['locked'].variable}."
    if said in ("0", "false", "no", "off"):
        return f"{VARIABLE} forbids to change the settings of this server from the page."
    if said in ("1", "true", "yes", "on"):
        return ""
    if not all(map(is_loopback, server.listens_on())):
        return (
            "Other machines can reach this ComfyUI, and whoever does could change its settings. "
            f"Start it with {VARIABLE}=1 if all of them may."
        )
    hosts = headers.getall("Host", [])
    # A page of another site whose name was made to lead to this machine (DNS rebinding) has that name here
    if len(hosts) != 1 or not is_loopback(_host_of(hosts[0])) or any(name in headers for name in _PROXIED):
        return (
            "This page was not opened at an address of this machine, such as http://127.0.0.1:8188. "
            f"Open it there, or start ComfyUI with {VARIABLE}=1 if everybody who can open it may do this."
        )
    return ""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address. A name other than localhost is not looked up: what it
    means may change.
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _host_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # half an IPv6 address
        return ""


def _check_may(why: str) -> None:
    if why:
        raise AccessDenied(why)


# ------------------------------------------------------------ the requests


def ask(_said: Said, why: str) -> dict[str, Any]:
    """Return what to ask, and whether anything is configured; no setting's value and no secret."""
    file = folders.profiles_file()
    try:
        there = profiles_file.read(file)
    except ConfigurationError as error:
        there, why = profiles_file.ProfilesFile(exists=True), why or str(error)
    by_environment = [row for row in SETTINGS.values() if row.credential or row.name == "bucket"]
    return {
        "configured": there.exists or any(os.environ.get(row.variable, "").strip() for row in by_environment),
        "may_save": not why,
        "why": why,
        "place": PLACE,
        "first_name": profile_writer.FIRST_NAME,
        "names": list(there.profiles),
        "default": there.default,
        "variables": {name: SETTINGS[name].variable for name in profile_writer.ASKED},
        "providers": [
            {"name": row.name, "source": row.source, "questions": [asdict(each) for each in _questions(row)]}
            for row in map(providers.provider, providers.names())
        ],
    }


def test(said: Said, meter: Meter, why: str) -> dict[str, Any]:
    """Test the answers with a test object, as Test Cloud Connection does. Returns ``lines`` of the report and
    if they are ``enough``, or what is ``wrong`` with answers, by setting.

    Raises AccessDenied, Throttled, TransferCancelled and errors of a profile as a whole.
    """
    _check_may(why)
    row, answers, wrong = _answers(said)
    if wrong:
        return {"wrong": wrong}
    if not _testing.acquire(blocking=False):
        raise Throttled("Other tests are running. Wait until they end, and press Test again.")
    try:
        environ = MaskedDict(
            {
                SETTINGS[name].variable: value
                for name, value in profile_questions.profile_of(row, answers).items()
            }
        )
        profile = resolve(ENVIRONMENT, {}, folders.profiles_file(), environ)
        findings = connection_test.findings_of(profile, connect(profile, environ), meter)
    except StorageError as error:
        raise _without(error, answers) from None  # the cause may repeat what was given
    finally:
        _testing.release()
    lines = [Line(_hidden(line.text, answers), line.level) for line in connection_test.lines_of(findings)]
    return {"lines": for_page(lines), "enough": connection_test.is_enough(findings)}


def save(said: Said, why: str) -> dict[str, Any]:
    """Add the profile ``name`` with the answers. Returns its ``name`` and if nodes without a profile use it,
    ``default``; or what is ``wrong`` with answers, by setting.

    An existing one is replaced only with ``replace``: see ``profile_writer.write`` for that and for errors.
    """
    _check_may(why)
    row, answers, wrong = _answers(said)
    try:
        name = profile_writer.check_name(_text(said.get("name", ""), "name"))
    except ConfigurationError as error:
        wrong = {**wrong, "name": str(error)}
    if wrong:
        return {"wrong": wrong}
    is_default = profile_writer.write(
        folders.profiles_file(),
        name,
        profile_questions.profile_of(row, answers),
        replaces=said.get("replace") is True,
        is_default=said.get("default") is True,
    )
    return {"name": name, "default": is_default}


# ------------------------------------------------------------ the answers of the user


def _questions(row: providers.Provider) -> list[Question]:
    return [*profile_questions.of_place(row), *profile_questions.of_keys(row)]


def _answers(said: Said) -> tuple[providers.Provider, MaskedDict, dict[str, str]]:
    """The provider, the checked answers, and what is wrong with others, both by setting. Only answers to the
    provider's questions are read.
    """
    row = providers.provider(_text(said.get("provider", ""), "provider"))
    given = said.get("answers")
    if not isinstance(given, dict):
        raise ConfigurationError("The request has no answers. Reload the page.")
    answers, wrong = MaskedDict(), {}
    for question in _questions(row):
        setting = question.setting
        try:
            text = _text(given.get(setting, ""), setting).strip() or question.default
            if text:
                answers[setting] = profile_questions.checked(setting, text)
            elif not question.optional:
                wrong[setting] = "It is needed."
        except ConfigurationError as error:
            wrong[setting] = str(error)
    wrong = wrong or profile_questions.wrong_together(answers)
    return row, answers, {name: _hidden(text, given) for name, text in wrong.items()}


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} is not text. Reload the page.")
    return value


def _hidden(text: str, answers: Mapping[str, Any]) -> str:
    """The text without the secrets of the answers: a server may repeat them."""
    for name in settings.KEYS:
        secret = str(answers.get(name, "")).strip()
        if len(secret) >= 4:  # noqa: PLR2004  a shorter text would be found in ordinary words
            text = text.replace(secret, _HIDDEN)
    return text


def _without(error: StorageError, answers: Mapping[str, Any]) -> StorageError:
    return type(error)(_hidden(str(error), answers))
