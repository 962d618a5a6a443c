"""Cloud storage nodes for ComfyUI: the door through which ComfyUI loads the package."""

from __future__ import annotations

from pathlib import Path

from . import (
    nodes_browse,
    nodes_files,
    nodes_folder,
    nodes_latent,
    nodes_library,
    nodes_load,
    nodes_models,
    nodes_outbox,
    nodes_profile,
    nodes_save,
    nodes_sync,
    nodes_text,
)
from .comfyui import input_values, node_classes, node_ids, node_replacements, server
from .library import service
from .mirror import service as mirror_service
from .page import routes

_modules = (
    nodes_profile,
    nodes_save,
    nodes_outbox,
    nodes_load,
    nodes_folder,
    nodes_files,
    nodes_text,
    nodes_latent,
    nodes_models,
    nodes_sync,
    nodes_browse,
)
NODE_CLASS_MAPPINGS = {
    node_id: node for module in _modules for node_id, node in module.NODE_CLASS_MAPPINGS.items()
}
NODE_DISPLAY_NAME_MAPPINGS = {
    node_id: name for module in _modules for node_id, name in module.NODE_DISPLAY_NAME_MAPPINGS.items()
}

for _node in (*NODE_CLASS_MAPPINGS.values(), *nodes_library.HIDDEN_NODES.values()):
    input_values.check(_node)

WEB_DIRECTORY = "./web"

_folder = Path(__file__).parent.name
routes.register(_folder)
if service.start():
    node_classes.register_hidden(nodes_library.HIDDEN_NODES, _folder)
mirror_service.start()
node_ids.warn_of_others(NODE_CLASS_MAPPINGS, _folder)
node_replacements.register()
server.when_started(nodes_profile.connect_ahead)

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]
