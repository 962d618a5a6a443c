"""Server processes that live no longer than the tests that started them, and the ports they listen on.

Two things end them: ``stop``, also at exit, and a watchdog process for the case that this one is killed.
"""

from __future__ import annotations

import atexit
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

READY_POLL_SECONDS = 0.02

# Below the ports that Linux, macOS and Windows hand out to outgoing connections: none of those can take one
# of ours between the moment it is found free and the moment its server binds it.
PORTS = range(20000, 32000)

# Reads process ids from a pipe that closes when the tests' process ends, however that happens; "done" disarms
# it.
_WATCHDOG = """
import os, shutil, signal, sys
pids = []
for line in sys.stdin:
    if line.strip() == "done":
        sys.exit()
    pids.append(int(line))
for pid in pids:
    try:
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    except OSError:
        pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


class ServerUnavailable(Exception):
    """A server cannot be had on this machine; the message says how to get it."""


class ServerFailed(Exception):
    """A server that is installed did not start, or ended by itself; the message holds the end of its log."""


def free_ports(count: int) -> list[int]:
    """``count`` different loopback ports that nothing listens on."""
    found: list[int] = []
    chosen = random.SystemRandom()  # a seeded test run must not collide with another one
    while len(found) < count:
        port = chosen.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def own_session() -> dict[str, object]:
    """``Popen`` arguments that keep a Ctrl-C meant for the tests away from what they started."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


class Processes:
    """The processes of one server and the folder they write to, which exists as long as they do.

    They hold nothing worth saving: ``stop`` kills them at once and removes the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WATCHDOG, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **own_session(),  # type: ignore[call-overload]
        )
        atexit.register(self.stop)

    def start(
        self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start a process in the folder; its output goes to ``<name>.log`` there."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.folder,
                env=dict(environment if environment is not None else os.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **own_session(),  # type: ignore[call-overload]
            )
        self._running[name] = process
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.write(f"{process.pid}\n".encode())
            self._watchdog.stdin.flush()

    def kill(self, name: str) -> None:
        """End one process as if the machine had lost power; what it wrote stays. It may be started anew."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def wait_until(self, ready: Callable[[], bool], what: str, seconds: float = 60) -> None:
        """Poll until ``ready``. Raises ServerFailed, with logs, when a process ends before or time is up."""
        deadline = time.monotonic() + seconds
        while not ready():
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise ServerFailed(
                        f"{name} ended with {process.returncode} before {what}:\n{self.logs(name)}"
                    )
            if time.monotonic() > deadline:
                raise ServerFailed(
                    f"{what} did not happen within {seconds:.0f} s:\n{self.logs(*self._running)}"
                )
            time.sleep(READY_POLL_SECONDS)

    def logs(self, *names: str) -> str:
        """The last lines that the named processes wrote."""
        tails = []
        for name in names:
            lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
            tails.append("\n".join(f"{name}: {line}" for line in lines[-20:]))
        return "\n".join(tails)

    def process_id(self, name: str) -> int:
        """The id of a started process."""
        return self._running[name].pid

    def stop(self) -> None:
        """Kill every process, wait until each is gone, and remove the folder. A second call does nothing."""
        atexit.unregister(self.stop)
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait()
        self._running.clear()
        if self._watchdog.stdin is not None and not self._watchdog.stdin.closed:
            self._watchdog.stdin.write(b"done\n")
            self._watchdog.stdin.close()
            self._watchdog.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def accepts_connections(port: int) -> bool:
    """Whether something listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
