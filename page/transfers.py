"""What the panel Transfers asks for: the files that wait in the outbox, and to send them.

All functions may be called from any thread but the event loop. Files are sent in a thread, as the node Retry
Pending Uploads does, to the profile and the key that each was saved for; a request cannot change either.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from ..comfyui import folders
from ..errors import ConfigurationError, StorageError
from ..saving import outbox_sender
from ..saving.outbox import Entry, Outbox
from ..system.meter import Meter

LISTED = 200  # entries of one answer, the oldest

Said = Mapping[str, Any]  # a JSON object

log = logging.getLogger("cloud_storage")

_sending = threading.Lock()  # held by the thread that sends
_last: dict[str, Any] = {"sent": 0, "left": 0, "lines": []}  # of the latest retry


def _outboxes() -> Iterator[Outbox]:
    yield Outbox(folders.outbox_folder())
    yield Outbox(folders.earlier_outbox_folder(), is_own=False)


def waiting(_said: Said) -> dict[str, Any]:
    """Return how many files wait, the oldest of them with the reason, and how the latest retry ended."""
    entries: list[dict[str, Any]] = []
    unreadable: list[str] = []
    count = 0
    for outbox in _outboxes():
        count += outbox.count()
        contents = outbox.contents(max(0, LISTED - len(entries)))
        entries += map(_entry, contents.entries)
        unreadable += contents.unreadable
    return {
        "waiting": count,
        "entries": entries,
        "unreadable": unreadable,
        "sending": _sending.locked(),
        "last": dict(_last),
    }


def retry(said: Said) -> dict[str, Any]:
    """Begin to send what waits, of one ``profile`` or of all, unless that is being done; see ``waiting``."""
    name = said.get("profile", "")
    if not isinstance(name, str):
        raise ConfigurationError("The name of a profile is a text. Reload the page.")
    if _sending.acquire(blocking=False):
        try:
            threading.Thread(target=_send, args=(name,), name="cloud-storage-retry", daemon=True).start()
        except RuntimeError:  # there are too many threads: the next click tries again
            _sending.release()
    return waiting({})


def _send(name: str) -> None:
    file = folders.profiles_file()

    def wanted(entry: Entry) -> bool:
        return not name or outbox_sender.settled(entry.sender, file).profile == name

    try:
        report = outbox_sender.Report()
        for outbox in _outboxes():
            report += outbox_sender.send(outbox, file, wanted, Meter())
        _last.update(sent=report.sent, left=report.left, lines=str(report).splitlines())
    except StorageError as error:
        _last.update(sent=0, left=0, lines=[str(error)])
    except Exception as error:
        log.exception("What waits could not be sent")  # nothing is lost: the entries stay
        _last.update(sent=0, left=0, lines=[f"The waiting files could not be sent ({type(error).__name__})."])
    finally:
        _sending.release()


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.meant,
        "size": entry.size,
        "profile": entry.sender.profile,
        "bucket": entry.address.bucket,
        "saved": entry.saved_at.isoformat(),
        "why": entry.why,
    }
