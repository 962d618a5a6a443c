"""The command line: ``python cloud.py --help``. It is documented in docs/command-line.md.

Python puts the folder of a script on ``sys.path``, where our ``profile.py`` would hide the one of the
standard library: it is taken off before anything else is imported. The package is then loaded by its path,
without its ``__init__``, which would load the nodes.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  pathlib is not imported yet
sys.path[:] = [entry for entry in sys.path if entry and os.path.realpath(entry) != os.path.realpath(HERE)]


def main() -> int:
    """Run the command of ``sys.argv`` and return its exit code."""
    import importlib
    import types

    package = types.ModuleType("cloud_storage")
    package.__path__ = [HERE]
    sys.modules["cloud_storage"] = package
    return int(importlib.import_module("cloud_storage.command_line.main").main(sys.argv[1:], HERE))


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:  # of the moment before a command handles it
        code = 130
    sys.exit(code)
