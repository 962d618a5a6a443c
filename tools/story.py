"""What the try-out shows: pictures saved, listed, loaded, compared and shared by the node classes that
ComfyUI runs.

The package is loaded by path, as ComfyUI does it; the tests' stand-in takes ComfyUI's own place. Nothing is
printed that was not looked at: a picture that comes back different, or a link that does not open, ends the
story with ✗."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import io
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from environment import ROOT

WORKFLOW = ROOT / "example_workflows" / "save-and-share.json"
PICTURES, SIDE = 4, 512
FILENAME = "tryout_%counter%"
HTTP_OK, HTTP_FORBIDDEN = 200, 403


class Surprise(Exception):
    """Something that the package promises did not happen."""


class Nodes:
    """The package's nodes, called as ComfyUI calls them."""

    def __init__(self, package: ModuleType) -> None:
        self._classes: Mapping[str, Any] = package.NODE_CLASS_MAPPINGS
        self._names: Mapping[str, str] = package.NODE_DISPLAY_NAME_MAPPINGS
        self._told = 0

    def title(self, node: str, what_for: str) -> None:
        """Begin a chapter with the node's name as ComfyUI shows it."""
        self._told += 1
        print(f"\n{self._told}  {self._names[node]}: {what_for}", flush=True)

    def call(self, node: str, **inputs: Any) -> Any:  # noqa: ANN401  a node's own inputs and outputs
        """Run a node and return its outputs, in order."""
        kind = self._classes[node]
        outcome = getattr(kind(), kind.FUNCTION)(**inputs)
        if inspect.iscoroutine(outcome):
            outcome = asyncio.run(outcome)
        return outcome["result"] if isinstance(outcome, dict) else outcome


def tell(settings: Mapping[str, str], folder: Path) -> int:
    """Run the example on the server that ``settings`` name; 0 when all went as promised.

    ``folder`` gets the folders that ComfyUI would have. The process's own COMFY_S3_… variables are replaced:
    somebody's bucket is no place for a try-out."""
    for name in [name for name in os.environ if name.startswith("COMFY_S3_")]:
        del os.environ[name]
    os.environ.update(settings)
    nodes = Nodes(load_package(folder))
    try:
        _story(nodes, settings)
    except Surprise as surprise:
        print(f"\n✗ {surprise}.", flush=True)
        return 1
    return 0


def _story(nodes: Nodes, settings: Mapping[str, str]) -> None:
    nodes.title("CloudStorageProfile", "which bucket; the keys stay in the environment")
    (profile,) = nodes.call("CloudStorageProfile", profile="(env vars)")
    _say(str(profile))

    pictures = _pictures()
    nodes.title("SaveImageToCloud", f"a batch of {PICTURES} pictures, the workflow inside")
    keys = _save(nodes, pictures, profile)
    _say(*keys)

    nodes.title("ListBucketContents", "what is there: key, bytes, date")
    listing, listed, _count = nodes.call("ListBucketContents", profile=profile)
    _say(*listing.splitlines())
    _expect(listed == keys, "The list is not what was saved")

    nodes.title("LoadImageFromCloud", "each of them, compared with what was saved")
    for key, picture in zip(keys, pictures, strict=True):
        image, _mask = nodes.call("LoadImageFromCloud", key=key, profile=profile)
        _expect(bool((image == picture[None]).all()), f"{key} came back different")
        _say(f"{key}  {image.shape[2]} × {image.shape[1]}, equal in every bit")

    nodes.title("SaveImageToCloud", "the same batch again; what exists is never replaced")
    again = _save(nodes, pictures, profile)
    _expect(not set(again) & set(keys), "A name was used twice")
    _say(*again)
    listing_now, _listed, _count = nodes.call("ListBucketContents", profile=profile)
    _expect(listing_now.startswith(f"{listing}\n"), "The second save touched the objects of the first")

    nodes.title("GeneratePresignedURL", "links that open in any browser, for 24 hours")
    for key in keys:
        (url,) = nodes.call("GeneratePresignedURL", key=key, expires_hours=24, profile=profile)
        _say(url, f"    {_opened(url)}")
    plain = f"{settings['COMFY_S3_ENDPOINT_URL']}/{settings['COMFY_S3_BUCKET']}/{keys[0]}"
    status, _, _ = _get(plain)
    _expect(status == HTTP_FORBIDDEN, f"The private object opened without a signature: HTTP {status}")
    _say(f"without its signature, the first one answers HTTP {status}: the bucket is private")

    nodes.title("TestCloudConnection", "what this profile may do")
    (report,) = nodes.call("TestCloudConnection", profile=profile)
    _say(*report.splitlines())
    _expect("✗" not in report, "The connection test failed")


def _save(nodes: Nodes, pictures: Any, profile: object) -> list[str]:  # noqa: ANN401  torch is imported late
    prompt = {"1": {"class_type": "SaveImageToCloud", "inputs": {"filename": FILENAME}}}
    workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    _urls, keys, _images = nodes.call(
        "SaveImageToCloud",
        images=pictures,
        filename=FILENAME,
        profile=profile,
        prompt=prompt,
        extra_pnginfo={"workflow": workflow},
        unique_id="1",
    )
    return list(keys)


def _pictures() -> Any:  # noqa: ANN401
    """A batch [PICTURES, SIDE, SIDE, 3] of float32 from 0 to 1, each value one of 256, as an 8-bit file can
    hold it."""
    import torch  # a second, and only in the environment

    ramp = torch.arange(SIDE, dtype=torch.float32) / (SIDE - 1)
    x, y = ramp[None, :].expand(SIDE, SIDE), ramp[:, None].expand(SIDE, SIDE)
    batch = []
    for number in range(PICTURES):
        distance = torch.hypot(x - 0.2 - 0.2 * number, y - 0.5)
        rings = 0.5 + 0.5 * torch.cos(40 * distance)
        batch.append(torch.stack((rings * (1 - y), 0.3 + 0.5 * rings * x, 0.5 + 0.4 * y), dim=-1))
    return (torch.stack(batch) * 255).round() / 255


def _opened(url: str) -> str:
    """What a browser gets at ``url``, and the workflow that is found in it."""
    from PIL import Image

    status, content_type, data = _get(url)
    _expect(status == HTTP_OK, f"A link answered HTTP {status}")
    with Image.open(io.BytesIO(data)) as image:
        workflow = json.loads(image.text["workflow"])
    inside = f"a workflow of {len(workflow['nodes'])} nodes inside"
    return f"HTTP {status}, {content_type}, {len(data):,} bytes, {inside}"


def _get(url: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.headers.get_content_type(), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get_content_type(), b""


def load_package(folder: Path) -> ModuleType:
    """The package, loaded by path in a ComfyUI that is the tests' stand-in; ``folder`` holds its folders."""
    sys.path.append(str(ROOT / "tests" / "stand_in"))
    import folder_paths

    folder_paths.base_path = str(folder)
    spec = importlib.util.spec_from_file_location(
        "cloud_storage", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{ROOT} cannot be loaded as a package")
    package = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = package
    spec.loader.exec_module(package)
    return package


def _say(*lines: str) -> None:
    for line in lines:
        print(f"   {line}", flush=True)


def _expect(kept: bool, otherwise: str) -> None:
    if not kept:
        raise Surprise(otherwise)
