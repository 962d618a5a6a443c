"""Loads the package by path under the name ``cloud_storage``, as the tests do."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent


# Beside it a storage notes its unfinished uploads: not in the folder that a benchmark is started from.
PROFILES_FILE = Path(tempfile.gettempdir()) / "cloud_storage_benchmarks" / "profiles.json"


def load_package(name: str = "cloud_storage") -> ModuleType:
    """The package as a module called ``name``."""
    spec = importlib.util.spec_from_file_location(
        name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
