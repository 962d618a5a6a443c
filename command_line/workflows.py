"""``models pull --workflow``: what workflows name, by the library's table of loaders."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from ..comfyui import folders, installation, node_classes
from ..comfyui.cloud_files import UNCHANGED
from ..errors import ConfigurationError, MediaError
from ..library import missing_models
from ..library.catalogue import Index
from ..library.named_models import slashed
from ..media import workflow_reader
from ..storage.base import Storage
from ..syncing.plan import FAILED, Result
from .context import Context
from .wish import Wish


def _of_bucket(storage: Storage, prefix: str, profile: str) -> Index:
    """The models of the bucket. Each folder below the prefix is a type: an empty machine does not know those
    that packages of nodes register.
    """
    objects = list(storage.list(prefix))
    for folder in {info.key[len(prefix) :].partition("/")[0] for info in objects}:
        with contextlib.suppress(ConfigurationError):  # it is the folder of something else
            installation.add_type(folder)
    return Index([(profile, prefix, objects)])


def wishes(context: Context, files: Sequence[Path], prefix: str, results: list[Result]) -> list[Wish]:
    """Return the models that these files name and this machine lacks. Others are added to ``results``: those
    that are here, and, as failed, those that the bucket does not have and files without a workflow.
    """
    storage = context.storage()
    catalogue = _of_bucket(storage, prefix, context.profile_name)
    found: dict[tuple[str, str], Wish] = {}
    for file in files:
        try:
            workflow = workflow_reader.read(file)
        except (MediaError, OSError) as error:
            said = f"{file} cannot be read: {error.strerror}." if isinstance(error, OSError) else str(error)
            results.append(Result(str(file), FAILED, file, str(file), error=said))
            continue
        for named in missing_models.of_workflow(workflow, catalogue):
            name = slashed(named.name)
            shown = f"{named.folder_type}/{name}"
            if named.state == missing_models.HERE:
                path = folders.model_path(named.folder_type, named.name) or Path(name)
                results.append(Result(shown, UNCHANGED, path, named.model.key if named.model else "", 0))
            elif named.model is None:
                nodes = ", ".join(named.nodes)
                said = (
                    f"{shown} is neither here nor in the bucket ({storage.place}, below {prefix!r}). "
                    f"It is named by node {nodes} of {file.name}."
                )
                results.append(Result(shown, FAILED, Path(name), f"{prefix}{shown}", error=said))
            else:
                if not node_classes.looks_like_a_model(name):  # a word of a text, as in <lora:ink:1>
                    name = slashed(named.model.name)
                found[named.folder_type, name] = Wish(named.folder_type, name, named.model.key)
    return list(found.values())
