"""A thousand prompts use three times as many models as the disk may hold, while the process is killed.

Each prompt names one or two models of the bucket; the next one is in the queue already, so that its models
arrive ahead. The process that runs them is killed again and again, at any moment, and started anew. After
each prompt: the files that it named were here, whole, with the right content; copies are within their
budget; and what must not be removed is there: a file of the user's own, a copy that was changed, and a copy
that the bucket does not have any more.

Usage: python benchmarks/library_soak.py [--prompts 1000] [--kills 20] [--models 30] [--seed N]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "stand_in")]
    from package import load_package

    load_package()

import folder_paths  # the stand-in for ComfyUI
import nodes
import server
from cloud_storage.library import catalogue, copies, service
from cloud_storage.library.demand import Demand
from cloud_storage.library.named_models import added_models
from cloud_storage.loading import model_record
from cloud_storage.loading.model_record import Record
from cloud_storage.system.file_fingerprint import Fingerprint
from cloud_storage.system.meter import Meter
from servers.oss_server import OssServer

MODELS = 30
SMALLEST, LARGEST = 40_000, 160_000  # bytes of a model
SECRET = "a secret"
OWN, CHANGED, LOST = "own.safetensors", "changed.safetensors", "lost.safetensors"


@dataclass
class Outcome:
    """What came of it; ``wrong`` is empty if all was as it should be."""

    prompts: int = 0
    kills: int = 0
    fetched: int = 0
    most_used: int = 0
    budget: int = 0
    total: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Loader:
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"lora_name": (folder_paths.get_filename_list("loras"),)}}


class Output:
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"images": ("IMAGE",)}}


def content(number: int) -> bytes:
    """A model, the same at each call."""
    numbers = random.Random(number)
    return numbers.randbytes(numbers.randrange(SMALLEST, LARGEST))


def name(number: int) -> str:
    return f"folder-{number % 3}/model-{number:02}.safetensors"


def host(base: Path) -> None:
    """A stand-in for ComfyUI in this process, with its folders below ``base``."""
    folder_paths.base_path = str(base)
    folder_paths.models_dir = str(base / "models")
    folder_paths.folder_names_and_paths = {
        "loras": ([str(base / "models" / "loras")], folder_paths.supported_pt_extensions)
    }
    nodes.NODE_CLASS_MAPPINGS.update({"LoraLoader": Loader, "SaveImage": Output})
    server.PromptServer.instance = server.PromptServer()


def prompt(numbers: list[int]) -> dict[str, Any]:
    found: dict[str, Any] = {
        str(at): {
            "class_type": "LoraLoader",
            "inputs": {"lora_name": name(number), "model": [str(at + 1), 0]},
        }
        for at, number in enumerate(numbers)
    }
    found["save"] = {"class_type": "SaveImage", "inputs": {"images": ["0", 0]}}
    return found


# ------------------------------------------------------------ the process that runs prompts


def run(base: Path, count: int, seed: int, models: int) -> None:
    """Run prompts until ``count`` are done or the process is killed; prints a line for each."""
    host(base)
    library = service.assembled(catalogue.of_this_comfyui())
    library.catalogue.refresh()
    library.catalogue.wait(Meter())
    queue = server.PromptServer.instance.prompt_queue
    numbers = random.Random(seed)
    waiting: list[tuple[list[int], dict[str, Any]]] = []
    for at in range(count):
        while len(waiting) < 2:
            chosen = numbers.sample(range(models), numbers.choice((1, 1, 2)))
            waiting.append((chosen, library.rewriter({"prompt": prompt(chosen)})["prompt"]))
        queue.currently_running = {at: (at, f"{seed}-{at}", waiting[0][1], {}, [])}
        queue.queue = [(at + 1, f"{seed}-{at + 1}", waiting[1][1], {}, [])]
        library.prefetcher.wake()
        chosen, body = waiting.pop(0)
        for added in added_models(body):
            Demand(library.catalogue, library.fetches, added.folder_type, added.name).meet(Meter())
        print(json.dumps(looked_at(base, chosen)), flush=True)


def looked_at(base: Path, chosen: list[int]) -> dict[str, Any]:
    """What is wrong after a prompt, and how much copies take."""
    folder = base / "models" / "loras"
    wrong = []
    for number in chosen:
        try:
            found = hashlib.sha256((folder / name(number)).read_bytes()).digest()
        except OSError as error:
            wrong.append(f"{name(number)}: {error}")
            continue
        if found != hashlib.sha256(content(number)).digest():
            wrong.append(f"{name(number)} has another content")
    wrong += [f"{one} was removed" for one in (OWN, CHANGED, LOST) if not (folder / one).exists()]
    return {"wrong": wrong, "used": sum(one.size for one in copies.scan().copies)}


# ------------------------------------------------------------ the one that kills it


def prepared(base: Path) -> int:
    """Put files there that must not be removed; returns how many bytes of them count as copies."""
    folder = base / "models" / "loras"
    folder.mkdir(parents=True)
    for one in (OWN, CHANGED, LOST):
        (folder / one).write_bytes(one.encode() * 100)
        if one != OWN:
            mark = Fingerprint.of(folder / one)
            model_record.write(folder / one, Record("bucket", f"models/loras/{one}", '"e"', "", mark))
            os.utime(model_record.record_path(folder / one), (1, 1))
    (folder / CHANGED).write_bytes(b"trained further")
    return (folder / LOST).stat().st_size


def soak(prompts: int, kills: int, models: int = MODELS, seed: int = 0) -> Outcome:
    """Run so many prompts, with so many kills among them."""
    numbers = random.Random(seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, OssServer(("bucket",), credentials={"key": SECRET}) as oss:
        base = Path(folder)
        outcome = Outcome(total=sum(len(content(number)) for number in range(models)))
        outcome.budget = outcome.total // 3 + prepared(base)
        settings = {
            "PROVIDER": "Aliyun OSS",
            "ENDPOINT_URL": oss.url,
            "ACCESS_KEY": "key",
            "SECRET_KEY": SECRET,
            "BUCKET": "bucket",
            "MODELS": "on demand",
            "MODELS_BUDGET_GB": str(outcome.budget / 1e9),
            "MODELS_KEEP_FREE_GB": "0",
        }
        environ = {**os.environ, **{f"COMFY_S3_{key}": value for key, value in settings.items()}}
        fill(environ, models)
        killed_after = {numbers.randrange(prompts) for _ in range(kills)}
        while outcome.prompts < prompts:
            left = prompts - outcome.prompts
            command = [sys.executable, __file__, "--run", str(base), str(left), str(numbers.randrange(10**9))]
            command += ["--models", str(models)]
            with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
                for line in process.stdout or ():
                    said = json.loads(line)
                    outcome.prompts += 1
                    outcome.wrong += said["wrong"]
                    outcome.most_used = max(outcome.most_used, said["used"])
                    if said["used"] > outcome.budget:
                        outcome.wrong.append(f"{said['used']} bytes of {outcome.budget} are used")
                    if outcome.prompts in killed_after:
                        time.sleep(numbers.random() * 0.2)  # at any moment of the next prompt
                        process.send_signal(signal.SIGKILL)
                        outcome.kills += 1
                        break
                process.kill()
            if process.returncode not in (0, -signal.SIGKILL):
                outcome.wrong.append(f"the process ended with {process.returncode}")
                break
    outcome.seconds = time.monotonic() - began
    return outcome


def fill(environ: dict[str, str], models: int) -> None:
    from cloud_storage.profile import resolve
    from cloud_storage.storage.base import PutOptions
    from cloud_storage.storage.connect import connect

    nowhere = Path(tempfile.gettempdir()) / "no profiles.json"
    storage = connect(resolve("", {}, nowhere, environ), environ)
    for number in range(models):
        storage.put(f"models/loras/{name(number)}", content(number), PutOptions(), Meter())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--models", type=int, default=MODELS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", nargs=3, metavar=("FOLDER", "COUNT", "SEED"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        folder, count, seed = given.run
        run(Path(folder), int(count), int(seed), given.models)
        return
    outcome = soak(given.prompts, given.kills, given.models, given.seed)
    print(f"{outcome.prompts} prompts, {outcome.kills} kills, {outcome.seconds:.0f} s")
    print(f"models: {outcome.total:,} bytes; budget {outcome.budget:,}; used at most {outcome.most_used:,}")
    print("\n".join(outcome.wrong) or "Nothing is wrong.")
    sys.exit(bool(outcome.wrong))


if __name__ == "__main__":
    main()
