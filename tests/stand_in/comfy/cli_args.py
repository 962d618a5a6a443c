"""Stand-in for ``comfy.cli_args``."""

import argparse

args = argparse.Namespace(disable_metadata=False, listen="127.0.0.1")
