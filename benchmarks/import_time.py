"""Import of the package as ComfyUI does it, in a process that has torch already: milliseconds, and no SDK
loaded.

Each round is a new process. For comparison, what importing boto3 at that moment would have cost.
Usage: python benchmarks/import_time.py [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = f"""
import sys, time
import torch, asyncio, importlib.util  # ComfyUI has imported these long before custom nodes
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    package, sdk = [], []
    for _ in range(options.rounds):
        answer = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
        ).stdout.split()
        package.append(float(answer[0]))
        sdk.append(float(answer[1]))
        if answer[2:]:
            raise SystemExit(f"import loads {' '.join(answer[2:])}")
    print(
        f"import of the package   {statistics.median(package):6.1f} ms, median of {options.rounds}, no SDK"
    )
    print(f"import of boto3 then    {statistics.median(sdk):6.1f} ms")
    print(f"boto3 / package         {statistics.median(sdk) / statistics.median(package):6.1f}")


if __name__ == "__main__":
    main()
