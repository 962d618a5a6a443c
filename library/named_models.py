"""Finds what names models in a prompt of the API: inputs with names, texts, and structured values.

Nothing is looked up here: a name in a text is only a word that may be a model's.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..comfyui import node_classes
from .core_loaders import STANDS_FOR_FILES
from .loader_row import EMBEDDINGS_IN_TEXT, ENTRIES, LORAS_IN_TEXT, NAME, STANDS_FOR, WITHIN, Loader
from .loaders import rows_of

ADDED_CLASS = "CloudStorageLibraryModel"
DOWNLOAD_CLASS = "LoadModelFromCloud"
ADDED_ID = "cloud_storage~"  # how the id of an added node begins; the page counts, API users name nodes
HOPS = 8  # of wires between a text and the node that reads it

# A name may have anything but ":" and ">", as the parsers of the packages in the table allow
_LORA = re.compile(r"<lora:([^:>]+)", re.IGNORECASE)
# core, comfy/sd1_clip.py: a word that begins so; a comma may follow it, and brackets with a weight around it
_EMBEDDING = re.compile(r"embedding:([^\s,()]+)")
_WEIGHT = re.compile(r":[\d.]+$")
_EMBEDDINGS = Loader(
    "", "", ("embeddings",), EMBEDDINGS_IN_TEXT, front=("clip",), source="core, comfy/sd1_clip.py"
)


class Named(NamedTuple):
    """A model that the input ``input`` of a node names, by a row of the table or one made from the rule."""

    node: str
    input: str
    name: str
    row: Loader


def is_wire(value: object) -> bool:
    """Return whether an input's value is a wire, by ComfyUI's own test (comfy_execution/graph_utils.py)."""
    return (
        isinstance(value, list)
        and len(value) == 2  # noqa: PLR2004  node and output
        and isinstance(value[0], str)
        and type(value[1]) in (int, float)
    )


def slashed(name: str) -> str:
    """Return a name with "/" as its separator."""
    return name.replace("\\", "/")


def stem(name: str) -> str:
    """Return the file name without folders, and without the extension of a model file."""
    last = slashed(name).rpartition("/")[2]
    return last[: last.rindex(".")] if node_classes.looks_like_a_model(last) else last


def in_prompt(nodes: Mapping[str, Any]) -> Iterator[Named]:
    """Yield what names models in a prompt, in the order of its nodes; skips what is not a node."""
    for node_id, node in nodes.items():
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict):
            yield from _in_node(nodes, node_id, str(node.get("class_type")), node["inputs"])


class Added(NamedTuple):
    """What an added node fetches; ``is_word``: the name is a word of a text, as ``words.py`` reads it."""

    folder_type: str
    name: str
    is_word: bool


def added_models(nodes: Mapping[str, Any]) -> Iterator[Added]:
    """Yield what each added node of a prompt fetches."""
    for node in nodes.values():
        if isinstance(node, dict) and node.get("class_type") == ADDED_CLASS:
            inputs = node.get("inputs", {})
            if isinstance(inputs, dict):
                is_word = inputs.get("is_word") is True
                yield Added(str(inputs.get("folder_type")), str(inputs.get("name")), is_word)


class Downloaded(NamedTuple):
    """What a Download Model node fetches, by its inputs."""

    folder_type: str
    key: str
    subfolder: str


def downloaded(nodes: Mapping[str, Any]) -> Iterator[Downloaded]:
    """Yield what each Download Model node of a prompt fetches, as far as its inputs are texts, or wires from
    texts.
    """
    for node in nodes.values():
        if isinstance(node, dict) and node.get("class_type") == DOWNLOAD_CLASS:
            inputs = node.get("inputs")
            given = inputs if isinstance(inputs, dict) else {}
            values = [given.get("model_type"), given.get("key"), given.get("subfolder", "")]
            texts = [[one] if isinstance(one, str) else _texts(nodes, one) for one in values]
            yield from (Downloaded(*one) for one in itertools.product(*texts))


def _in_node(
    nodes: Mapping[str, Any], node_id: str, node_class: str, inputs: Mapping[str, Any]
) -> Iterator[Named]:
    if node_class == ADDED_CLASS:
        return
    has_clip = is_wire(inputs.get("clip"))
    texts = (node_classes.text_inputs(node_class) if has_clip else None) or ()
    for name, value in inputs.items():
        is_text = isinstance(value, str)
        if not is_text and not isinstance(value, (list, dict)):
            continue
        rows = rows_of(node_class, name)
        for row in rows:
            if row.kind == NAME and is_text and not row.names:
                yield Named(node_id, name, value, row)
            else:
                yield from (Named(node_id, name, word, row) for word in _words(nodes, row, value))
        if not rows and is_text and node_classes.looks_like_a_model(value):
            types = node_classes.model_lists(node_class).get(name)
            if types:
                yield Named(node_id, name, value, Loader(node_class, name, types))
        if has_clip and ("embedding:" in value if is_text else name in texts):
            for word in _embeddings([value] if is_text else _texts(nodes, value)):
                yield Named(node_id, name, word, _EMBEDDINGS)


def _words(nodes: Mapping[str, Any], row: Loader, value: Any) -> Iterator[str]:  # noqa: ANN401
    texts = [value] if isinstance(value, str) else _texts(nodes, value)
    if row.kind == ENTRIES:
        yield from _entries(value)
    elif row.kind == LORAS_IN_TEXT:
        for text in texts:
            yield from (word.strip() for word in _LORA.findall(text) if word.strip())
    elif row.kind == STANDS_FOR:
        for text in texts:
            yield from STANDS_FOR_FILES.get(text, ())
    elif row.kind == WITHIN:
        yield from (found[1] for text in texts if (found := re.fullmatch(row.names, text)))
    else:
        yield from (text for text in texts if text and (not row.names or re.match(row.names, text)))


def _entries(value: Any) -> Iterator[str]:  # noqa: ANN401
    """The names of what is switched on. The switch is called on or active, the name lora, name or model."""
    if isinstance(value, dict) and "__value__" in value:  # how the page sends a list that is no wire
        value = value["__value__"]
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, dict) and entry.get("on", entry.get("active", True)):
            name = next((entry[key] for key in ("lora", "name", "model") if key in entry), None)
            if isinstance(name, str) and name:
                yield name


def _embeddings(texts: Iterable[str]) -> Iterator[str]:
    """The embeddings in the texts of a node that has a wire from a CLIP."""
    for text in texts:
        for word in _EMBEDDING.findall(text):
            found = _WEIGHT.sub("", word.rstrip("])"))
            if found:
                yield found


def _texts(nodes: Mapping[str, Any], wire: Any) -> list[str]:  # noqa: ANN401
    """The texts typed into the nodes from which a wire comes, through nodes that pass texts on."""
    found: list[str] = []
    waiting = [(wire, 0)]
    seen: set[str] = set()
    while waiting:
        value, hops = waiting.pop()
        if not is_wire(value) or value[0] in seen or hops > HOPS:
            continue
        seen.add(value[0])
        node = nodes.get(value[0])
        inputs = node.get("inputs") if isinstance(node, dict) else None
        if not isinstance(node, dict) or not isinstance(inputs, dict):
            continue
        texts = node_classes.text_inputs(str(node.get("class_type")))
        for name, inner in inputs.items():
            if texts is None or name in texts:
                if isinstance(inner, str):
                    found.append(inner)
                waiting.append((inner, hops + 1))
    return found
