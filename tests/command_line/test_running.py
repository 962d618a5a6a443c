"""Ctrl-C and SIGTERM: nothing half done is left in the bucket, and what was downloaded is kept."""

from __future__ import annotations

import os
import signal

import pytest
from cloud_storage.command_line import running
from cloud_storage.command_line.console import Console
from cloud_storage.errors import ConfigurationError, StorageError, TransferCancelled
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from servers.faults import Cut, Fault


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_upload_leaves_no_open_upload(proxied, bucket, how):
    cli, proxy = proxied
    (cli.cwd / "large.bin").write_bytes(os.urandom(48 << 20))
    for skip in range(2, 6):
        proxy.add(Fault(Cut("request body", 0.5, "silence"), "PUT", "large.bin", skip=skip))
    stopped = cli.stopped_at(lambda event: event.get("done", 0) > (8 << 20), how, "push", "large.bin")
    assert (stopped.code, stopped.done["exit_code"]) == (130, 130)
    assert "Run the command again" in stopped.events[-2]["message"]
    proxy.clear()
    prefix = cli.environ["COMFY_S3_PATH_PREFIX"]
    assert not [key for key in bucket.open_uploads() if key.startswith(prefix)]
    assert cli.json("push", "large.bin").done["files"] == {"stored": 1}


def test_an_interrupted_download_keeps_what_has_arrived(proxied, storage):
    cli, proxy = proxied
    data = os.urandom(40 << 20)
    storage.put("large.bin", data, PutOptions(), Meter())
    for skip in range(1, 6):
        proxy.add(Fault(Cut("response body", 1 << 20, "silence"), "GET", "large.bin", skip=skip))
    stopped = cli.stopped_at(
        lambda event: event.get("done", 0) > (8 << 20), signal.SIGTERM, "pull", "large.bin"
    )
    assert stopped.code == 130
    assert {path.name for path in cli.cwd.iterdir()} == {"large.bin.part", "large.bin.part.journal"}
    proxy.clear()
    assert cli.run("pull", "large.bin").code == 0
    assert (cli.cwd / "large.bin").read_bytes() == data


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("wrong"), 2),
        (StorageError("failed"), 1),
        (TransferCancelled("stopped"), 130),
        (RuntimeError("a fault of this program"), 1),
        (None, 0),
    ],
)
def test_what_a_command_raises_has_an_exit_code(capsys, error, code):
    def work(meter):
        if error:
            raise error
        return 0

    assert running.run_here(work, Console(is_json=True)) == code
    assert ("message" in capsys.readouterr().out) == (code in (1, 2))


def test_a_reader_that_ends_early_is_no_fault(cli, storage):
    for number in range(30):
        storage.put(f"{number}.txt", b"x", PutOptions(), Meter())
    process = cli.start("ls", "--json")
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) in (0, 1)
