"""Runs a command in a thread, while the main thread draws its progress and waits for Ctrl-C and SIGTERM.

An interruption stops the meter of the command: transfers end as after Cancel, with multipart uploads aborted
and what was downloaded kept for the next run.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

from ..errors import ConfigurationError, StorageError, TransferCancelled
from ..system.meter import Meter
from .console import Console

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
TICK_SECONDS = 0.1
GRACE_SECONDS = 10.0  # after an interruption, for requests that end uploads; the next upload ends the rest

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # those that this system has


def run(work: Callable[[Meter], int], console: Console) -> int:
    """Return the exit code of ``work``, or that of what it raises. Call it in the main thread."""
    running = _Running(work, console)
    for name in _SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), running.interrupt)
    code = running.result()
    console.close()
    return code


def run_here(work: Callable[[Meter], int], console: Console) -> int:
    """As ``run``, but in this thread: for a command that asks questions, which Ctrl-C ends."""
    running = _Running(work, console)
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return running.of_work()
    except (KeyboardInterrupt, EOFError):
        console.error("Interrupted. Nothing was written.", "Interrupted")
        return INTERRUPTED


class _Running:
    def __init__(self, work: Callable[[Meter], int], console: Console) -> None:
        self._work, self._console = work, console
        self._meter = Meter()
        self._ended = threading.Event()
        self._code = FAILED
        self._is_interrupted = False

    def interrupt(self, *_: object) -> None:
        """Stop the work; the second time end the process at once."""
        if self._is_interrupted:
            os._exit(INTERRUPTED)
        self._is_interrupted = True
        self._meter.stop()

    def result(self) -> int:
        thread = threading.Thread(target=self._run, name="cloud-storage-command", daemon=True)
        thread.start()
        waited = 0.0
        while not self._ended.wait(TICK_SECONDS) and waited < GRACE_SECONDS:
            self._console.progress(self._meter)
            waited += TICK_SECONDS * self._is_interrupted
        if not self._is_interrupted:
            return self._code
        self._console.close()
        self._console.error("Interrupted. Run the command again: it resumes where it stopped.", "Interrupted")
        if not self._ended.is_set():  # a request without an answer: its thread would block the end
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        return INTERRUPTED

    def _run(self) -> None:
        try:
            self._code = self.of_work()
        finally:
            self._ended.set()

    def of_work(self) -> int:
        """Do the work and return its exit code, or that of what it raises."""
        try:
            with self._meter.governs():
                return self._work(self._meter)
        except TransferCancelled:
            return INTERRUPTED
        except ConfigurationError as error:
            self._console.error(str(error), type(error).__name__)
            return WRONG_USAGE
        except StorageError as error:
            self._console.error(str(error), type(error).__name__)
        except BrokenPipeError:  # the reader of our output has ended, as in "cloud.py ls | head"
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except EOFError:
            raise
        except Exception as error:  # noqa: BLE001  nothing is lost but this command
            self._console.error(f"{type(error).__name__}: {error}", type(error).__name__)
        return FAILED
