"""Turns what people type into names of objects.

``key_prefix`` and ``filename`` take tokens between percent signs. They are replaced in one pass: what a token
brings in is not looked at again, and an unknown token stays as it is, as in ComfyUI. ``key_prefix`` is a
folder: it gets a "/" at its end where it has none. ``filename`` may hold further folders.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from ..errors import BadKey, ConfigurationError, sentence
from ..storage.keys import (
    MAX_KEY_BYTES,
    clean_key,
    is_address,
    shown_key,
    trimmed_start,
    without_empty_folders,
)
from . import widget_values

MAX_TEMPLATE_CHARACTERS = 8192  # room for many tokens; each percent sign may begin one, and is looked at so
COUNTER_DIGITS = 5  # at least


@dataclass(frozen=True)
class NameContext:
    """What the tokens of one image's name stand for.

    ``now`` is local time, one for a whole batch. ``batch_num`` counts from 0, as ComfyUI's does. ``width``
    and ``height`` are pixels; where there are none, their tokens stay as they are. ``prompt`` and
    ``extra_pnginfo`` are ComfyUI's hidden inputs PROMPT and EXTRA_PNGINFO, ``node_id`` is the UNIQUE_ID of
    the node that saves.
    """

    now: datetime
    batch_num: int = 0
    batch_size: int = 1
    width: int | None = None
    height: int | None = None
    prompt: Mapping[str, object] | None = None
    extra_pnginfo: Mapping[str, object] | None = None
    node_id: str = ""


def _date(letters: str) -> Callable[[NameContext], str]:
    return lambda context: format_date(letters, context.now)


# year to second, width, height and batch_num are written as ComfyUI's server writes them (get_save_image_path
# in folder_paths.py, SaveImage in nodes.py). counter and uuid are not here: one stays open, the other is made
# per name.
_TOKENS: Mapping[str, Callable[[NameContext], object]] = {
    "batch_num": lambda context: context.batch_num,
    "date": _date("yyyy-MM-dd"),
    "time": _date("hhmmss"),
    "year": _date("yyyy"),
    "month": _date("MM"),
    "day": _date("dd"),
    "hour": _date("hh"),
    "minute": _date("mm"),
    "second": _date("ss"),
    "width": lambda context: context.width,
    "height": lambda context: context.height,
    "seed": lambda context: widget_values.seed(context.prompt or {}, context.node_id),
}
_DISTINCT = {"counter", "batch_num", "uuid"}  # each keeps the images of one batch apart
_DATE_LETTERS: Mapping[str, Callable[[datetime], int]] = {
    "d": lambda date: date.day,
    "M": lambda date: date.month,
    "h": lambda date: date.hour,
    "m": lambda date: date.minute,
    "s": lambda date: date.second,
}
_DATE_RUN = re.compile("yyy?y?|dd?|MM?|hh?|mm?|ss?")
_EXTENSION_ALIASES = {"jpg": "jpeg"}


@dataclass(frozen=True)
class Name:
    """The name of one image, every token replaced but the counter, which stands between the ``pieces``.

    A name without a counter is number 1 of its series; after it come ``name_00002.png``, ``name_00003.png``.
    """

    pieces: tuple[str, ...]
    extension: str = ""  # as it ends the key, with its dot
    batch_num: int = 0
    max_bytes: int = MAX_KEY_BYTES

    @property
    def has_counter(self) -> bool:
        return len(self.pieces) > 1

    @property
    def head(self) -> str:
        """What stands before the counter in every key of the series: the prefix to look for taken numbers."""
        return self.pieces[0] if self.has_counter else f"{self.pieces[0]}_"

    @property
    def first_number(self) -> int:
        """The lowest number to write: the key that is number 1 of a name without counter has none."""
        return 1 if self.has_counter else 2

    def numbered(self, number: int) -> str:
        """The key with this counter. Raises ConfigurationError when it is too long or otherwise bad."""
        if number == 1 and not self.has_counter:
            return self.fixed()
        digits = f"{number:0{COUNTER_DIGITS}d}"
        stem = digits.join(self.pieces) if self.has_counter else self.head + digits
        return clean_key(stem + self.extension, self.max_bytes)

    def fixed(self) -> str:
        """The key for ``overwrite``, ``fail`` and ``skip``, the same on every run: a counter counts the
        batch.
        """
        if self.has_counter:
            return self.numbered(self.batch_num + 1)
        return clean_key(self.pieces[0] + self.extension, self.max_bytes)

    def after(self, others: int) -> Name:
        """The name of a file that would share this one's key with ``others`` before it."""
        if self.has_counter:
            return replace(self, batch_num=self.batch_num + others)
        return replace(self, pieces=(f"{self.pieces[0]}_{others}",)) if others else self


@dataclass(frozen=True)
class Template:
    """A key with its tokens still in it: ``key_prefix``, ``filename`` and ``extension``, that without a dot.

    ``max_bytes`` is what the provider and path_prefix leave for the key. A filename that ends in the
    extension, once its tokens are replaced, keeps its own.
    """

    key_prefix: str
    filename: str
    extension: str = ""
    max_bytes: int = MAX_KEY_BYTES

    def name(self, context: NameContext) -> Name:
        """The name of one image; every call makes a new ``%uuid%``, the same in prefix and filename.

        In a batch of several, a name with neither ``%counter%`` nor ``%batch_num%`` nor ``%uuid%`` gets
        ``_%batch_num%`` before its extension. A digit straight behind ``%counter%`` gets a "_" before it, or
        it would read as part of the number. Raises ConfigurationError when filename is empty or the key is
        bad.
        """
        if len(self.key_prefix) + len(self.filename) > MAX_TEMPLATE_CHARACTERS:
            said = f"with its key_prefix it has more than {MAX_TEMPLATE_CHARACTERS:,} characters"
            raise BadKey(sentence("name a file", shown_key(self.filename), said, "Shorten them."))
        typed = self.key_prefix + self.filename
        if is_address(typed):
            said = "an address cannot be part of a key"
            advice = "Write only the folder in the bucket: the bucket and the endpoint are in the profile."
            raise BadKey(sentence("name a file", shown_key(typed), said, advice))
        folder = self.key_prefix.strip()
        if folder and not folder.endswith("/"):
            folder += "/"
        pieces, used = _fill(folder + self.filename.strip(), context)
        pieces = [without_empty_folders(unicodedata.normalize("NFC", piece)) for piece in pieces]
        pieces[0] = trimmed_start(pieces[0])
        pieces[-1], extension = _split_extension(pieces[-1], self.extension)
        if pieces == [""] or pieces[-1].endswith("/"):
            said = "nothing is left to be the name of the file"
            shown = shown_key(self.filename)
            raise ConfigurationError(sentence("name a file", shown, said, "Fill in filename."))
        if context.batch_size > 1 and not used & _DISTINCT:
            pieces[-1] += f"_{context.batch_num}"
        for index, piece in enumerate(pieces[1:], start=1):
            two_counters = piece == "" and index < len(pieces) - 1
            if two_counters or "0" <= piece[:1] <= "9":
                pieces[index] = f"_{piece}"
        name = Name(tuple(pieces), extension, context.batch_num, self.max_bytes)
        name.fixed()  # raises for a bad key before the first byte is encoded
        return name


def _fill(template: str, context: NameContext) -> tuple[list[str], set[str]]:
    """``template`` with its tokens replaced, split at every ``%counter%``; and which tokens those were."""
    made = {"counter": "", "uuid": str(uuid4())}
    pieces, used, rest = [""], set[str](), template
    while rest:
        text, opened, rest = rest.partition("%")
        pieces[-1] += text
        name, closed, behind = rest.partition("%")
        value = made.get(name, _replacement(name, context)) if closed else None
        if value is None:
            pieces[-1] += opened  # the next percent sign may open a token: "50%_%date%"
            continue
        pieces[-1] += value
        used.add(name)
        rest = behind
        if name == "counter":
            pieces.append("")
    return pieces, used


def _replacement(token: str, context: NameContext) -> str | None:
    if token.startswith("date:"):
        return format_date(token.removeprefix("date:"), context.now)
    if token in _TOKENS:
        value = _TOKENS[token](context)
        return None if value is None else str(value)
    return widget_values.of_widget(token, context.prompt or {}, context.extra_pnginfo or {})


def format_date(letters: str, date: datetime) -> str:
    """``date`` in the letters of ComfyUI's frontend: yyyy yy M MM d dd h hh (0-23) m mm s ss; others stay."""

    def written(match: re.Match[str]) -> str:
        run = match.group()
        if run[0] == "y":
            return {"yyyy": f"{date.year:04d}", "yy": f"{date.year:04d}"[2:]}.get(run, run)
        return str(_DATE_LETTERS[run[0]](date)).zfill(len(run))

    return _DATE_RUN.sub(written, letters)


def _split_extension(stem: str, extension: str) -> tuple[str, str]:
    """``stem`` without ``extension``, and that with its dot, as typed where the stem ends in it already."""
    for ending in (extension, _EXTENSION_ALIASES.get(extension.lower(), extension)):
        if extension and stem.lower().endswith(f".{ending.lower()}"):
            cut = len(stem) - len(ending) - 1
            return stem[:cut], stem[cut:]
    return stem, f".{extension}" if extension else ""
