"""Import of the package as ComfyUI does it, in a process that has torch already: milliseconds, and no SDK
loaded.

Each round is a new process, with compiled modules from an earlier one, as at every start but the first. For
comparison, what importing boto3 at that moment would have cost.
Usage: python benchmarks/import_time.py [--rounds N]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = f"""
import sys, time
import torch, asyncio, gc, importlib.util  # ComfyUI has imported these long before custom nodes
gc.collect()
gc.freeze()  # else a collection of torch's objects may fall into one of the two, and not into the other
began = time.perf_counter()
spec = importlib.util.spec_from_file_location("pack", {str(ROOT / "__init__.py")!r})
module = importlib.util.module_from_spec(spec)
sys.modules["pack"] = module
spec.loader.exec_module(module)
package = time.perf_counter() - began
loaded = sorted({{"boto3", "botocore", "oss2", "PIL", "av"}} & set(sys.modules))
began = time.perf_counter()
import boto3
boto3.session.Session()
print(package * 1000, (time.perf_counter() - began) * 1000, *loaded)
"""


def _run(environ: dict[str, str]) -> list[str]:
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout.split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    package, sdk = [], []
    with tempfile.TemporaryDirectory() as compiled:
        environ = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        answers = [_run(environ) for _ in range(options.rounds + 1)][1:]
    for answer in answers:
        package.append(float(answer[0]))
        sdk.append(float(answer[1]))
        if answer[2:]:
            raise SystemExit(f"import loads {' '.join(answer[2:])}")
    print(f"import of the package   {statistics.median(package):6.1f} ms, median of {options.rounds}, no SDK")
    print(f"import of boto3 then    {statistics.median(sdk):6.1f} ms")
    print(f"boto3 / package         {statistics.median(sdk) / statistics.median(package):6.1f}")


if __name__ == "__main__":
    main()
