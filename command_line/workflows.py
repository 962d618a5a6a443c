"""``models pull --workflow``: what workflows name, by the library's table of loaders."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ..comfyui import folders, installation
from ..comfyui.cloud_files import UNCHANGED
from ..errors import ConfigurationError, MediaError
from ..media import workflow_reader
from ..storage.base import ObjectInfo
from ..syncing.plan import FAILED, Result
from .context import Context
from .wish import Wish


class BucketModels:
    """The models of one bucket, as the library's ``missing_models`` asks a catalogue for them."""

    def __init__(self, objects: Sequence[ObjectInfo], prefix: str, profile: str) -> None:
        model = _library("catalogue").Model
        self._models: list[Any] = []
        for info in objects:
            folder, _, name = info.key[len(prefix) :].partition("/")
            if name and not name.endswith("/"):
                native = str(Path(name))
                folder_type = _type_of(folder)
                found = model(
                    folder_type, native, info.key, info.size, info.etag, info.modified, None, profile
                )
                self._models.append(found)

    def models(self) -> Sequence[Any]:
        return self._models

    def find(self, folder_type: str, name: str) -> Any | None:  # noqa: ANN401
        wanted = installation.current_type(folder_type), name.replace("\\", "/")
        return next((one for one in self._models if (one.folder_type, _slashed(one.name)) == wanted), None)

    def stems(self, folder_type: str) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for one in self._models:
            if one.folder_type == installation.current_type(folder_type):
                found.setdefault(PurePosixPath(_slashed(one.name)).stem, []).append(one)
        return found


def _slashed(name: str) -> str:
    return name.replace("\\", "/")


def _type_of(folder: str) -> str:
    """Return the type of a folder below the prefix: its name, or the type that has a folder of this name."""
    known = folders.model_folders()
    if folder in known:
        return folder
    return next(
        (name for name, entry in known.items() if any(path.name == folder for path in entry.folders)), folder
    )


def _library(module: str) -> Any:  # noqa: ANN401
    """Import a module of the library, which knows the loaders."""
    package = __package__.rpartition(".")[0]
    try:
        return importlib.import_module(f"{package}.library.{module}")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "This installation has no table of loaders, which --workflow needs. Update the package."
        ) from error


def wishes(context: Context, files: Sequence[Path], prefix: str, results: list[Result]) -> list[Wish]:
    """Return the models that these files name and this machine lacks. Others are added to ``results``: those
    that are here, and, as failed, those that the bucket does not have and files without a workflow.
    """
    missing_models = _library("missing_models")
    storage = context.storage()
    catalogue = BucketModels(list(storage.list(prefix)), prefix, context.profile_name)
    found: dict[tuple[str, str], Wish] = {}
    for file in files:
        try:
            workflow = workflow_reader.read(file)
        except (MediaError, OSError) as error:
            said = f"{file} cannot be read: {error.strerror}." if isinstance(error, OSError) else str(error)
            results.append(Result(str(file), FAILED, file, str(file), error=said))
            continue
        for named in missing_models.of_workflow(workflow, catalogue):
            name = _slashed(named.name)
            shown = f"{named.folder_type}/{name}"
            if named.state == missing_models.HERE:
                path = installation.full_path(named.folder_type, named.name) or Path(name)
                results.append(Result(shown, UNCHANGED, path, named.model.key if named.model else "", 0))
            elif named.model is None:
                nodes = ", ".join(named.nodes)
                said = (
                    f"{shown} is neither here nor in the bucket ({storage.place}, below {prefix!r}). "
                    f"It is named by node {nodes} of {file.name}."
                )
                results.append(Result(shown, FAILED, Path(name), f"{prefix}{shown}", error=said))
            else:
                found[named.folder_type, name] = Wish(
                    named.folder_type, name, named.model.key, named.model.sha256 or ""
                )
    return list(found.values())
