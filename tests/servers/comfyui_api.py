"""Queues a prompt in a real ComfyUI, and reads what it did from the websocket and the history."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

RUN_SECONDS = 300


@dataclass(frozen=True)
class Run:
    """``history`` is the prompt's entry there; ``executed`` the outputs of the websocket's messages, by node;
    ``error`` the last message if the prompt failed, else None.
    """

    history: Mapping[str, Any]
    executed: Mapping[str, Any]
    error: Mapping[str, Any] | None

    def outputs(self, node_id: str) -> Mapping[str, Any]:
        """What a node put into the history, after a prompt without errors."""
        assert self.error is None, self.error
        found: Mapping[str, Any] = self.history["outputs"][node_id]
        return found


def run(address: str, prompt: Mapping[str, Any]) -> Run:
    """Queue a prompt, and wait for its end. In another thread: Playwright has a loop in that of the tests."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(_in_time(address, prompt))).result()


async def _in_time(address: str, prompt: Mapping[str, Any]) -> Run:
    return await asyncio.wait_for(_run(address, prompt), RUN_SECONDS)


async def _run(address: str, prompt: Mapping[str, Any]) -> Run:
    import aiohttp

    client = uuid.uuid4().hex
    executed: dict[str, Any] = {}
    error = None
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{address}/ws?clientId={client}") as ws,
    ):
        body = {"prompt": prompt, "client_id": client}
        async with session.post(f"{address}/prompt", json=body) as answer:
            queued = await answer.json()
            assert answer.status == 200, queued
        async for message in ws:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            said = json.loads(message.data)
            kind, data = said["type"], said["data"]
            if data.get("prompt_id") != queued["prompt_id"]:
                continue
            if kind == "executed":
                executed[data["node"]] = data["output"]
            if kind in ("execution_success", "execution_error", "execution_interrupted"):
                error = None if kind == "execution_success" else data
                break
        while True:  # the history is written after the last message
            async with session.get(f"{address}/history/{queued['prompt_id']}") as answer:
                if history := await answer.json():
                    return Run(history[queued["prompt_id"]], executed, error)
            await asyncio.sleep(0.05)
