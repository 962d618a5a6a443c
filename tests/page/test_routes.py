"""Which routes there are, where they are registered, and where not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.parse

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from cloud_storage.page import routes
from conftest import ROOT, load_package


def test_only_lists_fetches_and_what_waits_can_be_changed(comfyui):
    assert routes.register("comfyui-cloud-storage")
    about_models = {"GET": ("names", "catalogue", "copies", "progress")}
    about_models["POST"] = ("workflow", "fetch", "cancel", "dismiss", "refresh")
    files = {("GET", f"files/{name}") for name in ("profiles", "list", "state", "link", "share")}
    others = files | {("POST", f"files/{name}") for name in ("refresh", "changed")}
    others |= {("GET", "transfers/waiting"), ("POST", "transfers/retry")}
    of_a_bucket = ("thumbnail", "local", "local_thumbnail", "open", "workflow", "test")
    assert {(route.method, route.path) for route in comfyui.routes} == {
        ("GET", "/cloud_storage/setup"),
        ("GET", "/cloud_storage/mirror/state"),
        ("POST", "/cloud_storage/mirror/retry"),
        *(("POST", f"/cloud_storage/setup/{name}") for name in ("test", "save")),
        *(("GET", f"/cloud_storage/{name}") for name in of_a_bucket),
        *((method, f"/cloud_storage/{name}") for method, name in others),
        *(("POST", f"/cloud_storage/{name}") for name in ("send", "drop")),
        ("GET", "/cloud_storage/status"),
        ("POST", "/cloud_storage/cache/clear"),
        *(("GET", f"/cloud_storage/workflows/{name}") for name in ("list", "read")),
        ("POST", "/cloud_storage/workflows/save"),
        *(
            (method, f"/cloud_storage/models/{name}")
            for method, names in about_models.items()
            for name in names
        ),
    }


def test_a_package_that_comfyui_loads_answers_by_itself(comfyui):
    try:
        load_package("cloud_storage_loaded_again")
    finally:
        for name in [name for name in sys.modules if name.startswith("cloud_storage_loaded_again")]:
            del sys.modules[name]
    assert "/cloud_storage/files/list" in [route.path for route in comfyui.routes]


def test_without_a_server_nothing_is_registered_and_aiohttp_is_not_needed():
    program = f"""
import importlib.util, sys
sys.modules["aiohttp"] = None
spec = importlib.util.spec_from_file_location(
    "package", {str(ROOT / "__init__.py")!r}, submodule_search_locations=[{str(ROOT)!r}]
)
package = importlib.util.module_from_spec(spec)
sys.modules["package"] = package
spec.loader.exec_module(package)
assert package.routes.register("comfyui-cloud-storage") is False
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd="/", stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(
    "folder",
    [
        *(
            "comfyui-cloud-storage",
            "comfyui-cloud-storage-main",
            "comfyui-cloud-storage-1.2.0",
            "Cloud_Storage~2",
        ),
        *("a(1)", "a+b", "a@b", "a'b", "a&b", "a,b", "a!b", "a;b", "a=b", "a$b", "a:b"),
        *(
            "comfyui-cloud-storage (1)",
            "comfyui-cloud-storage - Copy",
            "a%b",
            "a%20b",
            "a[1]",
            "a#b",
            "a{b}",
            "ü",
            "云",
        ),
    ],
)
def test_a_folder_that_comfyuis_page_can_load_nothing_from_is_told_in_the_log(
    comfyui, tmp_path, folder, caplog
):
    (tmp_path / "x.js").write_text("")
    app = web.Application()
    app.add_routes([web.static(f"/extensions/{folder}", tmp_path)])  # as ComfyUI's server.py does
    address = f"/extensions/{urllib.parse.quote(folder)}/x.js"  # and its get_extensions
    found = asyncio.run(app.router.resolve(make_mocked_request("GET", address)))
    routes.register(folder)
    assert ("Rename it to comfyui-cloud-storage" in caplog.text) == (found.http_exception is not None)
