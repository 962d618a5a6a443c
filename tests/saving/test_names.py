"""Tokens, names and keys: what people type becomes one good key, or is refused with the reason."""

import random
import unicodedata
from uuid import UUID

import pytest
from cloud_storage.errors import BadKey, ConfigurationError
from cloud_storage.saving import names
from cloud_storage.saving.names import Name, NameContext, Template, format_date
from cloud_storage.storage.keys import clean_key
from token_prompt import NOW, filled, key

# Tokens -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("%date%", "2024-03-05"),
        ("%time%", "070809"),
        ("%date:yyyy-MM-dd_hhmmss%", "2024-03-05_070809"),
        ("%year%-%month%-%day%_%hour%.%minute%.%second%", "2024-03-05_07.08.09"),
        ("%width%x%height%", "1024x768"),
        ("b%batch_num%", "b3"),
        ("%counter%", "00004"),
        ("%seed%", "42"),
    ],
)
def test_every_token_is_replaced(typed, expected):
    assert filled(typed, batch_num=3, width=1024, height=768) == expected


def test_tokens_work_in_the_prefix_too():
    assert key("%counter%", "%year%/%month%") == "2024/03/00001.png"


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("yy-M-d h:m:s", "24-3-5 7:8:9"),
        ("yyyy/MM/dd", "2024/03/05"),
        ("yyyy.MM.dd", "2024.03.05"),  # here the frontend stops at the first dot
        ("yyy y", "yyy y"),
        ("ddd", "055"),
        ("Kw D", "Kw D"),
        ("", ""),
    ],
)
def test_date_letters_are_those_of_comfyui(letters, expected):
    assert format_date(letters, NOW) == expected


def test_a_date_can_make_folders():
    assert key("%date:yyyy/MM/dd%/a") == "2024/03/05/a.png"
    assert key("%date:yyyy.MM.dd%") == "2024.03.05.png"


@pytest.mark.parametrize(
    "typed", ["%", "%%", "100%", "%nonsense%", "%No.widget%", "%KSampler.nothing%", "a%b", "%.%", "%Date%"]
)
def test_an_unknown_token_stays_as_it_is(typed):
    assert filled(typed) == typed


def test_a_percent_sign_before_a_token_does_not_hide_it():
    assert filled("50%_%date%") == "50%_2024-03-05"
    assert filled("%nonsense%year%") == "%nonsense2024"


def test_width_and_seed_stay_where_there_are_none():
    assert filled("%width%_%seed%", prompt=None) == "%width%_%seed%"


def test_a_uuid_is_new_for_every_name_and_the_same_within_one():
    first, second = (key("%uuid%", "%uuid%", batch_num=n, batch_size=2) for n in range(2))
    assert first != second
    folder, file = first.removesuffix(".png").split("/")
    assert folder == file == str(UUID(file))


# Names ------------------------------------------------------------------------------------------------


def name(filename, key_prefix="", extension="png", **context):
    return Template(key_prefix, filename, extension).name(NameContext(NOW, **context))


@pytest.mark.parametrize("filename", ["%" * 400_000, "%a" * 200_000, "x" * 400_000, "a." * 200_000 + "%"])
def test_a_name_that_is_longer_than_any_is_refused_at_once(monkeypatch, filename):
    monkeypatch.setattr(names, "_fill", lambda *_: pytest.fail("its percent signs are looked at"))
    with pytest.raises(ConfigurationError, match="characters"):
        name(filename)


@pytest.mark.parametrize(
    ("key_prefix", "filename", "expected"),
    [
        ("comfyui/images/", "a", "comfyui/images/a.png"),
        ("comfyui/images", "a", "comfyui/images/a.png"),
        ("/comfyui//images//", "/a", "comfyui/images/a.png"),
        (" comfyui / ", " a ", "comfyui /a.png"),
        ("", "a", "a.png"),
        ("/", "a", "a.png"),
        ("p", "sub/folder/a", "p/sub/folder/a.png"),
        ("p", "a.png", "p/a.png"),
        ("p", "a.PNG", "p/a.PNG"),
        ("p", "a.jpg", "p/a.jpg.png"),
        ("p", "v1.5", "p/v1.5.png"),
        ("p", ".hidden", "p/.hidden.png"),
        ("図", "e\u0301%+?#'\"🙂", "図/é%+?#'\"🙂.png"),
    ],
)
def test_prefix_and_filename_become_one_key(key_prefix, filename, expected):
    assert key(filename, key_prefix) == expected


def test_an_extension_is_not_doubled():
    assert key("a.jpeg", extension="jpg") == "a.jpeg"
    assert (
        key("%LoadImage.image%", prompt={"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}})
        == "a.png"
    )
    assert name("%counter%.png").numbered(7) == "00007.png"
    assert name("cat.png").numbered(2) == "cat_00002.png"


@pytest.mark.parametrize(
    "filename", ["", " ", "/", "sub/", "%counter%/", ".png", "sub/.png", "%Nothing.text%/"]
)
def test_a_name_without_a_filename_is_refused(filename):
    for key_prefix in ("", "folder/"):
        with pytest.raises(ConfigurationError, match="Fill in filename"):
            key(filename, key_prefix)


def test_the_counter_has_five_digits_and_more_when_needed():
    one = name("a_%counter%", "p")
    assert (one.head, one.first_number) == ("p/a_", 1)
    assert [one.numbered(n) for n in (1, 99_999, 100_000)] == [
        "p/a_00001.png",
        "p/a_99999.png",
        "p/a_100000.png",
    ]


def test_the_counter_may_stand_anywhere_and_more_than_once():
    assert name("img", "run_%counter%").numbered(3) == "run_00003/img.png"
    assert name("%counter%_%counter%").numbered(3) == "00003_00003.png"


def test_a_digit_behind_the_counter_is_kept_apart():
    assert name("%counter%%width%", width=64).numbered(3) == "00003_64.png"
    assert name("%counter%%counter%").numbered(3) == "00003_00003.png"
    assert name("%counter%", extension="").numbered(3) == "00003"


def test_a_counter_in_a_value_is_only_text():
    prompt = {"1": {"class_type": "T", "inputs": {"text": "%counter%"}}}
    assert name("%T.text%", prompt=prompt).fixed() == "%counter%.png"


def test_images_of_one_batch_never_share_a_key():
    def keys(filename):
        return [key(filename, batch_num=number, batch_size=3) for number in range(3)]

    assert keys("a.png") == ["a_0.png", "a_1.png", "a_2.png"]
    assert keys("a_%counter%") == ["a_00001.png", "a_00002.png", "a_00003.png"]
    assert keys("a%batch_num%") == ["a0.png", "a1.png", "a2.png"]
    assert len(set(keys("%uuid%"))) == 3
    assert not any("_0" in one for one in keys("%uuid%x"))
    assert key("a", batch_size=1) == "a.png"


def test_a_new_name_is_the_bare_one_before_any_number():
    assert [name("cat", "p").numbered(number) for number in (1, 2, 10_000)] == [
        "p/cat.png",
        "p/cat_00002.png",
        "p/cat_10000.png",
    ]
    assert name("%counter%", "p").numbered(1) == "p/00001.png"
    assert (name("cat", "p").first_number, name("%counter%", "p").first_number) == (2, 1), "it is the first"


@pytest.mark.parametrize("seed", range(50))
def test_every_numbered_key_begins_with_the_head_that_is_searched(seed):
    """Otherwise the counter would look in one place and save in another."""
    chance = random.Random(seed)
    parts = ["%counter%", "%T.text%", "/", "a", " ", "\u0301", "e", ".", "9", "_", "각"[:1], "ᆨ", "가"]
    prompt = {"1": {"class_type": "T", "inputs": {"text": chance.choice([" x ", "\u0301", "a b", " ", ""])}}}
    for _ in range(100):
        prefix, filename = ("".join(chance.choices(parts, k=chance.randint(0, 5))) for _ in range(2))
        try:
            one = name(filename, prefix, chance.choice(["", "png"]), prompt=prompt)
        except ConfigurationError:
            continue
        keys = [one.numbered(number) for number in (2, 12, 123_456)]
        assert all(
            made.startswith(f"{one.head}{n:05d}") for made, n in zip(keys, (2, 12, 123_456), strict=True)
        )
        assert all(clean_key(made) == made for made in [one.fixed(), *keys])


@pytest.mark.parametrize("filename", ["a\\b", "../a", "a/../b", "a\x01b", "x" * 1100, "%T.text%/x"])
def test_a_bad_name_is_refused_before_anything_is_encoded(filename):
    with pytest.raises(ConfigurationError):
        name(filename, "p", prompt={"1": {"class_type": "T", "inputs": {"text": ".."}}})


def test_a_name_is_in_nfc():
    assert unicodedata.is_normalized("NFC", key("e\u0301", "o\u0308"))


def test_the_length_of_a_name_counts_the_bytes_that_the_provider_leaves():
    with pytest.raises(ConfigurationError, match="9 bytes"):
        Template("", "abcde", "png", max_bytes=8).name(NameContext(NOW))
    assert Template("", "abcd", "png", max_bytes=8).name(NameContext(NOW)).fixed() == "abcd.png"


def test_a_name_can_be_made_without_a_template():
    assert Name(("a_", "_b"), ".webp").numbered(12) == "a_00012_b.webp"


@pytest.mark.parametrize(
    ("key_prefix", "filename"),
    [("s3://bucket/a", "x"), (" https://host/bucket/", "x"), ("", "oss://bucket/x"), ("S3://b", "%counter%")],
)
def test_an_address_in_the_place_of_a_folder_is_refused(key_prefix, filename):
    with pytest.raises(BadKey, match="only the folder in the bucket"):
        Template(key_prefix, filename, "png").name(NameContext(NOW))


def test_a_colon_alone_is_no_address():
    assert Template("a:/b", "x", "png").name(NameContext(NOW)).fixed() == "a:/b/x.png"
