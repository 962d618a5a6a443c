"""``setup``: asks for a bucket and its access key, tests them, and writes them into profiles.json.

Every answer is checked at once. Neither the access key's secret nor a file with it is ever shown, except as
lines to export, which are asked for.
"""

from __future__ import annotations

import functools
import getpass
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from .. import providers
from ..comfyui import folders
from ..config import profile_writer, profiles_file
from ..config.profiles_file import ENVIRONMENT, MaskedDict
from ..config.settings import SETTINGS
from ..errors import ConfigurationError, StorageError, did_you_mean
from ..profile import resolve
from ..storage import connection_test, profile_questions
from ..storage.connect import connect
from ..system.meter import Meter
from . import running
from .console import in_own_words, printable
from .context import Context

_YES, _NO = ("y", "yes"), ("n", "no")


def setup(context: Context, meter: Meter) -> int:
    """Ask, test and write. Call it in the main thread, where Ctrl-C ends a question."""
    file = folders.profiles_file()
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigurationError(_without_terminal(file))
    there = profiles_file.read(file)  # raises for a file that would be spoiled
    _say("Enter takes what is in brackets. Ctrl-C ends this: nothing is written before the end.\n")
    answers = MaskedDict()
    row = _ask_provider()
    _ask_place(row, answers)
    answers = profile_questions.profile_of(row, answers)
    while True:
        _ask_keys(row, answers)
        if _works(answers, file, meter):
            break
        if _asked("Ask for the access key again?", default=True):
            continue
        if _asked("Write the settings all the same?", default=False):
            break
        return running.FAILED
    if context.options.prints:
        _say("\n".join(exports(answers)))
        return running.DONE
    _write(file, there, answers)
    return running.DONE


def _without_terminal(file: Path) -> str:
    names = ("provider", "access_key", "secret_key", "bucket", "region", "endpoint_url", "account_id")
    variables = ", ".join(SETTINGS[name].variable for name in names)
    form = '{"profiles": {"mine": {"provider": "…", "access_key": "…", "secret_key": "…", "bucket": "…"}}}'
    return (
        "setup asks questions, and this is no terminal. Set the environment variables instead, as far as the "
        f"provider needs them: {variables}. Or write {form} into {file}, with mode 600."
    )


# ------------------------------------------------------------ questions


def _say(text: str) -> None:
    sys.stdout.write(f"{printable_lines(text)}\n")
    sys.stdout.flush()


def printable_lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))


def _asked(question: str, *, default: bool) -> bool:
    """Ask for yes or no."""
    while True:
        answer = input(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
        if not answer or answer in (*_YES, *_NO):
            return answer in _YES if answer else default


def _ask(
    question: str,
    default: str = "",
    check: Callable[[str], str] = str,
    *,
    optional: bool = False,
    read: Callable[[str], str] = input,
) -> str:
    """Return an answer, as ``check`` returns it; what it raises is shown, and the question is asked again."""
    shown = f" [{default}]" if default else " [none]" if optional else ""
    while True:
        answer = read(f"{question}{shown}: ").strip() or default
        if not answer and not optional:
            _say("  It is needed.")
            continue
        try:
            return check(answer) if answer else ""
        except ConfigurationError as error:
            _say(f"  {error}")


def _ask_provider() -> providers.Provider:
    names = providers.names()
    width = max(map(len, names)) + 5
    columns = 3
    lines = -(-len(names) // columns)
    numbered = [f"{number:>2}  {name}".ljust(width) for number, name in enumerate(names, 1)]
    _say("\n".join("".join(numbered[line::lines]).rstrip() for line in range(lines)))

    def check(answer: str) -> str:
        if answer.isdigit() and 0 < int(answer) <= len(names):
            return names[int(answer) - 1]
        folded = {name.casefold(): name for name in names}
        starting = [name for key, name in folded.items() if key.startswith(answer.casefold())]
        if answer.casefold() in folded or len(starting) == 1:
            return folded.get(answer.casefold()) or starting[0]
        raise ConfigurationError(f"There is no provider {answer!r}.{did_you_mean(answer, names)}")

    name = _ask("Provider, its number or name", names[0], check)
    return providers.provider(name)


def _ask_place(row: providers.Provider, answers: dict[str, str]) -> None:
    """Ask for all but the access key."""
    for question in profile_questions.of_place(row):
        name = question.setting
        word = "folder in the bucket for everything" if name == "path_prefix" else row.word(name)
        check = functools.partial(profile_questions.checked, name)
        answers[name] = _ask(word, question.default, check, optional=question.optional)


def _ask_keys(row: providers.Provider, answers: dict[str, str]) -> None:
    for name in ("access_key", "secret_key", "auth"):
        answers.pop(name, None)
    check = functools.partial(profile_questions.checked, "access_key")
    key = _ask(
        f"{row.word('access_key')} (none: the credentials of this machine)", check=check, optional=True
    )
    if not key:
        answers["auth"] = "ambient"
        return
    answers["access_key"] = key
    check = functools.partial(profile_questions.checked, "secret_key")
    answers["secret_key"] = _ask(
        f"{row.word('secret_key')}, which is not shown", check=check, read=getpass.getpass
    )


# ------------------------------------------------------------ testing and writing


def _environ(answers: dict[str, str]) -> dict[str, str]:
    return {SETTINGS[name].variable: value for name, value in answers.items() if value}


def _works(answers: dict[str, str], file: Path, meter: Meter) -> bool:
    """Test the settings and show the report."""
    environ = MaskedDict(_environ(answers))
    try:
        profile = resolve(ENVIRONMENT, {}, file, environ)
        storage = connect(profile, environ)
        findings = connection_test.findings_of(profile, storage, meter)
    except StorageError as error:
        _say(in_own_words(str(error)))
        return False
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark = "✓" if finding.works else "✗"
        _say(f"{mark} {finding.what.ljust(width)}  {in_own_words(finding.text)}")
    return connection_test.is_enough(findings)


def exports(answers: dict[str, str]) -> list[str]:
    """Return the lines that set the environment, for this system's shell."""
    lines = _environ(answers).items()
    if os.name == "nt":
        return [f"$env:{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in lines]
    return [f"export {name}={shlex.quote(value)}" for name, value in lines]


def _write(file: Path, there: profiles_file.ProfilesFile, answers: dict[str, str]) -> None:
    """Add the profile to the file, which nobody but this user may read."""
    taken = list(there.profiles)
    first = profile_writer.FIRST_NAME
    name = _ask("Name of the profile", first if first not in taken else "", profile_writer.check_name)
    if name in taken and not _asked(f"Replace the profile {name}?", default=False):
        _say("Nothing was written.")
        return
    is_default = not taken or _asked("Use it if no profile is chosen?", default=not there.default)
    profile_writer.write(file, name, answers, replaces=True, is_default=is_default, even_locked=True)
    _say(f"Written: the profile {name} in {file}")
