"""Every fault of the table, made by a real proxy before a real server, for every operation on both backends.

Each cell ends in the right result, or in a clear error with nothing lost; none is skipped.
"""

from __future__ import annotations

import os
import re
import threading
import urllib.parse
from collections import OrderedDict
from typing import Any

import pytest
from cloud_storage import errors
from cloud_storage.comfyui import folders
from cloud_storage.loading import is_changed
from cloud_storage.saving.outbox import Outbox
from cloud_storage.storage import connect, connection_watch, http, listing_pages, retries
from cloud_storage.storage.base import PutOptions
from cloud_storage.storage.connect import BACKENDS, storage_of
from cloud_storage.storage.oss import client as oss_client
from cloud_storage.storage.s3 import client as s3_client
from cloud_storage.storage.s3 import kept_connection
from cloud_storage.system.meter import Meter
from conftest import _oss, make_place, outputs_of, own_prefix
from fault_operations import OPERATIONS
from fault_table import ERROR, KEPT, LISTED, LOADED, STORED, TABLE, Line
from servers.fault_proxy import FaultProxy
from servers.ministack import MiniStack
from servers.s3_server import started

# ------------------------------------------------------------ the line


def _s3(folder):
    return started(lambda folder: MiniStack(folder, auth=False, persistent=True), folder)


SERVERS = {"s3": ("ministack-http", _s3), "oss": ("oss-http", _oss)}


@pytest.fixture(scope="module", params=BACKENDS)
def place(request, tmp_path_factory):
    """A bucket on a server of its own, whose objects outlive restarts."""
    name, start = SERVERS[request.param]
    folder = tmp_path_factory.mktemp("servers")
    with start(folder) as server:
        yield make_place(name, lambda kind: server, folder / "profiles.json")


@pytest.fixture(scope="module")
def line(place):
    target = urllib.parse.urlsplit(place.environ["COMFY_S3_ENDPOINT_URL"])
    with FaultProxy(target.hostname, target.port) as proxy:

        def restart():
            place.server.restart()
            if place.is_oss:
                url = urllib.parse.urlsplit(place.server.url)
                place.environ["COMFY_S3_ENDPOINT_URL"] = place.server.url
                proxy.upstream = (url.hostname, url.port)

        yield Line(proxy, restart)


@pytest.fixture(autouse=True)
def user(comfyui, place, line, monkeypatch, impatient):
    """Somebody whose ComfyUI reaches the server through the line, and who has no time to wait."""
    for name in ("PACE_MIN_SECONDS", "PACE_MAX_SECONDS"):
        monkeypatch.setattr(retries, name, 0.001)
    monkeypatch.setattr(http, "PAGE_KEYS", 2)  # so that a listing has several requests
    monkeypatch.setattr(listing_pages, "EMPTY_PAGES_MAX", 5)
    monkeypatch.setattr(is_changed, "_memories", {})
    for name, value in place.settings({"endpoint_url": line.proxy.url, "path_prefix": "calm/"}).items():
        monkeypatch.setenv(name, value)
    yield
    if line.proxy._listener is None:
        line.proxy.resume()
    line.proxy.clear()


PATIENCE = [
    (module, name, getattr(module, name))
    for module, name in (
        (s3_client, "READ_SECONDS"),
        (kept_connection, "READ_SECONDS"),
        (oss_client, "READ_SECONDS"),
        (connection_watch, "SLOW_SECONDS"),
        (connection_watch, "SILENT_SECONDS"),
    )
]
HASTY_SECONDS = 0.3  # of silence; a healthy answer that takes longer on a busy machine is tried again

CELLS = [(fault, operation) for fault in TABLE for operation in OPERATIONS]


@pytest.mark.parametrize(("fault", "name"), CELLS, ids=[f"{fault}-{name}" for fault, name in CELLS])
def test_the_right_result_or_a_clear_error_and_nothing_lost(place, line, monkeypatch, tmp_path, fault, name):
    row, operation = TABLE[fault], OPERATIONS[name]
    if row.hasty:
        for module, seconds, _ in PATIENCE:
            monkeypatch.setattr(module, seconds, HASTY_SECONDS)
        monkeypatch.setattr(connect, "_open", OrderedDict())  # with clients of its own
    direct = place.open(path_prefix=os.environ["COMFY_S3_PATH_PREFIX"])
    folder = own_prefix()
    operation.prepare(direct, folder)
    rule = row.begin(line, operation.request)
    helper = threading.Thread(target=getattr(rule, "helper", lambda: None))
    helper.start()
    if row.patient:  # however long a busy machine takes

        def wait(*_):
            if rule.happened:
                helper.join()
            return 0.0

        monkeypatch.setattr(retries.RetryPolicy, "backoff", wait)
    outcome = row.outcome(name, operation.request)
    result = None
    if outcome in (KEPT, ERROR):
        with pytest.raises(errors.StorageError) as told:
            operation.run(folder)
        assert_clear(str(told.value), place)
    else:
        result = operation.run(folder)
    unnoticed = row.of_listings and outcome not in (KEPT, ERROR)
    assert rule is None or rule.happened or unnoticed, "the fault did take place"
    helper.join()
    if line.proxy._listener is None:
        line.proxy.resume()
    line.proxy.clear()
    if row.hasty:  # what follows is to succeed on a busy machine too
        for module, seconds, patience in PATIENCE:
            monkeypatch.setattr(module, seconds, patience)
        monkeypatch.setattr(connect, "_open", OrderedDict())
    direct = place.open(path_prefix=os.environ["COMFY_S3_PATH_PREFIX"])
    box = Outbox(folders.outbox_folder())
    assert len(box.contents().entries) == (outcome == KEPT)
    if outcome == KEPT:
        assert outputs_of("RetryPendingUploads")[:2] == (1, 0)
    elif outcome == ERROR:
        whole = [direct.read(info.key) for info in direct.list(folder)]
        left = [path for path in folders.temp_folder().rglob("*") if path.is_file()]
        assert [path for path in left if path.read_bytes() not in whole] == [], "no half file"
        result = operation.run(folder)
    assert operation.is_right(direct, folder, result)
    assert len(list(direct.list(folder))) == operation.objects, "once and no more"
    assert box.is_empty
    if operation.request.direction != "up":  # what a process that was killed has left, the next upload ends
        storage_of(None, folders.profiles_file()).put(f"next-{folder}a", b"", PutOptions(), Meter())
    assert place.open_uploads() == []


def assert_clear(said: str, place: Any) -> None:
    """A message says what was tried, where, what came back and what to do, and holds no secret."""
    assert re.match(r"Could not .+ \(.+\): .+\. [A-Z].+", said), said
    assert place.secret not in said or place.secret == "test"
    assert "Signature=" not in said


def test_every_row_and_every_direction_has_an_outcome():
    right = {"up": STORED, "down": LOADED, "list": LISTED}
    for row in TABLE.values():
        for name, operation in OPERATIONS.items():
            direction = operation.request.direction
            failed = KEPT if direction == "up" else ERROR
            assert row.outcome(name, operation.request) in (right[direction], failed, ERROR)
