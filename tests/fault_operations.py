"""The operations of the table of faults: what each needs in the bucket, does through a node, and must give.

A new operation is one row of OPERATIONS: ``tests/test_faults.py`` then makes every fault happen to it, and
the README's table gets its column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import torch
from cloud_storage.storage import Meter, PutOptions
from conftest import run_node
from fault_table import Request
from PIL import Image

IMAGE = torch.rand((1, 96, 96, 3), generator=torch.Generator().manual_seed(5))  # some 27 kB as PNG
PIXELS = (IMAGE[0] * 255).clamp(0, 255).to(torch.uint8)
LISTED_KEYS = 5


@dataclass(frozen=True)
class Operation:
    """One thing that a user does: ``prepare`` puts what it needs into the bucket, ``run`` does it through a
    node, ``is_right`` compares its result or what is in the bucket afterwards.
    """

    request: Request
    prepare: Callable[[Any, str], None]
    run: Callable[[str], Any]
    is_right: Callable[[Any, str, Any], bool]
    objects: int  # in its folder, when it is done


def _nothing(direct: Any, folder: str) -> None:
    pass


def _put_image(direct: Any, folder: str) -> None:
    data = BytesIO()
    Image.fromarray(PIXELS.numpy()).save(data, "PNG")
    digest = hashlib.sha256(data.getvalue()).hexdigest()
    options = PutOptions("image/png", metadata={"sha256": digest})
    direct.put(f"{folder}a.png", data.getvalue(), options, Meter())


def _put_some(direct: Any, folder: str) -> None:
    for number in range(LISTED_KEYS):
        direct.put(f"{folder}{number}.txt", b"x", PutOptions(), Meter())


def _save_image(folder: str) -> Any:
    return run_node("SaveImageToCloud", images=IMAGE, key_prefix=folder, filename="a_%counter%")


def _is_stored(direct: Any, folder: str, result: Any) -> bool:
    (stored,) = direct.list(folder)  # a number that a failed save had reserved is not used again
    image = Image.open(BytesIO(direct.read(stored.key)))
    return image.tobytes() == PIXELS.numpy().tobytes()


def _load_image(folder: str) -> Any:
    return run_node("LoadImageFromCloud", key=f"{folder}a.png")


def _is_loaded(direct: Any, folder: str, result: Any) -> bool:
    return torch.equal((result[0][0] * 255).round().to(torch.uint8), PIXELS)


def _list(folder: str) -> Any:
    return run_node("ListBucketContents", prefix=folder)


def _is_listed(direct: Any, folder: str, result: Any) -> bool:
    return result[1] == [f"{folder}{number}.txt" for number in range(LISTED_KEYS)]


OPERATIONS = {
    "save image": Operation(Request("up", "PUT"), _nothing, _save_image, _is_stored, 1),
    "load image": Operation(Request("down", "GET"), _put_image, _load_image, _is_loaded, 1),
    "list": Operation(Request("list", "GET", "list-type=2"), _put_some, _list, _is_listed, LISTED_KEYS),
}
