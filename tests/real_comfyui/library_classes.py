"""Prints, as JSON, which inputs of ComfyUI's own node classes list models, and what the rule says of them.

Run by ComfyUI's Python in its folder, with the folder of the package. Each list of ``folder_paths`` is one
name that tells its type, by way of the cache that ComfyUI has for /object_info: so nothing is missed where
folders are empty.
"""

import asyncio
import importlib.util
import json
import re
import sys
import tempfile
from pathlib import Path

root, sys.path[0] = Path(sys.argv[1]), str(Path.cwd())
sys.argv = [sys.argv[0], "--cpu", "--base-directory", tempfile.mkdtemp()]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import folder_paths  # noqa: E402
import nodes  # noqa: E402

asyncio.run(nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False))
spec = importlib.util.spec_from_file_location(
    "package", root / "__init__.py", submodule_search_locations=[str(root)]
)
package = importlib.util.module_from_spec(spec)
sys.modules["package"] = package
spec.loader.exec_module(package)
from package.comfyui import node_classes  # noqa: E402
from package.library import loaders  # noqa: E402

found = []
for node_class, node in nodes.NODE_CLASS_MAPPINGS.items():
    with folder_paths.cache_helper:
        for name in folder_paths.folder_names_and_paths:
            folder_paths.cache_helper.cache[name] = ([f"the {name} one.safetensors"], {}, 0.0)
        declared = node.INPUT_TYPES()
    for group in ("required", "optional"):
        for name, kind in declared.get(group, {}).items():
            types = re.findall(r"the (\w+) one\.safetensors", repr(kind))
            if types:
                rule = node_classes.model_lists(node_class).get(name, ())
                found.append(
                    {
                        "node": node_class,
                        "input": name,
                        "types": sorted(set(types)),
                        "table": loaders.inputs_of(node_class).get(name, ()),
                        "rule": rule,
                    }
                )
print(json.dumps(found))
