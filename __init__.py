"""Cloud storage nodes for ComfyUI: the door through which ComfyUI loads the package."""

from __future__ import annotations

from pathlib import Path

from . import (
    nodes_browse,
    nodes_files,
    nodes_folder,
    nodes_load,
    nodes_models,
    nodes_outbox,
    nodes_profile,
    nodes_save,
)
from .comfyui import input_values, node_ids
from .page import routes

NODE_CLASS_MAPPINGS = {
    **nodes_profile.NODE_CLASS_MAPPINGS,
    **nodes_save.NODE_CLASS_MAPPINGS,
    **nodes_outbox.NODE_CLASS_MAPPINGS,
    **nodes_load.NODE_CLASS_MAPPINGS,
    **nodes_folder.NODE_CLASS_MAPPINGS,
    **nodes_files.NODE_CLASS_MAPPINGS,
    **nodes_models.NODE_CLASS_MAPPINGS,
    **nodes_browse.NODE_CLASS_MAPPINGS,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    **nodes_profile.NODE_DISPLAY_NAME_MAPPINGS,
    **nodes_save.NODE_DISPLAY_NAME_MAPPINGS,
    **nodes_outbox.NODE_DISPLAY_NAME_MAPPINGS,
    **nodes_load.NODE_DISPLAY_NAME_MAPPINGS,
    **nodes_folder.NODE_DISPLAY_NAME_MAPPINGS,
    **nodes_files.NODE_DISPLAY_NAME_MAPPINGS,
    **nodes_models.NODE_DISPLAY_NAME_MAPPINGS,
    **nodes_browse.NODE_DISPLAY_NAME_MAPPINGS,
}

for _node in NODE_CLASS_MAPPINGS.values():
    input_values.check(_node)

WEB_DIRECTORY = "./web"

_folder = Path(__file__).parent.name
routes.register(_folder)
node_ids.warn_of_others(NODE_CLASS_MAPPINGS, _folder)

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]
