"""Looks a node up in the running prompt: what is wired to it, and all nodes that lead to it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from typing import Any


def running_prompts() -> list[Mapping[str, Any]]:
    """The prompts that the queue is running, in the API's format.

    ``IS_CHANGED`` gets None for every linked input and an empty PROMPT, but the queue has the whole prompt
    (both cores). A queue item is (number, prompt id, prompt, extra data, outputs, …).
    """
    return [nodes for _, nodes in _running()]


def running_ids() -> list[str]:
    """The ids of the prompts that the queue is running."""
    return [prompt_id for prompt_id, _ in _running()]


def _running() -> list[tuple[str, Mapping[str, Any]]]:
    from server import PromptServer

    queue = getattr(PromptServer.instance, "prompt_queue", None)
    return [(item[1], item[2]) for item in list(getattr(queue, "currently_running", {}).values())]


def consumers(node_id: str | None) -> list[str]:
    """The nodes of the running prompt that a node's output goes to, through others of the same class."""
    for nodes in running_prompts():
        if node_id is None or node_id not in nodes:
            continue
        found: list[str] = []
        waiting = [node_id]
        seen = set(waiting)
        while waiting:
            source = waiting.pop()
            for name, node in nodes.items():
                values = node.get("inputs", {}).values()
                if name in seen or not any(_comes_from(value, source) for value in values):
                    continue
                seen.add(name)
                same = node.get("class_type") == nodes[node_id].get("class_type")
                (waiting if same else found).append(name)
        return found
    return []


def _comes_from(value: object, node_id: str) -> bool:
    return isinstance(value, list) and bool(value) and value[0] == node_id


def id_of_prompt(node_id: str | None) -> str | None:
    """The id of the running prompt that has the node; None if there is none."""
    return next((prompt_id for prompt_id, nodes in _running() if node_id in nodes), None)


def is_of_prompt(node_id: str | None) -> bool:
    """Whether a running prompt has the node, or none runs. False for a node created by graph expansion."""
    prompts = running_prompts()
    return node_id is None or not prompts or any(node_id in prompt for prompt in prompts)


def linked_widgets(node_id: str | None, input_name: str) -> tuple[str, Mapping[str, Any]] | None:
    """Class and inputs of the node that is wired to an input; None without a wire or a running prompt."""
    for prompt in running_prompts():
        with contextlib.suppress(KeyError, TypeError, IndexError):
            value = prompt[node_id or ""]["inputs"].get(input_name)
            if isinstance(value, list):
                node = prompt[value[0]]
                return str(node["class_type"]), node["inputs"]
    return None


def lineage(node_id: str | None) -> str:
    """A digest of a node of the running prompt, its inputs, and all nodes that lead to it; "" if there is
    no such node. Every item of a list asks for it, so the digests of the latest prompt are cached.
    """
    global _latest  # noqa: PLW0603
    for prompt in running_prompts():
        if node_id is None or node_id not in prompt:
            continue
        of_prompt, digests = _latest
        if of_prompt is not prompt:
            _latest = of_prompt, digests = prompt, {}
        if node_id not in digests:
            digests[node_id] = _digest(prompt, node_id)
        return digests[node_id]
    return ""


_latest: tuple[Mapping[str, Any], dict[str, str]] = {}, {}


def _digest(prompt: Mapping[str, Any], node_id: str) -> str:
    found: dict[str, Any] = {}
    waiting = [node_id]
    while waiting:
        name = waiting.pop()
        if name in found or name not in prompt:
            continue
        inputs = prompt[name].get("inputs", {})
        found[name] = [prompt[name].get("class_type"), inputs]
        waiting.extend(str(value[0]) for value in inputs.values() if isinstance(value, list) and value)
    told = json.dumps(found, sort_keys=True, default=str)
    return hashlib.sha256(told.encode(errors="surrogatepass")).hexdigest()
