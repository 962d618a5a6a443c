#!/usr/bin/env python3
"""Write web/messages_zh.js anew: every text that the server's part may show on a node, with its Chinese.

    python3 tools/messages.py

A text is a template: ``{}`` stands for what is filled in. Templates are found in the source itself: every
string with words in it that is not a docstring, written to the log, or a text of locales/. New ones get an
empty row, to be filled in by hand; tests/package/test_messages.py tells of them. Rows that nothing says any
more go.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

from environment import ROOT, modules

FILE = ROOT / "web" / "messages_zh.js"
HEAD = """/**
 * What the server's part says, in Chinese: template by template, `{0}` being what stands at the first `{}`.
 *
 * `python3 tools/messages.py` keeps the left side as the source has it. Empty rows are to be translated.
 */

export const MESSAGES = """

WORDS = re.compile(r"[A-Za-z]{2,}[,:.']? |\s[A-Za-z]{2,}")
LETTERS = re.compile("[A-Za-z]")
HOLE = "{}"
OF_ONE_WORD = {"allowed", "possible"}  # messages all the same: of diagnosis.py
SMALLEST = 3  # letters of a template; with fewer it would be found in everything

# Where strings with words in them are no messages, each with its reason.
UNSAID_CALLS = {
    *("count", "seconds", "text_input", "key", "key_prefix"),  # tooltips: they are in locales/
    *("execute", "executemany", "executescript"),  # SQL
    "split",  # a list of names, written in one string
    *("getLogger", "compile", "TypeError", "AssertionError", "NotImplementedError", "Thread"),  # the code's
}
LOGGERS = {"log", "logger", "logging"}
UNSAID_NAMES = {
    *("DESCRIPTION", "OUTPUT_TOOLTIPS", "SEARCH_ALIASES", "NODE_DISPLAY_NAME_MAPPINGS"),  # of locales/
    "tooltip",
    *("_TABLES", "_WRITE"),  # SQL
    "FORBIDDEN",  # names of formats; the reasons beside them have names of their own
}
UNSAID_KEYS = {"tooltip"}
UNSAID_MODULES = {
    "__init__.py",
    *("cloud.py", "installation.py"),  # of the command line
    *("core_loaders.py", "pack_loaders.py", "loader_row.py"),  # names of nodes, and where they are from
}
UNSAID_PACKAGES = {"command_line"}  # whose texts are never on the page
NAMES = re.compile(r"(?:[A-Z(][\w.)]*\s?)+")  # of providers and of exceptions: the same in every language
ANNOTATION = re.compile(r"\w+ \| None|torch\.")
UNSAID = {
    "(env vars)",  # values of inputs: locales/ has what is shown for them
    "(from profile)",
    "new name",
    "object url",
    "keep and stop",
    "keep and go on",
    "load what is there",
    *("GCS (S3 interop)", "IDrive e2"),  # names
    *("HTTPClientError RequestException HTTPError gaierror", "gaierror NameResolutionError"),
    *("object at 0x", "[object Object]"),  # of a repr, and what JavaScript makes of an object
    "what the server said is in the message of the error that follows",  # of a chain, in the log
    "Node name for S&R",  # of ComfyUI's own
    "<[^<>]* object at 0x[0-9a-fA-F]+>:",  # a regular expression
    "<Credentials from {}>",  # a repr
    "private, max-age={}",  # a header
    *("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}", "{} HTTP/1.1"),  # of a request
    "%Y-%m-%d %H:%M:%S UTC",
    *("in the bucket", "base name"),  # values for the page, which has its own words for them
    "on demand",  # a setting
    *("no date of the listing", "not a date: {}", "not an object: {}"),  # in the log
    "its check fails",  # in the log
    "core, comfy/sd1_clip.py",  # where something is from
    # Of an enum, never shown:
    "every object: the network, the server, the bucket, the access key or the settings",
    *(
        "one object: its name, its size or its content",
        "the objects of a policy, or an unknown number of objects",
    ),
}


def templates(source: str) -> Iterator[str]:
    """Every template of one module, in the order of the source."""
    yield from _of(ast.parse(source))


def _of(node: ast.AST) -> Iterator[str]:
    if _is_unsaid(node):
        return
    if isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
        yield from _told(text)
        for part in node.values:  # a text may be filled in that is chosen on the spot
            if isinstance(part, ast.FormattedValue):
                yield from _of(part.value)
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from _told(node.value)
        return
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if not (isinstance(key, ast.Constant) and key.value in UNSAID_KEYS):
                yield from _of(value)
        return
    for child in ast.iter_child_nodes(node):
        yield from _of(child)


def _is_logger(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id.lower() in LOGGERS


def _is_unsaid(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):  # a docstring, or another string that nobody takes
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_logger(node.func.value):
        return True
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return name in UNSAID_CALLS
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
        return bool(names & UNSAID_NAMES)
    return isinstance(node, ast.AnnAssign) and node.value is None


def _told(text: str) -> Iterator[str]:
    """A text's lines, without the space around them; those that say something."""
    for line in map(str.strip, text.splitlines()):
        if line in UNSAID or NAMES.fullmatch(line) or ANNOTATION.search(line):
            continue
        if line in OF_ONE_WORD or (WORDS.search(line) and len(LETTERS.findall(line)) >= SMALLEST):
            yield line


def all_templates() -> list[str]:
    """Every template of the package, sorted, each once."""
    return sorted(
        {
            each
            for path in modules(ROOT)
            if path.name not in UNSAID_MODULES and path.parent.name not in UNSAID_PACKAGES
            for each in templates(path.read_text(encoding="utf-8"))
        }
    )


def rows() -> dict[str, str]:
    """The table as it stands."""
    return dict(json.loads(FILE.read_text(encoding="utf-8").partition("MESSAGES = ")[2]))


def main() -> None:
    old = rows() if FILE.exists() else {}
    new = {template: old.get(template, "") for template in all_templates()}
    FILE.write_text(HEAD + json.dumps(new, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    empty = [template for template, chinese in new.items() if not chinese]
    print(f"{FILE}: {len(new)} texts, {len(empty)} of them without Chinese")
    for template in empty:
        print(f"  {template}")


if __name__ == "__main__":
    main()
