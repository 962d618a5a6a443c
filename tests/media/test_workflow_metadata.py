"""The prompt and the workflow as texts for a file."""

from __future__ import annotations

import json

from cloud_storage.media.workflow_metadata import Metadata


def test_the_prompt_comes_first_and_each_value_is_json():
    metadata = Metadata({"1": {"class_type": "A"}}, {"workflow": {"nodes": []}, "more": "Grüße"})
    assert list(metadata.texts) == ["prompt", "workflow", "more"]
    assert [json.loads(text) for text in metadata.texts.values()] == [
        {"1": {"class_type": "A"}},
        {"nodes": []},
        "Grüße",
    ]
    assert metadata.notes == ()


def test_without_prompt_and_workflow_there_is_nothing():
    assert (dict(Metadata().texts), Metadata().notes) == ({}, ())


def test_a_value_that_cannot_be_written_is_named_and_costs_no_other():
    deep: list = []
    deep.append(deep)
    metadata = Metadata({"1": object()}, {"deep": deep, 3: "number", "fine": 1})
    assert list(metadata.texts) == ["fine"]
    assert [note.split(" ")[0] for note in metadata.notes] == ["'prompt'", "'deep'", "A"]


def test_all_files_share_one_serialisation():
    metadata = Metadata({"1": 1})
    assert metadata.texts is metadata.texts
