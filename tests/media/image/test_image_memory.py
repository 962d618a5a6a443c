"""Image files and memory: no more than the result and 300 MB, asked for before it is taken."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cloud_storage import errors
from cloud_storage.comfyui import server
from cloud_storage.media.image import pillow_reader
from cloud_storage.media.image.image_decoder import ImageFile
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import ROOT, run_node
from odd_images import odd_images, saved
from PIL import Image

SPARE_BYTES = 300 << 20
SIDE = 4600  # of a picture whose second copy would already be too much

# Loads each file in a process of its own that has everything imported; prints the result's size and the peak.
MEASURE = """
import importlib.util, json, os, resource, sys
from pathlib import Path
root, *cases = sys.argv[1:]
spec = importlib.util.spec_from_file_location(
    "cloud_storage", root + "/__init__.py", submodule_search_locations=[root]
)
sys.modules["cloud_storage"] = importlib.util.module_from_spec(spec)
from cloud_storage.media.image.image_decoder import ImageFile
from PIL import Image
Image.init()
small = Path(cases.pop(0))
ImageFile(small).decode()
for case in cases:
    how, path = case.split("=", 1)
    sys.stdout.flush()
    if os.fork() == 0:
        before = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        file = ImageFile(Path(path))
        if how == "mask":
            parts = [file.decode_mask("red")]
        else:
            parts = file.decode(first_only=how == "first")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps([case, sum(part.nbytes for part in parts), peak - before]), flush=True)
        os._exit(0)
    os.wait()
"""


def large_files():
    """Name, how it is loaded, content."""
    tiles = np.random.default_rng(1).integers(0, 256, (SIDE // 46, SIDE // 46, 3), np.uint8)
    pixels = tiles.repeat(46, axis=0).repeat(46, axis=1)
    picture = Image.fromarray(pixels)
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = [Image.fromarray(np.roll(pixels[:2000, :2000], 90 * step, 1)).quantize(16) for step in range(8)]
    animation = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=80)
    return [
        ("all", "rgb.png", saved(picture, "PNG", compress_level=1)),
        ("mask", "mask.png", saved(picture, "PNG", compress_level=1)),
        ("all", "palette.png", saved(picture.quantize(16), "PNG", compress_level=1)),
        ("all", "turned.jpg", saved(picture, "JPEG", exif=turned)),
        ("all", "cmyk.tif", saved(picture.convert("CMYK"), "TIFF")),
        ("all", "animation.gif", animation),
        ("first", "animation-first.gif", animation),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_image_and_no_animation_takes_more_than_its_result_and_300_mb(tmp_path):
    (tmp_path / "small.png").write_bytes(odd_images()["rgb.png"])
    cases = []
    for how, name, data in large_files():
        (tmp_path / name).write_bytes(data)
        cases.append(f"{how}={tmp_path / name}")
    command = [sys.executable, "-c", MEASURE, str(ROOT), str(tmp_path / "small.png"), *cases]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    found = {Path(case).name: (size, peak) for case, size, peak in map(json.loads, told.stdout.splitlines())}
    assert len(found) == len(cases)
    assert {name: sizes for name, sizes in found.items() if sizes[1] > sizes[0] + SPARE_BYTES} == {}


@pytest.mark.parametrize("name", ["rgb.png", "rgb.jpg", "animated.gif", "animated.webp", "pages.tif"])
def test_what_does_not_fit_is_refused_before_it_is_decoded_with_the_numbers(monkeypatch, name):
    monkeypatch.setattr(pillow_reader, "fill", lambda *_: pytest.fail("it was decoded"))
    file = ImageFile(odd_images()[name], name, free_bytes=lambda: SPARE_BYTES + 20_000)
    frames = r"4 frames take" if name.startswith(("animated", "pages")) else "it takes"
    with pytest.raises(errors.MediaError, match=rf"{name}.*{frames} \d.* are free for that"):
        file.decode()


def test_further_frames_of_another_size_need_no_memory():
    data = odd_images()["pages-of-two-sizes.tif"]
    pixels = 2 * 37 * 53 * 16
    free = SPARE_BYTES + pixels
    assert len(ImageFile(data, free_bytes=lambda: free).decode()[0]) == 2
    with pytest.raises(errors.MediaError, match="free"):
        ImageFile(data, free_bytes=lambda: free - 1).decode()


@pytest.mark.parametrize(
    ("node_id", "inputs"),
    [
        ("LoadImageFromCloud", {"key": "set/a.png"}),
        ("LoadMaskFromCloud", {"key": "set/a.png"}),
        ("LoadImagesFromCloud", {"prefix": "set/"}),
    ],
)
def test_the_nodes_ask_how_much_memory_is_free(cloud, monkeypatch, node_id, inputs):
    data = io.BytesIO()
    Image.new("RGB", (64, 64)).save(data, "PNG")
    cloud.put("set/a.png", data.getvalue(), PutOptions(), Meter())
    monkeypatch.setattr(server, "free_memory", lambda: 0)
    with pytest.raises(errors.MediaError, match=r"set/a\.png.*GB of memory are free"):
        run_node(node_id, **inputs)
