"""What the registered node classes declare: which lists are lists of models, which nodes are outputs."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

log = logging.getLogger("cloud_storage")

_MODEL_FILE = re.compile(r"(?i)\.(safetensors|sft|gguf|onnx|ckpt|pt|pt2|pth|bin|pkl)$")
# Entries of a list of models that stand for none or for a default, as "None", "[None]", "Baked VAE"
_NO_FILE = re.compile(r"(?i)[\W_]*(none|null|undefined|disabled?|default|auto|baked vae|)[\W_]*")

_WIDGETS = ("STRING", "INT", "FLOAT", "BOOLEAN")  # and lists

_texts: dict[type, frozenset[str]] = {}
_found: dict[type, Mapping[str, tuple[str, ...]]] = {}


def looks_like_a_model(name: str) -> bool:
    """Return whether a text ends like the name of a model file."""
    return _MODEL_FILE.search(name) is not None


def registered() -> list[str]:
    """Return the names of all classes of nodes, of ComfyUI and of every package."""
    return list(getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", {}))


def is_output(node_class: str) -> bool:
    """Return whether ComfyUI runs a prompt for the sake of nodes of this class."""
    return getattr(_class(node_class), "OUTPUT_NODE", False) is True


def model_lists(node_class: str) -> Mapping[str, tuple[str, ...]]:
    """Return the inputs whose lists are those of model folders, each with the types that it may be of.

    While INPUT_TYPES runs, ComfyUI's own cache of lists for /object_info is on (both cores,
    ``folder_paths.cache_helper``): it has the types that the node asked for. An input is of such a type if
    its list has the same files; on a machine without models several types may be possible. Asked once for
    each class.
    """
    node = _class(node_class)
    if node is None:
        return {}
    if node not in _found:
        found = _model_lists(node)
        if found is None:
            return {}
        _found[node] = found
    return _found[node]


def awaited_inputs(node_class: str) -> frozenset[str]:
    """Return the inputs whose wires ComfyUI evaluates before the node runs: not lazy ones, nor raw links."""
    return frozenset(
        name
        for name, declared in _declared(_class(node_class)).items()
        if not _options(declared).get("lazy") and not _options(declared).get("rawLink")
    )


def text_inputs(node_class: str) -> frozenset[str] | None:
    """Return the inputs that are texts; None if no such class is registered. Asked once for each class."""
    node = _class(node_class)
    if node is None:
        return None
    if node not in _texts:
        declared = _declared(node).items()
        _texts[node] = frozenset(name for name, kind in declared if kind and kind[0] == "STRING")
    return _texts[node]


def widget_names(node_class: str) -> list[str] | None:
    """Return the names of a class's widgets in the order in which a workflow saves their values, "" for the
    control that the page adds after a seed; None if no such class is registered.
    """
    node = _class(node_class)
    if node is None:
        return None
    found = []
    for name, kind in _declared(node).items():
        is_widget = _choices(kind) is not None or (kind and kind[0] in _WIDGETS)
        if not is_widget or _options(kind).get("forceInput"):
            continue
        found.append(name)
        is_seed = kind[0] == "INT" and name in ("seed", "noise_seed")
        if _options(kind).get("control_after_generate", is_seed):
            found.append("")
    return found


def register_hidden(nodes: Mapping[str, type], package_folder: str) -> None:
    """Have ComfyUI know node classes that nobody places. Those of NODE_CLASS_MAPPINGS are for users: they
    have help, translations and a place in the menu.
    """
    known = getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", None)
    if known is not None:
        for node_id, node in nodes.items():
            node.RELATIVE_PYTHON_MODULE = f"custom_nodes.{package_folder}"  # type: ignore[attr-defined]
            known[node_id] = node


def _class(node_class: str) -> Any:  # noqa: ANN401
    return getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", {}).get(node_class)


def _declared(node: Any) -> dict[str, Any]:  # noqa: ANN401
    try:
        declared = node.INPUT_TYPES()
        return {
            str(name): kind
            for group in ("required", "optional")
            for name, kind in dict(declared.get(group, {})).items()
        }
    except Exception as error:  # noqa: BLE001  a fault of another package: ComfyUI reports it
        log.debug("%s does not say what its inputs are: %s", node, error)
        return {}


def _options(declared: Any) -> Mapping[str, Any]:  # noqa: ANN401
    has_options = isinstance(declared, (tuple, list)) and len(declared) > 1 and isinstance(declared[1], dict)
    return declared[1] if has_options else {}


def _choices(declared: Any) -> list[str] | None:  # noqa: ANN401
    """The list of a drop-down, in the form of both cores; None for other inputs."""
    if not isinstance(declared, (tuple, list)) or not declared:
        return None
    choices = _options(declared).get("options") if declared[0] == "COMBO" else declared[0]
    return [str(one) for one in choices] if isinstance(choices, (list, tuple)) else None


def _model_lists(node: Any) -> Mapping[str, tuple[str, ...]] | None:  # noqa: ANN401
    import folder_paths

    helper = folder_paths.cache_helper
    with helper:
        declared = _declared(node)
        asked = {str(name): set(entry[0]) for name, entry in list(helper.cache.items())}
        was_on = helper.active
    if not was_on:  # another thread has switched the cache off meanwhile: ask again the next time
        return None
    found = {}
    for name, kind in declared.items():
        choices = _choices(kind)
        types = () if choices is None else tuple(_types_of(choices, asked))
        if types:
            found[name] = types
    return found


def _types_of(choices: Iterable[str], asked: Mapping[str, set[str]]) -> Iterable[str]:
    """The types that have exactly the files of a list, or else those that have them together; every one
    without files, if the list has none.
    """
    files = {one for one in choices if not _NO_FILE.fullmatch(one)}
    parts = [folder_type for folder_type, names in asked.items() if names <= files]
    exact = [folder_type for folder_type in parts if asked[folder_type] == files]
    if exact:
        return exact
    together: set[str] = set().union(*(asked[folder_type] for folder_type in parts))
    return parts if files and together == files else ()
