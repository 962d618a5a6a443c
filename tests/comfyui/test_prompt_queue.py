from __future__ import annotations

import sys

from cloud_storage.comfyui import prompt_queue
from cloud_storage.comfyui.prompt_queue import QueuedPrompt


def test_prompts_come_in_the_order_in_which_they_run(comfyui):
    comfyui.prompt_queue.currently_running = {7: (5, "running", {"1": {}}, {}, [])}
    comfyui.prompt_queue.queue = [
        (3, "later", {}, {}, []),
        (-1, "front", {}, {}, []),
        (9, "last", {}, {}, [], {}),
    ]
    assert [one.prompt_id for one in prompt_queue.queued_prompts()] == ["running", "front", "later", "last"]
    assert prompt_queue.queued_prompts()[0] == QueuedPrompt("running", {"1": {}})


def test_a_handler_is_registered_if_there_is_a_server(comfyui, monkeypatch):
    def handler(body):
        return body

    assert prompt_queue.on_prompt(handler)
    assert comfyui.on_prompt_handlers == [handler]
    monkeypatch.delitem(sys.modules, "server")
    assert not prompt_queue.on_prompt(handler)
    assert prompt_queue.queued_prompts() == []
    prompt_queue.send_event("x", {})
    prompt_queue.announce("x", {})


def test_an_event_goes_to_the_page_that_queued_the_prompt_and_to_no_other(comfyui):
    prompt_queue.send_event("cloud_storage.x", {"a": 1})
    assert comfyui.events == [("cloud_storage.x", {"a": 1}, "browser")]
    comfyui.client_id = None
    prompt_queue.send_event("cloud_storage.x", {"a": 2})
    assert len(comfyui.events) == 1


def test_an_announcement_goes_to_everybody(comfyui):
    prompt_queue.announce("cloud_storage.x", {"a": 1})
    assert comfyui.events == [("cloud_storage.x", {"a": 1}, None)]
