"""Cancel of the nodes that download files and sync folders: at once; the next run completes the work."""

from __future__ import annotations

import os
import threading

import pytest
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from comfy import model_management
from conftest import run_node
from result_lists import files_of
from servers.faults import Cut, Fault

MIB = 1 << 20
DATA = os.urandom(MIB) * 40


def press_when(rule):
    def press():
        rule.wait()
        model_management.interrupt_current_processing()

    threading.Thread(target=press).start()


def sync(direction):
    given = {"direction": direction, "folder": "input/data", "prefix": "data/", "unique_id": "3"}
    return run_node("SyncFolderWithCloud", **given)


@pytest.mark.parametrize("node", ["DownloadFileFromCloud", "SyncFolderWithCloud"])
def test_cancel_ends_a_download_and_the_next_run_resumes_it(cloud, proxy, monkeypatch, tmp_path, node):
    cloud.put("data/a.bin", DATA, PutOptions(), Meter())
    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", proxy.url)

    def download():
        if node == "SyncFolderWithCloud":
            return sync("download")
        return run_node(node, key="data/a.bin", subfolder="data", unique_id="3")

    target = tmp_path / "input" / "data" / "a.bin"
    press_when(proxy.add(Fault(Cut("response body", 0.5, "silence"), "GET")))
    with pytest.raises(model_management.InterruptProcessingException):
        download()
    assert not target.exists()
    proxy.clear()
    (file,) = files_of(download())
    assert (file["status"], file["size"]) == ("fetched", len(DATA))
    assert target.read_bytes() == DATA
    assert not list(target.parent.glob("*.part*"))


def test_cancel_ends_an_upload_and_the_next_run_completes_it(cloud, proxy, monkeypatch, tmp_path, fast_place):
    folder = tmp_path / "input" / "data"
    folder.mkdir()
    (folder / "a.bin").write_bytes(DATA)
    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", proxy.url)
    press_when(proxy.add(Fault(Cut("request body", 0.5, "silence"), "PUT")))
    with pytest.raises(model_management.InterruptProcessingException):
        sync("upload")
    proxy.clear()
    gone = threading.Event()
    while fast_place.open_uploads() and not gone.wait(0.05):  # the thread cleans up by itself
        pass
    assert list(cloud.list()) == []
    (file,) = files_of(sync("upload"))
    assert (file["status"], file["size"]) == ("stored", len(DATA))
    assert cloud.read("data/a.bin") == DATA
