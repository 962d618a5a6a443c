"""Requests to the routes of page/, and files for them to show."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO

from cloud_storage.page import answers
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from PIL import Image

OURS = {answers.OUR_HEADER: "1"}
# Headers of requests that another page makes the browser send, by what they are
OF_ANOTHER_SITE = {
    "no header of ours": {},
    "another port": {**OURS, "Origin": "http://127.0.0.1:1"},
    "another site": {**OURS, "Origin": "https://example.org"},
    "a sandbox": {**OURS, "Origin": "null"},
    "cross-site": {**OURS, "Sec-Fetch-Site": "cross-site"},
    "same-site": {**OURS, "Sec-Fetch-Site": "same-site"},
}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def put(storage, *keys, data=b"12345"):
    for key in keys:
        storage.put(key, data, PutOptions(), Meter())


def picture(size=(400, 200), form="PNG", mode="RGB", colour=(200, 100, 50), **options):
    written = BytesIO()
    Image.new(mode, size, colour).save(written, form, **options)
    return written.getvalue()


WORKFLOWS = "comfyui/workflows/"  # where they are in a bucket


def workflow(text=""):
    return {"nodes": [{"id": 1, "type": "SaveImage"}], "links": [], "extra": {"text": text}}


def content(text=""):
    return json.dumps(workflow(text))
