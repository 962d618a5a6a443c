"""Turns what people type into object keys, and refuses a bad key before anything is sent.

``key_prefix`` and ``filename`` take tokens between percent signs. They are replaced in one pass: what a token
brings in is not looked at again, and an unknown token stays as it is, as in ComfyUI. ``key_prefix`` is a
folder: it gets a "/" behind it where it has none. ``filename`` may hold further folders.

A key to write (``clean_key``) is put in order first. The key of an object that exists (``existing_key``) is
kept as it is, or it would name another object.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import uuid4

from .errors import ConfigurationError, sentence

MAX_KEY_BYTES = 1024  # docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html; 1,023 on OSS
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
    "seed": lambda context: _seed(context.prompt or {}, context.node_id),
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

# What ComfyUI's frontend replaces by "_" in a widget's value (applyTextReplacements), and what no key may
# hold.
_ILLEGAL_IN_VALUE = re.compile('[/?<>\\\\:*|"\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]')

# What no key may hold, what is said of it, and what to do.
_FAULTS = (
    (re.compile(r"\\"), "it holds a backslash", "Put / between folders."),
    (re.compile(r"(^|/)\.\.?(/|$)"), "it has . or .. as a folder in it", "Write the name out."),
    (re.compile("[\x00-\x1f\x7f-\x9f]"), "it holds a control character", "Remove line breaks and tabs."),
    (re.compile("[\ud800-\udfff]"), "it holds a lone surrogate, half a character", "Type that one again."),
    (re.compile("[\ufffe\uffff]"), "it holds a character that XML cannot carry", "Remove U+FFFE, U+FFFF."),
)
_SHOWN_CHARACTERS = 200  # of a bad key, in a message


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
        """The lowest number to make a key of."""
        return 1 if self.has_counter else 2

    def numbered(self, number: int) -> str:
        """The key with this counter. Raises ConfigurationError when it is too long or otherwise bad."""
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

    def candidates(self, numbers: Iterable[int], bare_is_taken: bool = False) -> Iterator[str]:
        """The keys to try for ``new name``, one after another; a number is asked for when its turn comes."""
        if not self.has_counter and not bare_is_taken:
            yield self.fixed()
        for number in numbers:
            yield self.numbered(number)


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
        folder = self.key_prefix.strip()
        if folder and not folder.endswith("/"):
            folder += "/"
        pieces, used = _fill(folder + self.filename.strip(), context)
        pieces = [_squeezed(unicodedata.normalize("NFC", piece)) for piece in pieces]
        pieces[0] = _begun(pieces[0])
        pieces[-1], extension = _split_extension(pieces[-1], self.extension)
        if pieces == [""] or pieces[-1].endswith("/"):
            said = "nothing is left to be the name of the file"
            shown = _shown(self.filename)
            raise ConfigurationError(sentence("name a file", shown, said, "Fill in filename."))
        if context.batch_size > 1 and not used & _DISTINCT:
            pieces[-1] += f"_{context.batch_num}"
        for index, piece in enumerate(pieces[1:], start=1):
            two_counters = piece == "" and index < len(pieces) - 1
            if two_counters or "0" <= piece[:1] <= "9":
                pieces[index] = f"_{piece}"
        name = Name(tuple(pieces), extension, context.batch_num, self.max_bytes)
        name.fixed()  # a bad key is told before the first byte is encoded
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
        return None if value is None else _as_text(value)
    nodes = _nodes(context.prompt or {}, context.extra_pnginfo or {}) if "." in token else []
    for dot in re.finditer(r"\.", token):  # a title may hold dots, and so may the name of a widget
        value = _widget(nodes, token[: dot.start()], token[dot.end() :], context.prompt or {})
        if value is not None:
            return value
    return None


def format_date(letters: str, date: datetime) -> str:
    """``date`` in the letters of ComfyUI's frontend: yyyy yy M MM d dd h hh (0-23) m mm s ss; others stay."""

    def written(match: re.Match[str]) -> str:
        run = match.group()
        if run[0] == "y":
            return {"yyyy": f"{date.year:04d}", "yy": f"{date.year:04d}"[2:]}.get(run, run)
        return str(_DATE_LETTERS[run[0]](date)).zfill(len(run))

    return _DATE_RUN.sub(written, letters)


def _as_text(value: object) -> str:
    """``value`` as JavaScript prints it, as the frontend puts it into a name, without what no name may
    hold.
    """
    if isinstance(value, Mapping) and "__value__" in value:  # the wrap that tells a list from a link
        value = value["__value__"]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        value = int(value) if value.is_integer() else format(Decimal(repr(value)), "f")
    if isinstance(value, list):
        return ",".join(map(_as_text, value))
    return _ILLEGAL_IN_VALUE.sub("_", str(value))


def _split_extension(stem: str, extension: str) -> tuple[str, str]:
    """``stem`` without ``extension``, and that with its dot, as typed where the stem ends in it already."""
    for ending in (extension, _EXTENSION_ALIASES.get(extension.lower(), extension)):
        if extension and stem.lower().endswith(f".{ending.lower()}"):
            cut = len(stem) - len(ending) - 1
            return stem[:cut], stem[cut:]
    return stem, f".{extension}" if extension else ""


def _squeezed(key: str) -> str:
    return re.sub("/{2,}", "/", key)


def _begun(key: str) -> str:
    """``key`` from its first character on that is neither white space nor "/"."""
    return re.sub(r"^[\s/]+", "", key)


# What other nodes hold ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Node:
    """A node as ``%Node.widget%`` finds it: by alias, the property "Node name for S&R", or by title."""

    alias: str
    title: str
    inputs: Mapping[str, object]


def _widget(nodes: list[_Node], name: str, widget: str, prompt: Mapping[str, object]) -> str | None:
    """The value of a widget, found as ComfyUI's frontend finds it: by alias first, then by title.

    Where names repeat, the first node counts that has the widget and whose value is known. A widget fed by a
    link has the value of the constant at the other end; the frontend would take the stale value that the link
    hides. None where nothing is found.
    """
    matches = [node for node in nodes if node.alias == name] + [node for node in nodes if node.title == name]
    values = (_value(node.inputs, (widget,), prompt) for node in matches)
    return next((value for value in values if value is not None), None)


def _seed(prompt: Mapping[str, object], node_id: str) -> str | None:
    """The whole number called seed or noise_seed that is the fewest links upstream of ``node_id``.

    Where there is none, the first one of the prompt; None where that has none either.
    """
    upstream = [node_id]
    for reached in upstream:  # grows while it is read: breadth first
        sources = [_linked(value) for value in _inputs(prompt, reached).values()]
        upstream += [source for source in dict.fromkeys(sources) if source and source not in upstream]
    for candidate in [*upstream, *prompt]:
        value = _value(_inputs(prompt, candidate), ("seed", "noise_seed"), prompt)
        if value is not None and re.fullmatch("-?[0-9]+", value):
            return value
    return None


def _value(
    inputs: Mapping[str, object], names: tuple[str, ...], prompt: Mapping[str, object], hops: int = 8
) -> str | None:
    """The text of the first input called one of ``names``; None where there is none.

    A link is followed to a node that holds a constant: it has an input of the same name or ``value``, and no
    other input of it is linked.
    """
    name = next((name for name in names if name in inputs), None)
    if name is None or hops == 0:
        return None
    source = _linked(inputs[name])
    if not source:
        return _as_text(inputs[name])
    constant, names = _inputs(prompt, source), (*names, "value")
    if any(_linked(value) for key, value in constant.items() if key not in names):
        return None
    return _value(constant, names, prompt, hops - 1)


def _nodes(prompt: Mapping[str, object], extra_pnginfo: Mapping[str, object]) -> list[_Node]:
    """The nodes of the workflow in its order, then those of the prompt that it does not show.

    The latter are all of them where the prompt came through the API without a workflow. A node's alias is its
    class unless the user changed it.
    """
    workflow = _mapping(extra_pnginfo.get("workflow"))
    definitions = map(_mapping, _list(_mapping(workflow.get("definitions")).get("subgraphs")))
    nodes = dict(_drawn(workflow, {str(graph.get("id")): graph for graph in definitions}, prompt))
    for node_id, entry in prompt.items():
        alias = str(_mapping(entry).get("class_type"))
        nodes.setdefault(node_id, _Node(alias, _title(prompt, node_id), _inputs(prompt, node_id)))
    return list(nodes.values())


def _drawn(
    graph: Mapping[str, object],
    subgraphs: Mapping[str, Mapping[str, object]],
    prompt: Mapping[str, object],
    path: str = "",
) -> Iterator[tuple[str, _Node]]:
    """The nodes of one graph under their ids in the prompt: "5", or "12:5" within the subgraph 12.

    As in the frontend, nodes in a subgraph come before the subgraph, which here has all their widgets. The
    prompt leaves a PrimitiveNode out; its widget is ``value``.
    """
    for node in map(_mapping, _list(graph.get("nodes"))):
        node_id, kind = f"{path}{node.get('id')}", str(node.get("type"))
        inputs, written = _inputs(prompt, node_id), _list(node.get("widgets_values"))
        inner_graph = subgraphs.get(kind, {})
        if inner_graph:
            others = {name: other for name, other in subgraphs.items() if name != kind}  # none holds itself
            for inner_id, inner in _drawn(inner_graph, others, prompt, f"{node_id}:"):
                yield inner_id, inner
                inputs = {**inner.inputs, **inputs}
        elif kind == "PrimitiveNode" and written:
            inputs = {"value": written[0]}
        alias = _mapping(node.get("properties")).get("Node name for S&R", kind)
        title = node.get("title") or _title(prompt, node_id) or inner_graph.get("name")
        yield node_id, _Node(str(alias), str(title), inputs)


def _inputs(prompt: Mapping[str, object], node_id: str) -> Mapping[str, object]:
    return _mapping(_mapping(prompt.get(node_id)).get("inputs"))


def _title(prompt: Mapping[str, object], node_id: str) -> str:
    return str(_mapping(_mapping(prompt.get(node_id)).get("_meta")).get("title") or "")


def _linked(value: object) -> str:
    """The id of the node that a link ``[id, slot]`` comes from; "" for a value."""
    match value:
        case [str(node_id), int()]:
            return node_id
    return ""


def _mapping(value: object) -> Mapping[str, object]:
    """``value``, or nothing where whoever sent the prompt put something else there."""
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


# Keys ---------------------------------------------------------------------------------------------------


def clean_key(key: str, max_bytes: int = MAX_KEY_BYTES) -> str:
    """``key`` in order, to write an object under: NFC, no "/" in front, none doubled, no space around it.

    Raises ConfigurationError for a key that is empty, ends in "/", is longer than ``max_bytes`` in UTF-8, or
    holds a backslash, control characters, half a surrogate pair, or "." or ".." as a folder.
    """
    return _checked(_squeezed(_begun(unicodedata.normalize("NFC", key.rstrip()))), max_bytes)


def existing_key(key: str, max_bytes: int = MAX_KEY_BYTES) -> str:
    """``key`` of an object that is there already, from a widget or a wire. Raises as ``clean_key`` does.

    Line breaks and tabs around it and "/" in front go. The rest stays: spaces, "//" and decomposed letters
    may be part of the name that another program gave the object.
    """
    return _checked(key.strip("\r\n\t").lstrip("/"), max_bytes)


def clean_prefix(prefix: str, max_bytes: int = MAX_KEY_BYTES) -> str:
    """What to list by, kept as ``existing_key`` keeps a key: "renders/2024-" finds every key that begins so.

    Raises as ``clean_key`` does, but a prefix may be empty and end anywhere.
    """
    prefix = prefix.strip("\r\n\t").lstrip("/")
    if prefix:
        _checked(f"{prefix}x", max_bytes + 1)
    return prefix


def _checked(key: str, max_bytes: int) -> str:
    fault = next(((said, advice) for pattern, said, advice in _FAULTS if pattern.search(key)), None)
    if fault is None and len(key.encode()) > max_bytes:
        said = f"it has {len(key.encode())} bytes in UTF-8, and {max_bytes} are allowed here"
        fault = (said, "Shorten key_prefix or filename.")
    if fault is None and (not key or key.endswith("/")):
        fault = ("it names a folder" if key else "it is empty", "Give the name of a file.")
    if fault is not None:
        raise ConfigurationError(sentence("use this object key", _shown(key), *fault))
    return key


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")
