"""What to ask about a bucket, by its provider, in the words of its console; and the check of each answer.

Both doors ask them: ``cloud.py setup`` one after another, the dialog of the page all at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..config import validation
from ..config.profiles_file import MaskedDict
from ..config.settings import SETTINGS, check_value
from ..errors import ConfigurationError
from ..providers import Provider
from .keys import clean_prefix

ANSWER_CHARACTERS = 2048  # a folder has at most 1024 bytes, an address or a token about as many


@dataclass(frozen=True)
class Question:
    """One setting to ask for. ``word`` is what the provider's console calls it, "" if the table has no word;
    ``default`` is used without an answer; a ``secret`` is not shown.
    """

    setting: str
    word: str = ""
    default: str = ""
    optional: bool = False
    secret: bool = False


def of_place(row: Provider) -> list[Question]:
    """Return the questions about the bucket, in the order in which a person knows the answers."""
    found = [_question(row, name) for name in ("endpoint_url", "account_id") if name in row.requires]
    if "endpoint_url" not in row.requires and "localhost" in row.endpoint:
        found.append(_question(row, "endpoint_url", default=row.endpoint))
    return [
        *found,
        _question(row, "region", default=row.region, optional=True),
        _question(row, "bucket"),
        _question(row, "path_prefix", optional=True),
    ]


def of_keys(row: Provider) -> list[Question]:
    """Return the questions about the access key."""
    return [_question(row, "access_key"), _question(row, "secret_key", secret=True)]


def _question(
    row: Provider, setting: str, *, default: str = "", optional: bool = False, secret: bool = False
) -> Question:
    return Question(setting, row.words.get(setting, ""), default, optional, secret)


def checked(setting: str, answer: str) -> str:
    """Return an answer cleaned. Raises ConfigurationError, in which no secret is."""
    if len(answer) > ANSWER_CHARACTERS:
        raise ConfigurationError(f"{setting} is longer than {ANSWER_CHARACTERS} characters. Copy it again.")
    check_value(setting, answer)
    if setting == "endpoint_url":
        return validation.clean_url(answer if "://" in answer else f"https://{answer}", setting)
    if setting == "bucket":
        validation.check_bucket(answer, setting)
    elif setting == "path_prefix":
        return clean_prefix(f"{answer.rstrip('/')}/") if answer.strip("/") else ""
    elif not SETTINGS[setting].credential:
        validation.check_endpoint_part(answer, setting)
    return answer


def wrong_together(answers: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with answers that are right one by one: messages by setting."""
    if answers.get("endpoint_url") and answers.get("bucket"):
        try:
            validation.refuse_bucket_in(answers["endpoint_url"], answers["bucket"], "endpoint_url")
        except ConfigurationError as error:
            return {"endpoint_url": str(error)}
    return {}


def profile_of(row: Provider, answers: Mapping[str, str]) -> MaskedDict:
    """Return the entry of profiles.json for checked answers: what is the provider's default is left out."""
    given = MaskedDict({name: value for name, value in answers.items() if value})
    if given.get("region") == row.region:
        given.pop("region")
    return MaskedDict({"provider": row.name, **given})
