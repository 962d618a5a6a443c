"""Setting up a bucket from the page: who may, what is tested and saved, and where no secret is."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading

import pytest
from cloud_storage.comfyui import folders
from cloud_storage.config import profile_writer
from cloud_storage.page import routes, setup
from cloud_storage.system import durable_write
from conftest import own_prefix
from multidict import CIMultiDict
from page_requests import OF_ANOTHER_SITE, OURS

SECRET = "a-secret-that-nobody-may-ever-see-again"
ANSWERS = {"bucket": "my-bucket", "access_key": "AKIA-of-somebody", "secret_key": SECRET}
GOOD = {"provider": "AWS S3", "answers": ANSWERS, "name": "mine"}
POSTED = ("setup/test", "setup/save")
# As a person writes it, in a form that no json.dumps gives
BY_HAND = (
    '\ufeff{\r\n\t"profiles":{"team" : '
    '{"bucket":"b\\u00fc", "models_budget_gb": 1.50e1 ,"upload":{ }}}\r\n}\r\n'
)


@pytest.fixture
def listening(monkeypatch):
    """``listening("0.0.0.0")`` has ComfyUI started with this ``--listen``."""
    from comfy.cli_args import args

    return lambda addresses: monkeypatch.setattr(args, "listen", addresses)


@pytest.fixture
def answers(fast_place):
    """What a user of the bucket types."""
    environ = {name.removeprefix("COMFY_S3_").lower(): value for name, value in fast_place.environ.items()}
    names = ("bucket", "region", "access_key", "secret_key", "endpoint_url")
    given = {name: environ[name] for name in names if name in environ}
    if fast_place.is_oss:
        pytest.skip("OSS has no endpoint to ask for: its server is not on this machine")
    return {"provider": environ["provider"], "answers": {**given, "path_prefix": own_prefix()}}


def file():
    return folders.profiles_file()


def written(text):
    file().parent.mkdir(parents=True, exist_ok=True)
    file().write_bytes(text.encode())
    file().chmod(0o600)
    return text.encode()


def profiles(**entries):
    return written(json.dumps({"profiles": entries}))


def read():
    return json.loads(file().read_text(encoding="utf-8-sig"))


# ------------------------------------------------------------ what it does


def test_the_page_learns_what_to_ask_of_each_provider(ask):
    said = ask("setup").json
    assert (said["configured"], said["may_save"], said["names"]) == (False, True, [])
    questions = {row["name"]: [each["setting"] for each in row["questions"]] for row in said["providers"]}
    assert questions["AWS S3"] == ["region", "bucket", "path_prefix", "access_key", "secret_key"]
    assert questions["Cloudflare R2"][0] == "account_id"
    assert questions["Custom"][0] == questions["MinIO"][0] == "endpoint_url"


def test_answers_are_tested_in_the_bucket_before_anything_is_written(ask, answers):
    said = ask.post("setup/test", answers).json
    assert said["enough"]
    tested = [line.split()[1] for line in said["lines"]]
    assert tested == ["list", "write", "read", "create", "delete", "share"]
    assert not file().parent.exists()


def test_what_is_saved_works_at_once_without_a_restart(ask, answers):
    said = ask.post("setup/save", {**answers, "name": "mine", "default": True}).json
    assert said == {"name": "mine", "default": True}
    assert ask("files/list", profile="mine").status == ask("files/list").status == 200
    assert ask("setup").json["configured"]
    from cloud_storage.nodes_profile import CloudStorageProfile

    assert CloudStorageProfile.INPUT_TYPES()["required"]["profile"][0] == ["(env vars)", "mine"]


def test_only_this_user_may_read_what_is_written(ask):
    ask.post("setup/save", GOOD)
    assert read() == {"profiles": {"mine": {"provider": "AWS S3", **ANSWERS}}}
    if os.name != "nt":
        assert stat.S_IMODE(file().stat().st_mode) == 0o600
        assert stat.S_IMODE(file().parent.stat().st_mode) == 0o700
    assert [path.name for path in file().parent.iterdir()] == [file().name], "nothing else is left"


def test_every_byte_of_the_other_profiles_is_kept(ask):
    old = written(BY_HAND)
    assert ask.post("setup/save", {**GOOD, "default": False}).status == 200
    new = file().read_bytes()
    entry = b'{"bucket":"b\\u00fc", "models_budget_gb": 1.50e1 ,"upload":{ }}'
    assert new.startswith(old[: old.index(b"}}}") + 2])
    assert entry in new
    assert read()["profiles"]["mine"]["bucket"] == "my-bucket"
    assert read()["default"] == "team", "nodes without a profile use the same one as before"


def test_a_wrong_answer_is_named_at_its_question_and_nothing_is_sent_or_written(ask):
    wrong = {"bucket": "s3://x/", "region": "evil.example/", "path_prefix": "../up", "access_key": "a b"}
    for route in POSTED:
        said = ask.post(route, {**GOOD, "answers": wrong}).json
        assert sorted(said) == ["wrong"]
        assert sorted(said["wrong"]) == sorted([*wrong, "secret_key"])
    assert not file().exists()


def test_a_test_that_fails_says_why_without_the_secret(ask, answers):
    given = {**answers["answers"], "secret_key": SECRET}
    said = ask.post("setup/test", {**answers, "answers": given})
    assert not said.json["enough"]
    assert "does not match" in said.body.decode() or "secret" in said.body.decode()
    assert SECRET not in said.body.decode()


# ------------------------------------------------------------ existing profiles


def test_a_profile_of_that_name_is_replaced_only_if_that_is_asked_for(ask):
    old = profiles(mine={"bucket": "old", "public_url": "https://cdn.example"}, team={"bucket": "b"})
    answer = ask.post("setup/save", GOOD)
    assert (answer.status, answer.json["kind"]) == (409, "AlreadyExists")
    for said in ("yes", 1, "true"):
        assert ask.post("setup/save", {**GOOD, "replace": said}).status == 409
    assert file().read_bytes() == old
    assert ask.post("setup/save", {**GOOD, "replace": True}).status == 200
    mine = read()["profiles"]["mine"]
    assert mine == {"provider": "AWS S3", **ANSWERS, "public_url": "https://cdn.example"}
    assert read()["profiles"]["team"] == {"bucket": "b"}


@pytest.mark.parametrize("how", ["itself", "a word", "a variable", "the environment"])
def test_a_locked_profile_is_not_changed_and_stays_the_default_one(ask, monkeypatch, how):
    locked = {"itself": True, "a word": "yes", "a variable": "${LOCKED_BY}", "the environment": None}[how]
    monkeypatch.setenv("LOCKED_BY", "1")
    if how == "the environment":
        monkeypatch.setenv("COMFY_S3_LOCKED", "1")
    old = profiles(mine={"bucket": "old", **({"locked": locked} if locked else {})})
    for more in ({"replace": True}, {"name": "other", "default": True}):
        answer = ask.post("setup/save", {**GOOD, **more})
        assert answer.status in (400, 403), more
        assert "locked" in answer.json["error"]
    assert file().read_bytes() == old


def test_a_server_locked_by_its_environment_tests_and_saves_nothing_whatever_else_is_set(ask, monkeypatch):
    monkeypatch.setenv("COMFY_S3_LOCKED", "1")
    monkeypatch.setenv("COMFY_S3_SETUP", "1")
    assert [ask.post(route, GOOD).status for route in POSTED] == [403, 403]
    assert not ask("setup").json["may_save"]


def test_a_damaged_file_is_not_touched(ask):
    for text in ("{", '{"profiles": []}', '{"mine": {"bucket": "b"}}', '{"profiles": {}, "profiles": {}}'):
        old = written(text)
        assert ask.post("setup/save", GOOD).status == 400
        assert file().read_bytes() == old
        said = ask("setup").json
        assert (said["may_save"], said["configured"]) == (False, True)
        assert said["why"]


# ------------------------------------------------------------ who may


@pytest.mark.parametrize("headers", OF_ANOTHER_SITE.values(), ids=OF_ANOTHER_SITE)
def test_a_page_of_another_site_neither_asks_nor_tests_nor_saves(ask, headers):
    assert ask("setup", headers=headers).status == 403
    for route in POSTED:
        answer = ask.post(route, GOOD, headers=headers)
        assert (answer.status, list(answer.json)) == (403, ["error"])
    assert not file().exists()


def test_a_name_that_was_made_to_lead_here_is_refused(ask):
    for host in ("evil.example", "evil.example:8188", "localhost.evil.example", "127.0.0.1.evil.example"):
        for route in POSTED:
            answer = ask.post(route, GOOD, headers={**OURS, "Host": host, "Origin": f"http://{host}"})
            assert answer.status == 403, host
            assert "address of this machine" in answer.json["error"]
        assert not ask("setup", headers={**OURS, "Host": host}).json["may_save"]
    assert not file().exists()


def test_a_request_without_a_host_or_with_two_is_refused(comfyui):
    """aiohttp's newest versions refuse these before we see them."""
    for hosts in ([], ["127.0.0.1", "evil.example"], ["evil.example", "127.0.0.1"], ["[::1"], [""]):
        headers = CIMultiDict([*OURS.items(), *(("Host", host) for host in hosts)])
        assert "address of this machine" in setup.refusal(headers), hosts
    assert setup.refusal(CIMultiDict({"Host": "localhost"})) == ""


def test_this_machine_s_own_names_are_accepted(ask):
    for number, host in enumerate(("localhost:8188", "127.0.0.1", "127.9.9.9:1", "[::1]:8188", "LOCALHOST")):
        given = {**GOOD, "name": f"p{number}"}
        assert ask.post("setup/save", given, headers={**OURS, "Host": host}).status == 200, host


def test_what_comes_through_a_proxy_is_refused_unless_the_owner_says_so(ask, monkeypatch):
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Host"):
        assert ask.post("setup/save", GOOD, headers={**OURS, name: "203.0.113.9"}).status == 403
    monkeypatch.setenv("COMFY_S3_SETUP", "1")
    assert ask.post("setup/save", GOOD, headers={**OURS, "X-Forwarded-For": "203.0.113.9"}).status == 200


NETWORK = (
    *("0.0.0.0", "::", "0.0.0.0,::", "127.0.0.1,0.0.0.0", "::1,192.168.1.5", "", "127.0.0.1,", "0"),
    *("my-machine", "localhost.evil.example", "127.0.0.1.evil.example", "::ffff:192.168.1.5", "[::1]"),
)


@pytest.mark.parametrize("addresses", NETWORK)
def test_a_server_that_others_can_reach_tests_and_saves_nothing(ask, listening, addresses):
    listening(addresses)
    said = ask("setup").json
    assert not said["may_save"]
    assert "Other machines" in said["why"]
    for route in POSTED:
        answer = ask.post(route, GOOD)
        assert (answer.status, answer.json["kind"]) == (403, "AccessDenied")
    assert not file().exists()


@pytest.mark.parametrize("said", ["1", "true", "yes", " ON "])
def test_unless_its_owner_says_so(ask, listening, monkeypatch, said):
    listening("0.0.0.0,::")
    monkeypatch.setenv("COMFY_S3_SETUP", said)
    assert ask("setup").json["may_save"]
    assert ask.post("setup/save", GOOD, headers={**OURS, "Host": "studio.example"}).status == 200


@pytest.mark.parametrize(
    "addresses", ["127.0.0.1", "localhost", "127.0.0.1,::1", "::ffff:127.0.0.1", "127.2.2.2"]
)
def test_a_server_for_this_machine_alone_saves(ask, listening, addresses):
    listening(addresses)
    assert ask.post("setup/save", GOOD).status == 200


def test_the_owner_can_forbid_it_on_this_machine_too(ask, monkeypatch):
    monkeypatch.setenv("COMFY_S3_SETUP", "0")
    assert [ask.post(route, GOOD).status for route in POSTED] == [403, 403]
    assert not ask("setup").json["may_save"]


def test_a_server_whose_addresses_are_unknown_saves_nothing(ask, monkeypatch):
    from comfy.cli_args import args

    monkeypatch.delattr(args, "listen")
    assert ask.post("setup/save", GOOD).status == 403


def test_what_changes_something_is_no_get(ask):
    for route in POSTED:
        assert ask(route, name="mine", provider="AWS S3", **ANSWERS).status == 405
    assert not file().exists()


# ------------------------------------------------------------ what is in a request


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "(env vars)", "../../etc/passwd", "a/b", "a\\b", "..", ".", "a\nb", "a\0b", "\u202eevil"),
        *("-rf", "<img src=x>", 'a"b', "a" * 65, "${HOME}", "_x"),
    ],
)
def test_a_name_that_is_none_is_refused(ask, name):
    assert list(ask.post("setup/save", {**GOOD, "name": name}).json["wrong"]) == ["name"]
    assert not file().exists()


@pytest.mark.parametrize("name", ["mine", "Studio 2 (new)", "团队", "a.b-c_d+e", "a" * 64])
def test_a_name_that_people_give_is_taken(ask, name):
    assert ask.post("setup/save", {**GOOD, "name": name}).json["name"] == name


def test_only_what_is_asked_for_is_written(ask, tmp_path):
    more = {
        "locked": "1",
        "ca_file": "/etc/passwd",
        "public_url": "http://x",
        "auth": "ambient",
        "models": "off",
    }
    given = {**ANSWERS, **more, "endpoint_url": "http://127.0.0.1:9", "session_token": "t"}
    assert ask.post("setup/save", {**GOOD, "answers": given}).status == 200
    assert read()["profiles"]["mine"] == {"provider": "AWS S3", **ANSWERS}


@pytest.mark.parametrize("setting", list(ANSWERS))
def test_an_answer_cannot_name_a_variable_of_the_server_s_environment(ask, setting):
    for route in POSTED:
        said = ask.post(route, {**GOOD, "answers": {**ANSWERS, setting: "${HOME}"}}).json
        assert list(said["wrong"]) == [setting]


@pytest.mark.parametrize(
    "said",
    [
        *(
            b"",
            b"{",
            b"[]",
            b"\xff",
            b"null",
            b"[" * 10_000,
            {"provider": "AWS S3"},
            {"provider": "Nobody's"},
        ),
        *({**GOOD, "answers": []}, {**GOOD, "answers": "x"}, {**GOOD, "provider": 1}),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_in_our_words(ask, said):
    for route in POSTED:
        answer = ask.post(route, said)
        assert answer.status == 400
        assert answer.json["error"]
        assert "Traceback" not in answer.body.decode()
    assert not file().exists()


def test_answers_that_are_no_texts_are_named(ask):
    for value in (1, None, [], {"a": 1}, True):
        said = ask.post("setup/save", {**GOOD, "answers": {**ANSWERS, "bucket": value}}).json
        assert list(said["wrong"]) == ["bucket"]


def test_a_body_that_is_too_large_is_not_read_to_its_end(ask):
    body = json.dumps({**GOOD, "more": "x" * setup.BODY_BYTES}).encode()
    for route in POSTED:
        answer = ask.post(route, body)
        assert answer.status == 400
        assert str(setup.BODY_BYTES) in answer.json["error"]
    long = {**ANSWERS, "bucket": "b" * 5000}
    assert list(ask.post("setup/save", {**GOOD, "answers": long}).json["wrong"]) == ["bucket"]
    assert not file().exists()


def test_a_flood_of_tests_is_refused_while_some_run(ask, monkeypatch):
    began, may_end = threading.Semaphore(0), threading.Event()

    def slow(*_):
        began.release()
        assert may_end.wait(60)
        return []

    monkeypatch.setattr(setup.connection_test, "findings_of", slow)
    monkeypatch.setattr(setup.connection_test, "lines_of", lambda _: [])
    running = [
        threading.Thread(target=ask.post, args=("setup/test", GOOD)) for _ in range(setup.TESTS_AT_ONCE)
    ]
    try:
        for thread in running:
            thread.start()
            assert began.acquire(timeout=60)
        answer = ask.post("setup/test", GOOD)
        assert (answer.status, answer.json["kind"]) == (503, "Throttled")
        assert ask.post("setup/save", GOOD).status == 200
    finally:
        may_end.set()
        for thread in running:
            thread.join()
    assert ask.post("setup/test", GOOD).status == 200


# ------------------------------------------------------------ secrets


def test_no_secret_is_in_an_answer_a_log_or_an_error(ask, answers, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    given = {**answers["answers"], "access_key": "AKIA-wrong-of-somebody", "secret_key": SECRET}
    bodies = [
        ask.post(route, {**answers, "answers": {**given, **more}, "name": name}).body
        for route in POSTED
        for name in ("mine", "../x")
        for more in (
            {},
            {"bucket": SECRET},
            {"bucket": f"{SECRET}/x"},
            {"region": f"{SECRET}_"},
            {"endpoint_url": f"http://127.0.0.1:9/{SECRET}"},
            {"endpoint_url": f"ftp://{SECRET}"},
            {"secret_key": f"{SECRET}\n\x00"},
            {"access_key": f"{SECRET} {SECRET}"},
        )
    ]
    bodies += [ask("setup").body, ask("files/list", profile="mine").body, ask("test", profile="mine").body]

    def fails(*_, **__):
        raise OSError(28, f"No space left on device: {SECRET}")

    monkeypatch.setattr(profile_writer, "_edited", fails)
    monkeypatch.setattr(profile_writer.durable_write, "write_all", fails)
    bodies.append(ask.post("setup/save", {**answers, "answers": given, "name": "another"}).body)
    shown = b"\n".join(bodies).decode() + "\n".join(
        record.getMessage() for record in caplog.records if record.name.startswith("cloud_storage")
    )
    shown = shown.replace(f"No space left on device: {SECRET}", "")  # this test's own words
    assert SECRET not in shown
    assert "AKIA-wrong" not in shown


def test_a_crash_in_the_middle_keeps_the_old_file(ask, monkeypatch):
    old = profiles(team={"bucket": "b"})

    class PowerCut(BaseException):
        pass

    def cut(*_):
        raise PowerCut

    write_all = durable_write.write_all

    def half(opened, data):
        write_all(opened, data[:10])
        cut()

    places = (
        (durable_write, "write_all", half),
        (profile_writer.os, "fsync", cut),
        (profile_writer.Path, "replace", cut),
    )
    for place, step, instead in places:
        with monkeypatch.context() as patch:
            patch.setattr(place, step, instead)
            with pytest.raises(PowerCut):
                profile_writer.write(file(), "mine", ANSWERS)
        assert file().read_bytes() == old, step
    assert ask.post("setup/save", GOOD).status == 200, "what the crash has left is in nobody's way"
    assert sorted(read()["profiles"]) == ["mine", "team"]


def test_a_full_disk_keeps_the_old_file_and_leaves_no_half_one(ask, monkeypatch):
    old = profiles(team={"bucket": "b"})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable_write, "write_all", full)
    answer = ask.post("setup/save", GOOD)
    assert answer.status == 502
    assert "No space left" in answer.json["error"]
    assert str(file().parent) not in answer.json["error"]
    assert file().read_bytes() == old
    assert [path.name for path in file().parent.iterdir()] == [file().name]


def test_two_that_save_at_once_both_find_a_place(ask):
    threads = [
        threading.Thread(target=ask.post, args=("setup/save", {**GOOD, "name": f"p{number}"}))
        for number in range(routes.AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read()["profiles"]) == [f"p{number}" for number in range(routes.AT_ONCE)]
