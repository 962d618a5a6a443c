"""What the page shows of a profile's mirror, without a request to the bucket."""

from __future__ import annotations

from cloud_storage.mirror import profile_state as states
from cloud_storage.mirror.profile_state import profile_state
from cloud_storage.system.meter import Meter


def state(mirrored):
    """The state, after a look at which new files are complete, and nothing is sent."""
    (profile,) = mirrored.mirror.profiles
    profile._fail("The network is down.")
    profile.failure.until = float("inf")
    for _ in range(2):
        mirrored.mirror.look()
    return profile_state(profile)


def test_each_file_is_shown_with_what_becomes_of_it_and_those_that_matter_first(switched_on):
    for name in ("failed.png", "sending.png", "waiting.png"):
        switched_on.write(name, b"four")
    with (switched_on.output / "writing.png").open("wb", buffering=0) as writing:
        writing.write(b"half")
        state(switched_on)
        (folder,) = switched_on.mirror.profiles[0].folders
        waiting = {one.name: one for one in folder.waiting()}
        waiting["failed.png"].failed("It cannot be read.", 0.0)
        waiting["sending.png"].meter = Meter()
        waiting["sending.png"].meter.add(3)
        found = state(switched_on)
    waiting["sending.png"].meter = None
    assert [(each["name"], each["status"], each["done"], each["error"]) for each in found["files"]] == [
        ("output/sending.png", "sending", 3, ""),
        ("output/failed.png", "failed", 0, "It cannot be read."),
        ("output/waiting.png", "waiting", 0, ""),
        ("output/writing.png", "writing", 0, ""),
    ]
    assert (found["waiting"], found["waiting_bytes"], found["stored"]) == (4, 16, 0)
    assert (found["failing"], found["error"]) == (True, "The network is down.")
    assert found["files"][0]["key"] == "comfyui/output/sending.png"


def test_of_many_files_the_first_are_shown_and_all_are_counted(switched_on, monkeypatch):
    monkeypatch.setattr(states, "SHOWN_FILES", 3)
    for number in range(5):
        switched_on.write(f"{number}.png", b"four")
    found = state(switched_on)
    assert (len(found["files"]), found["waiting"], found["waiting_bytes"]) == (3, 5, 20)
