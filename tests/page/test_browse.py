"""What the picker shows of a bucket, over HTTP."""

from __future__ import annotations

from cloud_storage.page import browse
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from page_requests import picture, put


def test_a_folder_is_listed_with_its_folders_files_sizes_and_dates(cloud, ask):
    put(cloud, "a/1.png", "a/b/2.png", "c.txt", "a/marker/")
    found = ask("list", folder="a/").json
    assert found["folders"] == ["a/b/", "a/marker/"]
    (file,) = found["files"]
    assert (file["key"], file["size"], file["etag"]) == ("a/1.png", 5, cloud.stat("a/1.png").etag)
    assert file["modified"].endswith("+00:00")
    assert found["following"] == ""
    assert ask("list").json["folders"] == ["a/"]
    assert ask("list", folder="a").json == found, "a folder may be named without its slash"
    assert ask("list", folder="a/marker/").json["files"] == [], "an object that stands for a folder is none"


def test_long_folders_come_in_pages(cloud, ask, monkeypatch):
    monkeypatch.setattr(browse, "PAGE_ENTRIES", 2)
    keys = [f"{number}.txt" for number in range(5)]
    put(cloud, *keys)
    found, token = [], ""
    while True:
        page = ask("list", token=token).json
        assert len(page["files"]) <= 2
        found += [file["key"] for file in page["files"]]
        token = page["following"]
        if not token:
            break
    assert found == keys


def test_a_search_finds_what_lies_anywhere_below_in_small_letters_or_capitals(cloud, ask):
    put(cloud, "a/Portrait.png", "a/b/c/portrait_2.PNG", "a/other.txt", "portrait.txt", "a/portraits/")
    found = ask("list", folder="a/", search="PORTRAIT").json
    assert [file["key"] for file in found["files"]] == ["a/Portrait.png", "a/b/c/portrait_2.PNG"]
    assert (found["folders"], found["following"]) == ([], "")
    assert ask("list", folder="a/", search="a/p").json["files"] == [], "the folder itself is not searched in"


def test_a_search_looks_at_a_bounded_number_of_keys_and_goes_on_from_there(cloud, ask, monkeypatch):
    monkeypatch.setattr(browse, "SEARCHED_KEYS", 3)
    monkeypatch.setattr(browse, "FOUND_KEYS", 2)
    put(cloud, *(f"{number}.txt" for number in range(4)), "5-found", "6-found", "7-found")
    found, token, asked = [], "", 0
    while True:
        page = ask("list", search="found", token=token).json
        found += [file["key"] for file in page["files"]]
        token, asked = page["following"], asked + 1
        if not token:
            break
    assert found == ["5-found", "6-found", "7-found"]
    assert asked == 3


def test_nothing_outside_the_prefix_is_ever_listed_or_shown(cloud, ask, fast_place):
    fast_place.open().put("outside.png", picture(), PutOptions(), Meter())
    put(cloud, "inside.txt")
    above = cloud.path_prefix
    for folder in ("", "/", "//", "../", f"../{above}", "%2e%2e/", "./", "a/../../", "\\", "/../"):
        for further in ({}, {"search": "side"}):
            answer = ask("list", folder=folder, **further)
            assert b"outside" not in answer.body, (folder, further)
            assert b"inside" in answer.body or answer.status == 400 or answer.json["files"] == [], folder
    for key in ("../outside.png", "/../outside.png", f"../{above}../outside.png", "outside.png"):
        assert ask("thumbnail", key=key).status in (400, 404), key


def test_a_token_of_another_folder_leads_nowhere_else(cloud, ask, fast_place, monkeypatch):
    monkeypatch.setattr(browse, "PAGE_ENTRIES", 1)
    outer = fast_place.open(path_prefix="")
    put(outer, "zz-outside-1", "zz-outside-2")
    put(cloud, "1", "2")
    token = outer.page("zz-outside-", 1).next_token
    assert token
    assert b"outside" not in ask("list", token=token).body
    assert b"outside" not in ask("list", token="zz-outside-", search="o").body
    assert ask("list", token="x" * (browse.TOKEN_CHARACTERS + 1)).status == 400


def test_only_files_with_one_of_the_endings_are_listed_and_the_others_are_counted(cloud, ask, monkeypatch):
    monkeypatch.setattr(browse, "PAGE_ENTRIES", 2)
    put(cloud, "1.txt", "2.txt", "3.txt", "4.PNG", "5.txt", "6.jpeg")
    first = ask("list", endings=".png,.jpeg").json
    assert ([file["key"] for file in first["files"]], first["hidden"]) == (["4.PNG"], 3)
    second = ask("list", endings=".png,.jpeg", token=first["following"]).json
    assert ([file["key"] for file in second["files"]], second["hidden"]) == (["6.jpeg"], 1)
    assert second["following"] == ""
    monkeypatch.setattr(browse, "EMPTY_PAGES", 1)
    page = ask("list", endings=".png").json
    assert (page["files"], page["hidden"]) == ([], 2)
    assert page["following"], "an empty page is not the end"
    for order in ("", "largest"):
        found = ask("list", search="t", endings=".txt", order=order).json
        assert [file["key"] for file in found["files"]] == ["1.txt", "2.txt", "3.txt", "5.txt"]
    assert ask("list", endings=",".join(["." + "x" * 20])).status == 400
    assert ask("list", endings=",".join([".x"] * 65)).status == 400


def test_an_order_is_of_all_files_and_says_where_it_is_not(cloud, ask, monkeypatch):
    for number in range(8):
        put(cloud, f"a/{number}.txt", data=b"x" * number)
    put(cloud, "a/b/9.txt", data=b"x" * 9)
    found = ask("list", folder="a/", order="largest").json
    assert [file["size"] for file in found["files"]] == [7, 6, 5, 4, 3, 2, 1, 0]
    assert (found["folders"], found["total"], found["complete"]) == (["a/b/"], 8, True)
    deeper = ask("list", folder="a/", order="largest", search="9").json
    assert [file["key"] for file in deeper["files"]] == ["a/b/9.txt"]
    monkeypatch.setattr(browse, "ORDERED_FILES", 2)
    found = ask("list", folder="a/", order="largest").json
    assert [file["size"] for file in found["files"]] == [7, 6]
    assert (found["total"], found["complete"]) == (8, True)
    monkeypatch.setattr(browse, "ORDERED_KEYS", 3)
    for search in ("", "t"):
        assert ask("list", folder="a/", order="largest", search=search).json["complete"] is False
    answer = ask("list", order="oddest")
    assert answer.status == 400
    assert "newest or largest" in answer.json["error"]
