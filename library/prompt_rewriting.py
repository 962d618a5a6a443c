"""Lets a queued prompt fetch the models that it names: puts a node in front of the loaders that miss one.

The added node (``nodes_library.py``) fetches one file. Its id says nothing but which file, so that the same
prompt has the same nodes again, and ComfyUI's cache finds what it has. A file that this ComfyUI has once
fetched for a prompt stays a wire, for the same reason: an input that is a wire in one prompt and a text in
the next would run the loader, and all after it, again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..comfyui import folders, model_folders, node_classes
from ..comfyui.folders import LocalModels
from ..config.settings import ON_DEMAND, ModelSettings
from .catalogue import Catalogue, Model
from .fetches import Key, key_of
from .loaders import EMBEDDINGS_IN_TEXT, ENTRIES, LORAS_IN_TEXT, NAME, STANDS_FOR
from .named_models import ADDED_CLASS, ADDED_ID, Named, in_prompt, is_wire, slashed, stem

log = logging.getLogger("cloud_storage")


class PromptRewriter:
    """The handler for prompts; it remembers which files it has made a wire. For the server's event loop.

    It sends nothing, and reads no file but through ``folder_paths``.
    """

    def __init__(self, catalogue: Catalogue, accepted: Callable[[Mapping[str, Any]], object]) -> None:
        """``accepted`` is called with the nodes of each prompt, before it is looked at."""
        self._catalogue, self._accepted = catalogue, accepted
        self._wired: set[Key] = set()
        # Of one prompt: the settings of profiles that are on demand, the local files, and their stems by type
        self._fetched_from: dict[str, ModelSettings | None] = {}
        self._here = LocalModels()
        self._local: dict[str, set[str]] = {}

    def __call__(self, body: Any) -> Any:  # noqa: ANN401  of POST /prompt, as JSON
        """Return the body, with a node for each model that is only in a bucket. Never raises: what this does
        not understand stays as it is.
        """
        try:
            nodes = self._looked_at(body)
        except Exception as error:  # noqa: BLE001  the prompt runs as it is
            log.warning("A prompt was not searched for models: %s: %s", type(error).__name__, error)
            return body
        return body if nodes is None else {**body, "prompt": nodes}

    def _looked_at(self, body: Any) -> dict[str, Any] | None:  # noqa: ANN401
        """The nodes to use instead of the prompt's own; None if these stay."""
        nodes = body["prompt"]
        if not isinstance(nodes, dict) or not nodes:
            return None
        self._accepted(nodes)
        if self._catalogue.state().mode != ON_DEMAND:
            return None
        return self._rewritten(nodes, body.get("partial_execution_targets"))

    def _rewritten(self, nodes: Mapping[str, Any], targets: object) -> dict[str, Any] | None:
        """The nodes with those that are added; None if there are none."""
        self._local.clear()
        self._fetched_from.clear()
        self._here = LocalModels()
        wanted = [(named, files) for named in in_prompt(nodes) if (files := self._files(named))]
        if not wanted:
            return None
        needed = _needed(nodes, targets)
        changed = dict(nodes)
        for named, files in wanted:
            if named.node in needed:
                for folder_type, name in files:
                    self._wired.add(key_of(folder_type, name))
                    _put_in_front(changed, named, folder_type, name)
        return changed if len(changed) > len(nodes) else None

    # ------------------------------------------------------------ which files

    def _files(self, named: Named) -> list[tuple[str, str]]:
        """Folder type and name of the files to fetch for what is named, in the bucket and not here."""
        if named.row.kind == NAME:
            found = self._named(named.row.types, named.name)
        elif named.row.kind == STANDS_FOR:
            found = self._beginning(named.row.types[0], named.name)
        else:
            found = self._word(named.row.types[0], named.name, named.row.kind)
        return [] if found is None else [found]

    def _named(self, types: tuple[str, ...], name: str) -> tuple[str, str] | None:
        if self._wired:
            for folder_type in types:
                if key_of(folder_type, name) in self._wired:
                    return folder_type, name
        for folder_type in types:
            model = self._catalogue.find(folder_type, name)
            if model is not None and self._is_allowed(model):
                here = any(self._here.have(one, name) for one in types)
                return None if here else (folder_type, model.name)
        if self._catalogue.is_first_listing() and _is_safe_model(name):
            # Nobody knows yet what the bucket has; without a wire ComfyUI would refuse the prompt.
            here = any(self._here.have(one, name) for one in types)
            return None if here else (types[0], name)
        return None

    def _beginning(self, folder_type: str, beginning: str) -> tuple[str, str] | None:
        """The model whose name begins so, as ``VAELoader`` looks for the parts of a small VAE."""
        wired = next(
            (name for one, name in self._wired if one == folder_type and name.startswith(beginning)), ""
        )
        if wired:
            return folder_type, wired
        if any(name.startswith(beginning) for name in folders.model_names(folder_type)):
            return None
        names = (name for name in self._catalogue.names(folder_type) if name.startswith(beginning))
        return self._first_allowed(folder_type, names)

    def _word(self, folder_type: str, word: str, kind: str) -> tuple[str, str] | None:
        """The model that a text or an entry means: with or without its folder and extension."""
        short = stem(word)
        wired = [name for one, name in self._wired if one == folder_type and stem(name) == short]
        if wired:
            return folder_type, wired[0]
        found = self._catalogue.stems(folder_type).get(short, ())
        candidates = [model for model in found if self._is_allowed(model)]
        if not candidates or short in self._local_stems(folder_type):
            return None  # or else the node finds the local one
        path = word.replace("\\", "/")
        exact = [one for one in candidates if slashed(one.name) == path or _without_end(one.name) == path]
        if kind == EMBEDDINGS_IN_TEXT and not exact:
            return None  # core takes no other folder's
        chosen = exact or candidates
        return (folder_type, chosen[0].name) if len(chosen) == 1 or exact else None

    def _local_stems(self, folder_type: str) -> set[str]:
        if folder_type not in self._local:
            self._local[folder_type] = set(map(stem, folders.model_names(folder_type)))
        return self._local[folder_type]

    def _first_allowed(self, folder_type: str, names: Iterator[str]) -> tuple[str, str] | None:
        for name in names:
            model = self._catalogue.find(folder_type, name)
            if model is not None and self._is_allowed(model):
                return folder_type, name
        return None

    def _is_allowed(self, model: Model) -> bool:
        """Whether a prompt may fetch the model: a file that can run code only if the settings say so."""
        if model.profile not in self._fetched_from:
            member = self._catalogue.members.named(model.profile)
            is_on_demand = member is not None and member.models.mode == ON_DEMAND
            self._fetched_from[model.profile] = member.models if member and is_on_demand else None
        settings = self._fetched_from[model.profile]
        return settings is not None and (settings.pickles or not model_folders.can_run_code(model.name))


def _is_safe_model(name: str) -> bool:
    return node_classes.looks_like_a_model(name) and not model_folders.can_run_code(name)


def _without_end(name: str) -> str:
    folder, slash, _ = slashed(name).rpartition("/")
    return f"{folder}{slash}{stem(name)}"


# ------------------------------------------------------------ the nodes


def _needed(nodes: Mapping[str, Any], targets: object) -> set[str]:
    """The nodes that run: the outputs (of ``targets`` only, if it is a list), and all that lead to them."""
    classes = {str(node.get("class_type")) for node in nodes.values() if isinstance(node, dict)}
    outputs = {name for name in classes if node_classes.is_output(name)}
    waiting = [
        node_id
        for node_id, node in nodes.items()
        if isinstance(node, dict)
        and node.get("class_type") in outputs
        and (not isinstance(targets, list) or node_id in targets)
    ]
    found: set[str] = set()
    while waiting:
        node_id = waiting.pop()
        if node_id in found:
            continue
        found.add(node_id)
        node = nodes.get(node_id)
        inputs = node.get("inputs") if isinstance(node, dict) else None
        values = inputs.values() if isinstance(inputs, dict) else ()
        waiting.extend(value[0] for value in values if is_wire(value))
    return found


def _put_in_front(nodes: dict[str, Any], named: Named, folder_type: str, name: str) -> None:
    """Add a node for a file, if there is none yet, and lead a wire of the node that names it through it."""
    node = nodes[named.node]
    inputs = dict(node["inputs"])
    nodes[named.node] = {**node, "inputs": inputs}
    if named.row.kind == NAME and not is_wire(inputs[named.input]):
        inputs[named.input] = [_add(nodes, folder_type, name), 0]
        return
    through = _front(named, str(node.get("class_type")), inputs)
    inputs[through] = [_add(nodes, folder_type, name, inputs[through]), 0]


def _front(named: Named, node_class: str, inputs: Mapping[str, Any]) -> str:
    """The input whose value goes through the added node."""
    wired = [name for name in named.row.front if is_wire(inputs.get(name))]
    if wired:
        return wired[0]
    if named.row.kind in (LORAS_IN_TEXT, ENTRIES, EMBEDDINGS_IN_TEXT) and not named.row.front:
        return named.input
    awaited = node_classes.awaited_inputs(node_class)
    others = [name for name, value in inputs.items() if is_wire(value) and name in awaited]
    return others[0] if others and named.row.front else named.input


def _add(nodes: dict[str, Any], folder_type: str, name: str, *passed: Any) -> str:  # noqa: ANN401
    """Add a node that fetches a file and gives its name, or else what is ``passed``; returns its id."""
    name = slashed(name)
    what = f"{folder_type}\0{name}"
    inputs = {"folder_type": folder_type, "name": name}
    if passed:
        inputs["passed"] = passed[0]
        what += f"\0{json.dumps(passed[0], sort_keys=True, default=str)}"
    node_id = ADDED_ID + hashlib.sha256(what.encode(errors="surrogatepass")).hexdigest()[:12]
    title = name.rpartition("/")[2]
    nodes[node_id] = {"class_type": ADDED_CLASS, "inputs": inputs, "_meta": {"title": title}}
    return node_id
