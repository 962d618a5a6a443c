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
from typing import Any, NamedTuple

from ..comfyui import folders, model_folders, node_classes
from ..comfyui.folders import LocalModels
from ..config.settings import ON_DEMAND
from . import words
from .catalogue import Catalogue
from .fetches import Key, key_of
from .loader_row import EMBEDDINGS_IN_TEXT, ENTRIES, LORAS_IN_TEXT, NAME, STANDS_FOR, WITHIN
from .named_models import ADDED_CLASS, ADDED_ID, Named, in_prompt, is_wire, slashed, stem

log = logging.getLogger("cloud_storage")


class _File(NamedTuple):
    """A file to fetch; ``is_word``: only the word for it is known yet."""

    folder_type: str
    name: str
    is_word: bool = False


class PromptRewriter:
    """The handler for prompts; it remembers which files it has made a wire. For the server's event loop.

    It sends nothing, and reads no file but through ``folder_paths``.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        accepted: Callable[[Mapping[str, Any]], object],
        changed: Callable[[Mapping[str, Any], Mapping[str, Any]], object],
    ) -> None:
        """``accepted`` is called with the nodes of each prompt, before it is looked at, and ``changed`` with
        these and the nodes that it gets instead.
        """
        self._catalogue, self._accepted, self._changed = catalogue, accepted, changed
        self._wired: set[Key] = set()
        self._words: set[Key] = set()  # that were used before anybody knew what they mean
        # Of one prompt: the local files, and their stems by type
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
        if nodes is None:
            return body
        self._changed(body["prompt"], nodes)
        return {**body, "prompt": nodes}

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
        self._here = LocalModels()
        wanted = [(named, file) for named in in_prompt(nodes) if (file := self._file(named)) is not None]
        if not wanted:
            return None
        needed = _needed(nodes, targets)
        changed = dict(nodes)
        for named, file in wanted:
            if named.node in needed:
                if not file.is_word:
                    self._wired.add(key_of(file.folder_type, file.name))
                _put_in_front(changed, named, file)
        return changed if len(changed) > len(nodes) else None

    # ------------------------------------------------------------ which file

    def _file(self, named: Named) -> _File | None:
        """The file to fetch for what is named: in the bucket and not here."""
        if named.row.kind in (NAME, WITHIN):
            return self._named(named.row.types, named.name)
        if named.row.kind == STANDS_FOR:
            return self._beginning(named.row.types[0], named.name)
        return self._word(named.row.types[0], named.name, named.row.kind)

    def _named(self, types: tuple[str, ...], name: str) -> _File | None:
        if self._wired:
            for folder_type in types:
                key = key_of(folder_type, name)
                if key in self._wired:
                    if self._catalogue.find(*key) is not None or self._here.have(key[:1], key[1]):
                        return _File(folder_type, name)
                    self._wired.discard(key)  # it is nowhere any more: ComfyUI says so
        for folder_type in types:
            model = self._catalogue.find(folder_type, name)
            if model is not None and self._catalogue.is_on_demand(model):
                return None if self._here.have(types, name) else _File(folder_type, model.name)
        if self._catalogue.is_first_listing() and _is_safe_model(name):
            # Nobody knows yet what the bucket has; without a wire ComfyUI would refuse the prompt.
            return None if self._here.have(types, name) else _File(types[0], name)
        return None

    def _beginning(self, folder_type: str, beginning: str) -> _File | None:
        """The model whose name begins so, as ``VAELoader`` looks for the parts of a small VAE."""
        wired = next(
            (name for one, name in self._wired if one == folder_type and name.startswith(beginning)), ""
        )
        if wired:
            return _File(folder_type, wired)
        if any(name.startswith(beginning) for name in folders.model_names(folder_type)):
            return None
        names = (name for name in self._catalogue.names(folder_type) if name.startswith(beginning))
        return self._first_allowed(folder_type, names)

    def _word(self, folder_type: str, word: str, kind: str) -> _File | None:
        """The model that a text or an entry means."""
        key = key_of(folder_type, word)
        if key in self._words:
            return _File(folder_type, word, is_word=True)
        short = stem(word)
        wired = [name for one, name in self._wired if one == folder_type and stem(name) == short]
        if wired:
            return _File(folder_type, wired[0])
        if self._catalogue.is_first_listing() and short not in self._local_stems(folder_type):
            self._words.add(key)  # the node finds out what it means, when the bucket is listed
            return _File(folder_type, word, is_word=True)
        found = [
            one
            for one in words.candidates(self._catalogue, folder_type, word)
            if self._catalogue.is_on_demand(one)
        ]
        if not found or short in self._local_stems(folder_type):
            return None  # or else the node finds the local one
        # core takes an embedding of no other folder
        model = words.meant(found, word, exactly=kind == EMBEDDINGS_IN_TEXT)
        return _File(folder_type, model.name) if model else None

    def _local_stems(self, folder_type: str) -> set[str]:
        if folder_type not in self._local:
            self._local[folder_type] = set(map(stem, folders.model_names(folder_type)))
        return self._local[folder_type]

    def _first_allowed(self, folder_type: str, names: Iterator[str]) -> _File | None:
        for name in names:
            model = self._catalogue.find(folder_type, name)
            if model is not None and self._catalogue.is_on_demand(model):
                return _File(folder_type, name)
        return None


def _is_safe_model(name: str) -> bool:
    return node_classes.looks_like_a_model(name) and not model_folders.can_run_code(name)


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
        for value in inputs.values() if isinstance(inputs, dict) else ():
            if is_wire(value) and value[0] not in found:
                waiting.append(value[0])
    return found


def _put_in_front(nodes: dict[str, Any], named: Named, file: _File) -> None:
    """Add a node for a file, if there is none yet, and lead a wire of the node that names it through it."""
    node = nodes[named.node]
    inputs = dict(node["inputs"])
    nodes[named.node] = {**node, "inputs": inputs}
    if named.row.kind == NAME and not is_wire(inputs[named.input]):
        inputs[named.input] = [_add(nodes, file), 0]
        return
    through = _front(named, str(node.get("class_type")), inputs)
    inputs[through] = [_add(nodes, file, inputs[through]), 0]


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


def _add(nodes: dict[str, Any], file: _File, *passed: Any) -> str:  # noqa: ANN401
    """Add a node that fetches a file and gives its name, or else what is ``passed``; returns its id."""
    name = slashed(file.name)
    what = f"{file.folder_type}\0{name}\0{file.is_word}"
    inputs: dict[str, Any] = {"folder_type": file.folder_type, "name": name}
    if file.is_word:
        inputs["is_word"] = True
    if passed:
        inputs["passed"] = passed[0]
        what += f"\0{json.dumps(passed[0], sort_keys=True, default=str)}"
    node_id = ADDED_ID + hashlib.sha256(what.encode(errors="surrogatepass")).hexdigest()[:12]
    title = name.rpartition("/")[2]
    nodes[node_id] = {"class_type": ADDED_CLASS, "inputs": inputs, "_meta": {"title": title}}
    return node_id
