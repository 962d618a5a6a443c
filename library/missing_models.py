"""Which models a workflow names, and which of them are here, in the bucket, or missing.

For the page's workflows, of any frontend, and for prompts of the API. Needs ComfyUI's folders, but not its
server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Protocol

from ..comfyui import folders, node_classes
from . import named_models
from .catalogue import Model
from .loader_row import NAME, WITHIN, Loader
from .loaders import TABLE
from .named_models import Named, slashed, stem

HERE, IN_BUCKET, MISSING = "here", "in the bucket", "missing"
BY_NAME, BY_BASE_NAME, BY_HASH = "name", "base name", "hash"
_VALUES_STAY = (
    "PrimitiveNode",
    "",
    None,
)  # sources that the page writes into the widget, or that are unknown
_NOT_RUN = (2, 4)  # a node's ``mode`` if it is muted, or bypassed
DEPTH = 32  # of subgraphs in one another


class Catalogue(Protocol):
    """What is asked of a catalogue: that of the library, or the index of one bucket."""

    def models(self) -> Sequence[Model]: ...
    def find(self, folder_type: str, name: str) -> Model | None: ...
    def stems(self, folder_type: str) -> Mapping[str, list[Model]]: ...


@dataclass(frozen=True)
class NamedModel:
    """A model that a workflow names: where it is, and the bucket's model, if it has one.

    ``folder_type`` is the type in whose folder the node looks for the file: that of the model may be another
    one. ``matched_by`` is "name", "base name", "hash", or "" without a model. ``nodes`` are the ids of the
    nodes that name it, "12:5" in a subgraph.
    """

    folder_type: str
    name: str
    state: str
    model: Model | None
    matched_by: str
    nodes: tuple[str, ...]


@dataclass
class _Use:
    """What is known of one name: the types that it may be of, the nodes, and what a template says of it."""

    types: tuple[str, ...]
    name: str
    kind: str = NAME
    nodes: list[str] = field(default_factory=list)
    sha256: str = ""


def of_workflow(workflow: Mapping[str, Any], catalogue: Catalogue) -> list[NamedModel]:
    """Return the models that a workflow of the page, or a prompt of the API, names, each once, in its order.

    Nodes that are muted or bypassed are left out. Sends nothing; looks for files on this machine.
    """
    uses = _of_graph(workflow) if isinstance(workflow.get("nodes"), list) else _of_prompt(workflow)
    found: dict[tuple[tuple[str, ...], str], _Use] = {}
    for use in uses:
        known = found.setdefault((use.types, slashed(use.name)), use)
        if known is not use:
            known.nodes.extend(one for one in use.nodes if one not in known.nodes)
            known.sha256 = known.sha256 or use.sha256
    return [_found(use, catalogue) for use in found.values()]


# ------------------------------------------------------------ where a model is


def _found(use: _Use, catalogue: Catalogue) -> NamedModel:
    nodes = tuple(use.nodes)
    here = _here(use)
    for folder_type in use.types:
        model = catalogue.find(folder_type, use.name)
        if model is not None:
            state = HERE if here else IN_BUCKET
            return NamedModel(here or folder_type, use.name, state, model, BY_NAME, nodes)
    if here:
        return NamedModel(here, use.name, HERE, None, "", nodes)
    for folder_type, model, matched_by in _others(use, catalogue):
        return NamedModel(folder_type, use.name, IN_BUCKET, model, matched_by, nodes)
    return NamedModel(use.types[0], use.name, MISSING, None, "", nodes)


def _here(use: _Use) -> str:
    """The type in whose folder the file is on this machine; "" if it is in none."""
    for folder_type in use.types:
        if folders.model_path(folder_type, use.name) is not None:
            return folder_type
        if use.kind not in (NAME, WITHIN) and stem(use.name) in _local_stems(folder_type):
            return folder_type
    return ""


def _local_stems(folder_type: str) -> set[str]:
    try:
        return set(map(stem, folders.model_names(folder_type)))
    except (KeyError, OSError):  # a type that is not registered, or a folder that was deleted
        return set()


def _others(use: _Use, catalogue: Catalogue) -> Iterator[tuple[str, Model, str]]:
    """The bucket's models that may be meant: one of the same file name, if it is the only one, or one of the
    same content, whatever its type; each with the type to fetch it for.
    """
    last = PurePosixPath(slashed(use.name)).name
    for folder_type in use.types:
        same = catalogue.stems(folder_type).get(stem(use.name), [])
        if use.kind in (NAME, WITHIN):
            same = [model for model in same if PurePosixPath(slashed(model.name)).name == last]
        if len(same) == 1:
            yield folder_type, same[0], BY_BASE_NAME
    same = [model for model in catalogue.models() if use.sha256 and model.sha256 == use.sha256]
    for model in sorted(same, key=lambda model: model.folder_type not in use.types):
        own = model.folder_type in use.types
        yield model.folder_type if own else use.types[0], model, BY_HASH


# ------------------------------------------------------------ a prompt of the API


def _of_prompt(nodes: Mapping[str, Any]) -> Iterator[_Use]:
    inner = nodes.get("prompt")
    nodes = inner if isinstance(inner, dict) else nodes  # the body of POST /prompt
    for named in named_models.in_prompt(nodes):
        yield _use(named, named.node)


def _use(named: Named, node_id: str) -> _Use:
    return _Use(named.row.types, named.name, named.row.kind, [node_id])


# ------------------------------------------------------------ a workflow of the page


def _of_graph(workflow: Mapping[str, Any]) -> Iterator[_Use]:
    definitions = workflow.get("definitions")
    listed = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    subgraphs = {str(one.get("id")): one for one in _dicts(listed)}
    yield from _of_nodes(workflow, "", subgraphs, 0)


def _of_nodes(
    graph: Mapping[str, Any], before: str, subgraphs: Mapping[str, Mapping[str, Any]], depth: int
) -> Iterator[_Use]:
    sources = _sources(graph)
    for node in _dicts(graph.get("nodes")):
        if node.get("mode") in _NOT_RUN or depth > DEPTH:
            continue
        node_id, node_class = f"{before}{node.get('id')}", str(node.get("type"))
        templates = _templates(node)
        inner = subgraphs.get(node_class)
        if inner is not None:
            yield from _of_nodes(inner, f"{node_id}:", subgraphs, depth + 1)
        said = {use.name for use in templates}
        own = _of_widgets(node, node_class, node_id, sources)
        for use in own if inner is None else _promoted(node, inner, node_id):
            use.sha256 = next((one.sha256 for one in templates if one.name == use.name), "")
            said.discard(use.name)
            yield use
        for use in templates:
            if use.name in said and (inner is None or use.name in _strings(node)):
                use.nodes.append(node_id)
                yield use


def _templates(node: Mapping[str, Any]) -> list[_Use]:
    """What a template says of its models in ``properties.models``: name, folder, and the hash of some."""
    properties = node.get("properties")
    found = []
    for said in _dicts(properties.get("models") if isinstance(properties, dict) else None):
        name, folder, digest = said.get("name"), said.get("directory"), said.get("hash")
        if not isinstance(name, str) or not isinstance(folder, str) or not name or not folder:
            continue
        is_sha256 = isinstance(digest, str) and str(said.get("hash_type", "SHA256")).upper() == "SHA256"
        use = _Use((folders.current_type(folder),), name)
        use.sha256 = str(digest).lower() if is_sha256 else ""
        found.append(use)
    return found


def _sources(graph: Mapping[str, Any]) -> dict[str, str]:
    """The class of the node that each wire comes from, by the wire's id. A wire is saved as a list or, in a
    subgraph, as an object; one from outside of a subgraph has no node.
    """
    classes = {str(node.get("id")): str(node.get("type")) for node in _dicts(graph.get("nodes"))}
    found = {}
    for link in graph.get("links") or ():
        if isinstance(link, dict):
            found[str(link.get("id"))] = classes.get(str(link.get("origin_id")), "")
        elif isinstance(link, list) and len(link) > 1:
            found[str(link[0])] = classes.get(str(link[1]), "")
    return found


def _promoted(node: Mapping[str, Any], inner: Mapping[str, Any], node_id: str) -> Iterator[_Use]:
    """What the widgets of a subgraph's node name, which stand for widgets of the nodes in it."""
    classes = {str(one.get("type")) for one in _dicts(inner.get("nodes"))}
    rows = [row for name in sorted(classes) for row in TABLE.get(name, ())]
    for value in _strings(node):
        row = _row_of(value, rows)
        if row is not None:
            yield _Use(row.types, value, NAME, [node_id])


def _of_widgets(
    node: Mapping[str, Any], node_class: str, node_id: str, sources: Mapping[str, str]
) -> Iterator[_Use]:
    """What the widgets of one node name. A saved workflow has their values in order, mostly without names."""
    by_name = _named_widgets(node, node_class)
    if by_name is not None:
        wires = _wires(node)
        for name, wire in wires.items():  # of what comes from a node, the widget's value is not used
            if sources.get(wire[0]) not in _VALUES_STAY:
                by_name.pop(name, None)
        alone = {node_id: {"class_type": node_class, "inputs": {**wires, **by_name}}}
        for named in named_models.in_prompt(alone):
            yield _use(named, node_id)
        return
    rows = TABLE.get(node_class, ())
    for value in _strings(node):
        row = _row_of(value, rows)
        if row is not None:
            yield _Use(row.types, value, NAME, [node_id])


def _named_widgets(node: Mapping[str, Any], node_class: str) -> dict[str, Any] | None:
    """The widgets' values by their names; None if nobody knows which value belongs to which widget.

    They are saved by name, or in the order of INPUT_TYPES, with one more after a seed.
    """
    values = node.get("widgets_values")
    if isinstance(values, dict):
        return {str(name): value for name, value in values.items()}
    if not isinstance(values, list):
        return {}
    names = node_classes.widget_names(node_class)
    if names is not None and len(names) == len(values):
        return {name: value for name, value in zip(names, values, strict=True) if name}
    return None


def _wires(node: Mapping[str, Any]) -> dict[str, Any]:
    """The node's wired inputs, as a prompt has them."""
    wired = [one for one in _dicts(node.get("inputs")) if one.get("link") is not None]
    return {str(one.get("name")): [str(one["link"]), 0] for one in wired}


def _row_of(value: str, rows: Iterable[Loader]) -> Loader | None:
    """The row of the table that a value belongs to, where only the values are known: one whose type has such
    a file, or else one of the first type.
    """
    if not node_classes.looks_like_a_model(value):
        return None
    fitting = [row for row in rows if row.kind == NAME and not row.names]
    for row in fitting:
        if any(folders.model_path(one, value) is not None for one in row.types):
            return row
    merged = tuple(dict.fromkeys(one for row in fitting for one in row.types))
    return Loader("", "", merged) if merged else None


def _strings(node: Mapping[str, Any]) -> list[str]:
    values = node.get("widgets_values")
    listed = list(values.values()) if isinstance(values, dict) else values
    return [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []


def _dicts(listed: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
