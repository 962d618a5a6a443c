"""The package's own modules, in the root and in its packages; and what they import."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@functools.cache
def modules() -> dict[str, Path]:
    """Dotted name below the root -> file. A package's ``__init__.py`` is ``storage.__init__``."""
    folders = [path.parent for path in ROOT.glob("*/__init__.py")]
    paths = [*ROOT.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}


def imports(name: str, path: Path) -> tuple[set[str], set[str]]:
    """What a module imports: its own package's modules by their dotted names, and the first names of others.

    Imports inside functions and below TYPE_CHECKING count as well.
    """
    own, foreign = set(), set()
    known = modules()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            foreign |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            foreign.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            parts = name.split(".")[: -node.level]
            base = ".".join([*parts, *(node.module.split(".") if node.module else ())])
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                own.add(inner if inner in known else base)
    return own, foreign
