"""What the Models tab and the lists of loaders ask for: the catalogue, a workflow's models, fetches, copies.

All functions may be called from any thread but the event loop. None sends a request to a bucket itself: the
library lists and fetches in threads of its own. A fetch is started for entries of the catalogue only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

from ..comfyui import folders, node_classes
from ..config.settings import OFF
from ..errors import ConfigurationError, NotFound, StorageError, Throttled, sentence
from ..library import disk_budget, loaders, missing_models, service
from ..library.catalogue import Catalogue, Model
from ..library.missing_models import NamedModel

PAGE_MODELS = 2000  # of one answer: some 300 kB
AT_ONCE = 500  # models that one request may name
BUSY = 1000  # fetches that run or wait: each has a thread
NAME_CHARACTERS = 1024  # as file systems and buckets allow

Said = Mapping[str, Any]  # a JSON object


# ------------------------------------------------------------ what is there


def names(_said: Said) -> dict[str, Any]:
    """Return the bucket's names by folder type, and which inputs of which nodes list these types.

    Both are empty while the library is off. The first call asks each registered class for its INPUT_TYPES.
    """
    service.asked()
    catalogue = service.catalogue()
    inputs: dict[str, dict[str, list[str]]] = {}
    by_type: dict[str, list[str]] = {}
    if catalogue.state().mode != OFF:
        for node_class in node_classes.registered():
            found = {name: list(types) for name, types in loaders.inputs_of(node_class).items()}
            if found:
                inputs[node_class] = found
        types = {one for each in inputs.values() for listed in each.values() for one in listed}
        by_type = {one: catalogue.names(one) for one in sorted(types)}
    return {**_state(catalogue), "inputs": inputs, "names": by_type}


def catalogue(said: Said) -> dict[str, Any]:
    """Return up to PAGE_MODELS models from the number ``after`` on; ``following`` is the next one, or None.

    ``version`` changes when the catalogue does: pages of different versions do not belong together.
    """
    service.asked()
    known = service.catalogue()
    models = known.models()
    start = _number(said.get("after", "0"))
    end = start + PAGE_MODELS
    local = _Local()
    return {
        **_state(known),
        "version": f"{len(models)} {known.state().listed}",
        "total": len(models),
        "following": end if end < len(models) else None,
        "models": [{**_model(one), "here": local.has(one)} for one in models[start:end]],
    }


def copies(_said: Said) -> dict[str, Any]:
    """Return the copies on this machine that the package fetched, and the room for more."""
    known = service.catalogue()
    listed = [
        {
            "type": one.folder_type,
            "name": one.name,
            "size": one.size,
            "last_used": one.last_used.isoformat(),
            "in_bucket": one.in_bucket,
        }
        for one in disk_budget.copies(known)
    ]
    return {"copies": listed, "room": asdict(disk_budget.room(known))}


def progress(_said: Said) -> dict[str, Any]:
    """Return the fetches that run or ended, and what the catalogue knows of itself."""
    fetches = [
        {
            "type": one.folder_type,
            "name": one.name,
            "status": one.status,
            "done": one.done,
            "total": one.total,
            "text": one.text,
            "error": one.error,
            "model": {"type": one.model.folder_type, "name": one.model.name} if one.model else None,
        }
        for one in service.fetches().states()
    ]
    return {**_state(service.catalogue()), "fetches": fetches}


def workflow(said: Said) -> dict[str, Any]:
    """Return the models that ``workflow`` names, of the page's form or a prompt of the API."""
    service.asked()
    known = service.catalogue()
    given = said.get("workflow")
    if not isinstance(given, dict):
        raise ConfigurationError("The request has no workflow. Reload the page.")
    return {**_state(known), "models": [_named(one) for one in missing_models.of_workflow(given, known)]}


# ------------------------------------------------------------ what changes something


def fetch(said: Said) -> dict[str, Any]:
    """Start to fetch ``models``: each ``{type, name}`` of the catalogue, ``as``, the name that a workflow has
    for it, and ``into``, the type in whose folder the workflow's node looks for it.

    Those that the catalogue does not have are in ``refused``, each with the reason. Raises NotFound if it has
    none of them, Throttled if too many wait.
    """
    known, fetches = service.catalogue(), service.fetches()
    asked = list(_asked(said))
    found = [(known.find(one.folder_type, one.name), one) for one in asked]
    refused = [
        {"type": one.folder_type, "name": one.name, "error": str(_unknown(one))}
        for model, one in found
        if model is None
    ]
    if found and len(refused) == len(found):
        raise _unknown(asked[0])
    if len(fetches.busy()) + len(found) > BUSY:
        raise Throttled(f"More than {BUSY} downloads would wait. Wait until some of them are complete.")
    for model, one in found:
        if model is not None:
            fetches.start(model, one.local_name, folder_type=one.local_type)
    return {"started": len(found) - len(refused), "refused": refused}


def cancel(said: Said) -> dict[str, Any]:
    """Stop the fetches of ``models``, each ``{type, name}``; what has arrived is kept for the next one."""
    stopped = [service.fetches().cancel(one.folder_type, one.name) for one in _asked(said)]
    return {"cancelled": sum(stopped)}


def dismiss(_said: Said) -> dict[str, Any]:
    """Forget the fetches that ended."""
    service.fetches().dismiss()
    return {}


def refresh(_said: Said) -> dict[str, Any]:
    """List the buckets again, in a thread, unless that is being done."""
    known = service.catalogue()
    if not known.state().is_listing:
        known.refresh()
    return _state(known)


# ------------------------------------------------------------ as JSON


class _Local:
    """Which models are on this machine, by ComfyUI's own lists, each of which is read once."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str]] = {}

    def has(self, model: Model) -> bool:
        if model.folder_type not in self._names:
            self._names[model.folder_type] = frozenset(_listed(model.folder_type))
        return model.name in self._names[model.folder_type]


def _listed(folder_type: str) -> list[str]:
    try:
        return folders.model_names(folder_type)
    except (KeyError, OSError):  # a type that is not registered any more, a folder that was deleted
        return []


def _state(known: Catalogue) -> dict[str, Any]:
    state = known.state()
    return {"state": {**asdict(state), "listed": _time(state.listed)}}


def _model(model: Model) -> dict[str, Any]:
    return {
        "type": model.folder_type,
        "name": model.name,
        "size": model.size,
        "modified": _time(model.modified),
        "profile": model.profile,
    }


def _named(named: NamedModel) -> dict[str, Any]:
    return {
        "type": named.folder_type,
        "name": named.name,
        "state": named.state,
        "matched_by": named.matched_by,
        "nodes": list(named.nodes),
        "model": _model(named.model) if named.model else None,
    }


def _time(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _number(text: Any) -> int:  # noqa: ANN401  of a query
    text = str(text)
    if not text.isdecimal() or len(text) > len(str(10**9)):
        raise ConfigurationError("The number of the first model is not a number. Reload the page.")
    return int(text)


class _Asked(NamedTuple):
    """A model of a request, and the name and the type that the workflow has for it, or ""."""

    folder_type: str
    name: str
    local_name: str
    local_type: str


def _asked(said: Said) -> Iterator[_Asked]:
    """The models of a request. Raises ConfigurationError."""
    models = said.get("models")
    if not isinstance(models, list) or not 0 < len(models) <= AT_ONCE:
        raise ConfigurationError(f"Name between 1 and {AT_ONCE} models.")
    for one in models:
        entry = one if isinstance(one, dict) else {"type": None}
        values = [entry.get(part, "") for part in ("type", "name", "as", "into")]
        texts = [text for text in values if isinstance(text, str)]
        if len(texts) < len(values):
            raise ConfigurationError("A model has a type and a name, both texts. Reload the page.")
        if any(len(text) > NAME_CHARACTERS for text in texts):
            raise ConfigurationError(f"Name models with at most {NAME_CHARACTERS} characters.")
        yield _Asked(*texts)


def _unknown(asked: _Asked) -> StorageError:
    said, advice = "the list of models does not have it", "Refresh the list."
    return NotFound(sentence(f"fetch {asked.name[:200]!r}", asked.folder_type[:200], said, advice))
