"""What other nodes of a workflow hold, found by the names that ``%Node.widget%`` and ``%seed%`` give them.

``prompt`` and ``extra_pnginfo`` are ComfyUI's hidden inputs. Whoever queued the prompt sent both, so nothing
of their shape is taken for granted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

# What ComfyUI's frontend replaces by "_" in a widget's value (applyTextReplacements), and what no key may
# hold.
_ILLEGAL_IN_VALUE = re.compile('[/?<>\\\\:*|"\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]')


MAX_DEPTH = 32  # of subgraphs in subgraphs
MAX_NUMBER_BITS = 1024  # JavaScript's numbers end here


def of_widget(token: str, prompt: Mapping[str, object], extra_pnginfo: Mapping[str, object]) -> str | None:
    """The value of a widget by "Node.widget"; None where there is no such widget or value."""
    nodes = _nodes(prompt, extra_pnginfo) if "." in token else []
    for dot in re.finditer(r"\.", token):  # a title may hold dots, and so may the name of a widget
        value = _widget(nodes, token[: dot.start()], token[dot.end() :], prompt)
        if value is not None:
            return value
    return None


def seed(prompt: Mapping[str, object], node_id: str) -> str | None:
    """The whole number called seed or noise_seed that is the fewest links upstream of ``node_id``.

    Where there is none, the first one of the prompt; None where that has none either.
    """
    upstream, known = [node_id], {node_id}
    for reached in upstream:  # grows while it is read: breadth first
        for value in _inputs(prompt, reached).values():
            source = _linked(value)
            if source and source not in known:
                known.add(source)
                upstream.append(source)
    for candidate in [*upstream, *prompt]:
        value = _value(_inputs(prompt, candidate), ("seed", "noise_seed"), prompt)
        if value is not None and re.fullmatch("-?[0-9]+", value):
            return value
    return None


def _as_text(value: object) -> str:
    """``value`` as JavaScript prints it and the frontend puts it into a name, what none may hold replaced."""
    texts, waiting = list[str](), [value]
    while waiting:  # and not by recursion: whoever sent a list has nested it as they liked
        one = waiting.pop()
        if isinstance(one, Mapping) and "__value__" in one:  # the wrap that tells a list from a link
            waiting.append(one["__value__"])
        elif isinstance(one, list) and one:
            waiting += reversed(one)
        else:
            texts.append(_word(one))
    return _ILLEGAL_IN_VALUE.sub("_", ",".join(texts))


def _word(value: object) -> str:
    """A value that holds no others, as JavaScript prints it."""
    if value is None or value == []:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        value = int(value) if value.is_integer() else format(Decimal(repr(value)), "f")
    if isinstance(value, int) and value.bit_length() > MAX_NUMBER_BITS:
        return "Infinity" if value > 0 else "-Infinity"  # Python does not print it either
    return str(value) if isinstance(value, int | str) else "[object Object]"


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
    subgraphs = {_word(graph.get("id")): graph for graph in definitions}
    nodes = dict(_drawn(workflow, subgraphs, prompt, _holders(prompt)))
    for node_id, entry in prompt.items():
        alias = _word(_mapping(entry).get("class_type"))
        nodes.setdefault(node_id, _Node(alias, _title(prompt, node_id), _inputs(prompt, node_id)))
    return list(nodes.values())


def _drawn(
    graph: Mapping[str, object],
    subgraphs: Mapping[str, Mapping[str, object]],
    prompt: Mapping[str, object],
    holders: set[str],
    path: str = "",
) -> Iterator[tuple[str, _Node]]:
    """The nodes of one graph under their ids in the prompt: "5", or "12:5" within the subgraph 12.

    As in the frontend, nodes in a subgraph come before the subgraph, which here has all their widgets. The
    prompt leaves a PrimitiveNode out; its widget is ``value``. A subgraph is looked into where the prompt has
    nodes of it, the ``holders``, and once: subgraphs of subgraphs may be more nodes than there is memory.
    """
    for node in map(_mapping, _list(graph.get("nodes"))):
        node_id, kind = f"{path}{_word(node.get('id'))}", _word(node.get("type"))
        inputs, written = _inputs(prompt, node_id), _list(node.get("widgets_values"))
        inner_graph = subgraphs.get(kind, {})
        if inner_graph and node_id in holders:
            holders.remove(node_id)
            widgets = dict(inputs)
            for inner_id, inner in _drawn(inner_graph, subgraphs, prompt, holders, f"{node_id}:"):
                yield inner_id, inner
                for name in inner.inputs:
                    widgets.setdefault(name, inner.inputs[name])
            inputs = widgets
        elif kind == "PrimitiveNode" and written:
            inputs = {"value": written[0]}
        alias = _word(_mapping(node.get("properties")).get("Node name for S&R", kind))
        title = node.get("title") or _title(prompt, node_id) or inner_graph.get("name")
        yield node_id, _Node(alias, _word(title), inputs)


def _holders(prompt: Mapping[str, object]) -> set[str]:
    """The ids of the nodes that others of the prompt lie in: "12" and "12:3" for "12:3:5"."""
    paths = [node_id.split(":", MAX_DEPTH)[:-1] for node_id in prompt if ":" in node_id]
    return {":".join(path[:depth]) for path in paths for depth in range(1, len(path) + 1)}


def _inputs(prompt: Mapping[str, object], node_id: str) -> Mapping[str, object]:
    return _mapping(_mapping(prompt.get(node_id)).get("inputs"))


def _title(prompt: Mapping[str, object], node_id: str) -> str:
    return _word(_mapping(_mapping(prompt.get(node_id)).get("_meta")).get("title"))


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
