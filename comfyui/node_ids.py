"""Warns if another custom node folder has the same node ids: ComfyUI then uses the nodes that it loaded
last.
"""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from collections.abc import Mapping

from . import server

log = logging.getLogger("cloud_storage")


def warn_of_others(ours: Mapping[str, type], package_folder: str) -> None:
    """Write a line to ComfyUI's log for each folder that has registered one of our ids, before us or after
    us: now, and again when the server starts. Raises nothing and changes no node.
    """
    _warn(ours, package_folder, ours_are_used=True)
    server.when_started(lambda: _warn(ours, package_folder, ours_are_used=False))


def _warn(ours: Mapping[str, type], package_folder: str, *, ours_are_used: bool) -> None:
    try:
        registered = getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", {})
        found = defaultdict(list)
        for node_id, node in ours.items():
            if registered.get(node_id, node) is not node:
                other = registered[node_id]
                # nodes.py, load_custom_node: "custom_nodes.<folder>"
                folder = str(getattr(other, "RELATIVE_PYTHON_MODULE", getattr(other, "__module__", other)))
                found[folder].append(node_id)
        found.pop(f"custom_nodes.{package_folder}", None)  # this package, loaded again
        for folder, ids in found.items():
            log.warning(
                "%s also has the nodes %s. ComfyUI uses those of %s. Remove one of the two folders from "
                "custom_nodes and restart ComfyUI.",
                folder,
                ", ".join(ids),
                "this package" if ours_are_used else "the other folder",
            )
    except Exception as error:  # noqa: BLE001  a missing warning must not stop ComfyUI
        log.debug("Could not compare the node ids with those of other packages: %s", error)
