"""Loads the package by path, as ComfyUI does, under the name ``cloud_storage``; the root stays off
``sys.path``.

``place`` is a bucket on each real server in turn, opened the way users open one: settings, ``resolve``,
``connect``.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import sys
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAND_IN = ROOT / "tests" / "stand_in"


def load_package(name: str = "cloud_storage"):
    """The package as a module called ``name``, loaded the way ``nodes.load_custom_node`` does it."""
    spec = importlib.util.spec_from_file_location(
        name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
sys.path.append(str(STAND_IN))
load_package()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--real-files",
        action="store_true",
        help="download the files that other packages are tested with, and load each of them",
    )


# What takes long, or needs a server, a browser or another program; the rest is quick.
NEEDS_A_SERVER = {"servers", "server", "proxy", "browser", "core", "line"}
NOT_QUICK = (
    "media/",
    "faults/",
    "servers/",
    "browser/",
    "real_comfyui/",
    "real_files/",
    "saving/test_outbox.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        below = item.path.relative_to(ROOT / "tests").as_posix()
        if not below.startswith(NOT_QUICK) and not NEEDS_A_SERVER & set(getattr(item, "fixturenames", ())):
            item.add_marker("quick")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Any:
    """What a test logs may be no Unicode, and a process that shares the tests has to send it to another."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections
    ]
    return report


SECRET = "a-secret-nobody-may-read"  # of the OSS stand-in server
PLACES = (
    *("ministack-http", "ministack-https", "ceph-http", "ceph-https", "oss-http", "oss-https"),
    *("ministack-http-direct", "ceph-http-direct", "ceph-https-direct"),
)


@dataclass
class Place:
    """A bucket on a running server: ``environ`` holds the settings that a user would export."""

    name: str
    server: Any
    environ: dict[str, str]
    file: Path
    opened: list[Any] = field(default_factory=list)

    @property
    def is_oss(self) -> bool:
        return self.name.startswith("oss")

    @property
    def bucket(self) -> str:
        return self.environ["COMFY_S3_BUCKET"]

    @property
    def secret(self) -> str:
        return self.environ["COMFY_S3_SECRET_KEY"]

    def settings(self, changes: Mapping[str, str]) -> dict[str, str]:
        return {**self.environ, **{f"COMFY_S3_{name.upper()}": value for name, value in changes.items()}}

    def profile(self, **changes: str):
        """The resolved profile with some settings changed."""
        from cloud_storage import profile

        return profile.resolve("", {}, self.file, self.settings(changes))

    def open(self, **changes: str):
        """A storage with some settings changed."""
        from cloud_storage.storage import connect

        opened = connect.connect(self.profile(**changes), self.settings(changes))
        if self.name.endswith("-direct"):  # from the first request on, as later ones go
            from cloud_storage.storage.s3.direct import Address

            region = "" if changes.get("auth") == "anonymous" else self.environ["COMFY_S3_REGION"]
            opened._direct.address = Address(opened._base(), region, "test")
            session, pool = opened._client._endpoint.http_session, opened._direct._pool
            session._setup_ssl_cert(pool, opened._base(), session._verify)
            connection = pool._get_conn()
            with contextlib.suppress(Exception):  # a server that is not there
                connection.connect()
            pool._put_conn(connection)
        return opened

    def open_uploads(self) -> list[str]:
        """Keys of the multipart uploads that were begun and neither completed nor aborted."""
        if self.is_oss:
            return list(self.server.open_uploads(self.bucket))
        answer = self.server.client().list_multipart_uploads(Bucket=self.bucket)
        return [upload["Key"] for upload in answer.get("Uploads", [])]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """``servers(kind)`` starts a server once and gives it to everybody who asks."""
    running: dict[str, Any] = {}
    with ExitStack() as stack:

        def get(kind: str):
            if kind not in running:
                from servers.ceph import CephRgw
                from servers.ministack import MiniStack
                from servers.s3_server import started

                folder = tmp_path_factory.mktemp(kind)
                if kind == "ministack":
                    running[kind] = stack.enter_context(started(MiniStack, folder))
                elif kind == "ceph":
                    running[kind] = stack.enter_context(started(CephRgw, folder))
                else:
                    running[kind] = stack.enter_context(_oss(folder))
            return running[kind]

        yield get


def _oss(folder: Path) -> Any:
    from servers.certificates import certificates
    from servers.oss_server import OssServer

    made = certificates(folder)
    server = OssServer(("bucket",), credentials={"LTAI-test": SECRET}, certificate=made.server_context())
    server.certificates = made
    return server


@pytest.fixture(scope="session", params=PLACES)
def place(request: pytest.FixtureRequest, servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_place(request.param, servers, tmp_path_factory.mktemp("user") / "profiles.json")


@pytest.fixture(scope="session", params=("ministack-http", "oss-http"))
def fast_place(
    request: pytest.FixtureRequest, servers: Any, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    """One bucket per backend, for what does not depend on the server."""
    return make_place(request.param, servers, tmp_path_factory.mktemp("user") / "profiles.json")


def make_place(name: str, servers: Any, file: Path) -> Place:
    kind, scheme, *_ = name.split("-")
    tls = scheme == "https"
    server = servers(kind)
    if kind == "oss":
        environ = {
            "PROVIDER": "Aliyun OSS",
            "ENDPOINT_URL": server.tls_url if tls else server.url,
            "ACCESS_KEY": "LTAI-test",
            "SECRET_KEY": SECRET,
            "BUCKET": "bucket",
        }
    else:
        environ = {
            "PROVIDER": "Custom",
            "ENDPOINT_URL": server.tls_endpoint_url if tls else server.endpoint_url,
            "ACCESS_KEY": server.keys.access_key,
            "SECRET_KEY": server.keys.secret_key,
            "BUCKET": server.create_bucket(),
            "REGION": server.region,
        }
    environ["CA_FILE"] = str(server.certificates.authority) if tls else ""
    return Place(name, server, {f"COMFY_S3_{key}": value for key, value in environ.items() if value}, file)


def own_prefix() -> str:
    """A prefix that no other test uses, in digits: letters at random spell words that faults look for."""
    return f"t-{uuid.uuid4().int % 10**12:012}/"


def model_types(models: Path) -> dict[str, tuple[list[str], set[str]]]:
    """Some of the types that ComfyUI has, in its order, the last one as a node package registers one."""
    import folder_paths

    weights = folder_paths.supported_pt_extensions
    return {
        "checkpoints": ([str(models / "checkpoints")], weights),
        "configs": ([str(models / "configs")], {".yaml"}),
        "loras": ([str(models / "loras")], weights),
        "vae": ([str(models / "vae")], weights),
        "diffusion_models": ([str(models / "unet"), str(models / "diffusion_models")], weights),
        "diffusers": ([str(models / "diffusers")], {"folder"}),
        "custom_nodes": ([str(models.parent / "custom_nodes")], set()),
        "ipadapter": ([str(models / "ipadapter")], set()),
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """This machine's Chromium. Where there is none, its tests are skipped, or fail where CI is set."""
    from servers import chromium
    from servers.processes import ServerUnavailable

    with ExitStack() as stack:
        try:
            running = stack.enter_context(chromium.browser())
        except ServerUnavailable as error:
            pytest.fail(str(error)) if os.environ.get("CI") else pytest.skip(str(error))
        yield running


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of its own in the browser; a fault in it fails the test."""
    from servers import chromium

    with chromium.page(browser) as page:
        yield page
    assert not page.faults


@pytest.fixture
def comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The stand-in host with empty folders of its own; returns its PromptServer."""
    import folder_paths
    import server
    from comfy import model_management, utils

    for name in ("user", "temp", "output", "input", "models"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(folder_paths, "base_path", str(tmp_path))
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", model_types(tmp_path / "models"))
    monkeypatch.setattr(server.PromptServer, "instance", server.PromptServer())
    monkeypatch.setattr(utils, "drawn", [])
    model_management.interrupt_current_processing(False)
    for name in [name for name in os.environ if name.startswith("COMFY_S3_")]:
        monkeypatch.delenv(name)
    return server.PromptServer.instance


@pytest.fixture
def cloud(comfyui, fast_place: Place, monkeypatch: pytest.MonkeyPatch):
    """A bucket of each backend in the environment of a ComfyUI, below a prefix of its own; returns its
    storage.
    """
    from cloud_storage.comfyui import folders
    from cloud_storage.storage import connect

    for name, value in fast_place.settings({"path_prefix": own_prefix()}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COMFY_S3_MODELS_KEEP_FREE_GB", "0")  # this machine's disk may be almost full
    return connect.storage_of(None, folders.profiles_file())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pause for almost no time between attempts: tests check what happens, not how long it takes."""
    from cloud_storage.storage import retries

    monkeypatch.setattr(retries.RetryPolicy, "backoff", lambda self, attempt: 0.001)


@pytest.fixture
def proxy(fast_place: Place) -> Iterator[Any]:
    """What stands before the server and fails on demand."""
    from servers.fault_proxy import FaultProxy

    target = urllib.parse.urlsplit(fast_place.environ["COMFY_S3_ENDPOINT_URL"])
    with FaultProxy(target.hostname, target.port) as proxy:
        yield proxy


@pytest.fixture(autouse=True, scope="module")
def ordinary_threads() -> Iterator[None]:
    """The thread of the tests is as it was: a real-time one would let no other thread or server work."""
    get = getattr(os, "sched_getscheduler", lambda thread: None)
    before = get(0)
    yield
    assert get(0) == before


@pytest.fixture
def folder() -> str:
    """A prefix of its own in the bucket."""
    return own_prefix()


@pytest.fixture
def direct(fast_place: Place, folder: str):
    """The folder's storage, straight from the server."""
    return fast_place.open(path_prefix=folder)


@pytest.fixture
def shaky(fast_place: Place, proxy: Any, folder: str):
    """The same through the proxy."""
    return fast_place.open(path_prefix=folder, endpoint_url=proxy.url)


def run_node(node_id: str, **inputs: Any) -> Any:
    """Execute a node as ComfyUI does: a new instance, its FUNCTION, an event loop where needed."""
    import cloud_storage

    node = cloud_storage.NODE_CLASS_MAPPINGS[node_id]()
    result = getattr(node, node.FUNCTION)(**inputs)
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


def of_a_list(node_id: str, items: Sequence[Mapping[str, Any]], unique_id: str = "9") -> list[Any]:
    """Execute a node as ComfyUI does for a list: called for each item in order, awaited all together. Gives
    results and exceptions.
    """
    import cloud_storage

    async def calls() -> list[Any]:
        node = cloud_storage.NODE_CLASS_MAPPINGS[node_id]()
        tasks = []
        for item in items:
            tasks.append(asyncio.create_task(getattr(node, node.FUNCTION)(**item, unique_id=unique_id)))
            await asyncio.sleep(0)
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(calls())


def lines_of(done: Mapping[str, Any]) -> list[str]:
    """The texts of the lines that a node shows, from what it returned."""
    return [line if isinstance(line, str) else line[0] for line in done["ui"]["cloud_storage"]]


def outputs_of(node_id: str, **inputs: Any) -> Any:
    """Execute a node and give its outputs alone, in order, whether it shows something besides or not."""
    result = run_node(node_id, **inputs)
    return result["result"] if isinstance(result, dict) else result
