"""Opening the workflow inside a file: what the page is asked to open, and what it says if there is none."""

from __future__ import annotations

import json

import pytest
from page_requests import put

WORKFLOW = {"nodes": [{"id": 1, "type": "SaveImage"}], "links": []}
PROMPT = {"1": {"class_type": "SaveImage", "inputs": {}}}
OPEN = """async ([key, locale, fails]) => {
    const [{ openWorkflowInside }, { serverOf }, { texts }] = await Promise.all(
        ["workflow_inside", "api", "texts"].map((name) => import(`/web/${name}.js`)))
    const say = texts(locale), done = []
    const page = {
        openWorkflow: (data, name) => {
            if (fails) throw new Error("no such thing")
            done.push(["workflow", data, name])
        },
        openPrompt: (data, name) => { done.push(["prompt", data, name]) },
        notify: (...said) => { done.push(said) },
    }
    const read = serverOf((path) => `/api${path}`, say).workflow
    return [await openWorkflowInside({ profile: "(env vars)", key }, { read, say, page }), done]
}"""


@pytest.fixture
def ours(page, address):
    page.goto(f"{address}/page/setup.html")
    page.wait_for_function("window.ready")
    yield page


def test_a_workflow_of_the_page_is_opened_under_the_files_name(cloud, ours):
    put(cloud, "a b/my work.json", data=json.dumps(WORKFLOW).encode())
    opened, done = ours.evaluate(OPEN, ["a b/my work.json", "en", False])
    assert opened
    assert done == [["workflow", WORKFLOW, "my work"]]


def test_a_prompt_is_opened_and_the_page_says_what_is_lost(cloud, ours):
    put(cloud, "p.json", data=json.dumps(PROMPT).encode())
    opened, done = ours.evaluate(OPEN, ["p.json", "en", False])
    assert opened
    assert done[0] == ["prompt", PROMPT, "p"]
    assert done[1][:2] == ["info", "The file has only the prompt of the API"]


@pytest.mark.parametrize(
    ("locale", "words"), [("en", "has no workflow inside"), ("zh", "其中没有工作流|中没有工作流")]
)
def test_a_file_without_one_says_so_in_the_users_language(cloud, ours, locale, words):
    put(cloud, "a.txt", data=b"text")
    opened, done = ours.evaluate(OPEN, ["a.txt", locale, False])
    assert not opened
    [[severity, title, detail]] = done
    assert severity == "warn"
    assert "a.txt" in title
    assert any(word in detail for word in words.split("|"))


def test_what_comfyui_cannot_open_is_said_and_not_thrown(cloud, ours):
    put(cloud, "w.json", data=json.dumps(WORKFLOW).encode())
    opened, done = ours.evaluate(OPEN, ["w.json", "en", True])
    assert not opened
    assert "no such thing" in done[0][2]
