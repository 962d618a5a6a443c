"""Stand-in for ``comfy.cli_args``."""

import argparse

args = argparse.Namespace(disable_metadata=False)
