"""Retry Pending Uploads as ComfyUI runs it; how files are sent is in tests/saving/test_outbox_sender.py."""

import torch
from cloud_storage import nodes_outbox
from cloud_storage.comfyui import folders
from conftest import outputs_of, run_node


def retry(**inputs):
    return outputs_of("RetryPendingUploads", **inputs)


def test_nothing_waits_and_nothing_is_sent(comfyui):
    assert retry() == (0, 0, "Nothing is waiting.")
    assert not folders.outbox_folder().exists()


def test_retry_runs_every_time(comfyui):
    node = nodes_outbox.RetryPendingUploads
    assert node.IS_CHANGED() != node.IS_CHANGED()


def test_what_waits_is_sent_and_the_node_says_so(cloud, monkeypatch):
    with monkeypatch.context() as without_a_key:
        without_a_key.delenv("COMFY_S3_SECRET_KEY")
        run_node("SaveImageToCloud", images=torch.zeros(1, 8, 8, 3), on_failure="keep and go on")
    assert list(cloud.list()) == []
    done = run_node("RetryPendingUploads")
    (stored,) = cloud.list()
    assert done["result"][:2] == (1, 0)
    assert done["ui"]["cloud_storage"] == ["1 file was uploaded.", f"Uploaded {stored.key}."]
