"""What the server answers our page, over HTTP, and nobody else; and that it goes on meanwhile."""

from __future__ import annotations

import threading

import pytest
from cloud_storage.page import answers, bucket_catalogue
from page_requests import OF_ANOTHER_SITE, OURS, put


@pytest.mark.parametrize("headers", OF_ANOTHER_SITE.values(), ids=OF_ANOTHER_SITE)
def test_a_page_of_another_site_gets_nothing(cloud, ask, headers):
    put(cloud, "a.txt")
    for route in ("files/list", "thumbnail", "local", "local_thumbnail", "open", "workflow", "test"):
        answer = ask(route, headers=headers, key="a.txt")
        assert answer.status == 403
        assert list(answer.json) == ["error"]
        assert b"a.txt" not in answer.body


def test_our_own_page_gets_an_answer(cloud, ask):
    for further in ({}, {"Origin": ask.address}, {"Sec-Fetch-Site": "same-origin"}):
        assert ask("files/list", headers={**OURS, **further}).status == 200


def test_an_error_is_json_with_our_message_and_without_a_secret(cloud, ask, monkeypatch, fast_place):
    access_key = fast_place.environ["COMFY_S3_ACCESS_KEY"]
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", "wrong-secret-that-nobody-may-see")
    for route in ("files/list", "thumbnail", "open"):
        answer = ask(route, key="a.png")
        assert (answer.status, answer.json["kind"]) == (403, "AccessDenied")
        assert "secret key of the profile" in answer.json["error"]
        for word in ("wrong-secret", access_key, "Signature=", "Traceback"):
            assert word not in answer.body.decode()
        assert answer.headers["Cache-Control"] == "no-store"
    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    answer = ask("files/list")
    assert (answer.status, answer.json["kind"]) == (504, "Unreachable")


def test_a_server_that_never_answers_is_given_up(cloud, ask, monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(answers, "ANSWER_SECONDS", 0.0)
    monkeypatch.setattr(bucket_catalogue, "of", lambda *_: never.wait())
    try:
        answer = ask("files/list")
    finally:
        never.set()
    assert (answer.status, answer.json["kind"]) == (504, "Unreachable")


def test_the_loop_answers_others_while_a_bucket_is_slow(cloud, ask, monkeypatch):
    began, may_end = threading.Event(), threading.Event()
    of = bucket_catalogue.of

    def slow(*given):
        began.set()
        assert may_end.wait(30)
        return of(*given)

    monkeypatch.setattr(bucket_catalogue, "of", slow)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(ask("files/list")))
    asking.start()
    assert began.wait(30)
    assert ask("/elsewhere").body == b"here"
    assert not answers
    may_end.set()
    asking.join()
    assert answers[0].status == 200
