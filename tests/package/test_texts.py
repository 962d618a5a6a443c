"""Every text that a user meets is there in English and in Chinese, for every node that there is."""

from __future__ import annotations

import json
import re
import shutil
import sys

import cloud_storage
import pytest
from conftest import ROOT
from PIL import Image

LOCALES, DOCS, WEB = ROOT / "locales", ROOT / "web" / "docs", ROOT / "web"
CHINESE = re.compile("[一-鿿]")
NODES = sorted(cloud_storage.NODE_CLASS_MAPPINGS)

# Nodes that texts may be about: a text for any other is left over from a node that was renamed.
EVER = {
    *("CloudStorageProfile", "TestCloudConnection", "ListBucketContents", "GeneratePresignedURL"),
    *("SaveImageToCloud", "SaveVideoToCloud", "SaveAudioToCloud", "UploadFileToCloud", "UploadModelToCloud"),
    *("LoadImageFromCloud", "LoadMaskFromCloud", "LoadImagesFromCloud", "LoadVideoFromCloud"),
    *("LoadAudioFromCloud", "LoadModelFromCloud", "RetryPendingUploads", "DownloadFileFromCloud"),
    "SyncFolderWithCloud",
    *("SaveTextToCloud", "LoadTextFromCloud", "SaveLatentToCloud", "LoadLatentFromCloud"),
}


def definitions(language: str) -> dict[str, dict[str, object]]:
    return json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))


def texts_of(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts_of(each)]
    return [str(value)]


def inputs_of(node_id: str) -> list[str]:
    declared = cloud_storage.NODE_CLASS_MAPPINGS[node_id].INPUT_TYPES()
    return [*declared.get("required", {}), *declared.get("optional", {})]


@pytest.fixture
def nodedefs(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    for name in ("environment", "nodedefs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import nodedefs

    return nodedefs


def test_the_english_definitions_are_the_nodes_own_texts(comfyui, nodedefs):
    wanted = nodedefs.described(cloud_storage.NODE_CLASS_MAPPINGS, cloud_storage.NODE_DISPLAY_NAME_MAPPINGS)
    assert nodedefs.missing(wanted) == []
    assert nodedefs.FILE.read_text(encoding="utf-8") == nodedefs.text(wanted), "python3 tools/nodedefs.py"
    for path, page in nodedefs.pages(wanted, cloud_storage.NODE_CLASS_MAPPINGS).items():
        assert path.read_text(encoding="utf-8") == page, "python3 tools/nodedefs.py"


NO_TOOLTIP = "ListBucketContents has no name and tooltip of input pattern. Add them."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda zh: zh["ListBucketContents"]["inputs"].pop("pattern"), NO_TOOLTIP),
        (lambda zh: zh["ListBucketContents"]["inputs"]["pattern"].pop("tooltip"), NO_TOOLTIP),
        (lambda zh: zh["ListBucketContents"]["outputs"].pop("2"), "tooltip of output 2. Add them."),
        (lambda zh: zh["ListBucketContents"].pop("description"), "ListBucketContents has no description."),
        (
            lambda zh: zh["ListBucketContents"]["inputs"].update(sort={"name": "排序", "tooltip": "排序"}),
            "ListBucketContents has other inputs than the node, or in another order",
        ),
        (lambda zh: zh.pop("ListBucketContents"), "has no display_name. Add it."),
    ],
)
def test_what_has_to_be_written_by_hand_first_is_named_and_nothing_is_written(
    comfyui, nodedefs, monkeypatch, tmp_path, change, said
):
    chinese = definitions("zh")
    change(chinese)
    file = nodedefs.ROOT / "locales" / "zh" / "nodeDefs.json"
    monkeypatch.setattr(nodedefs, "ROOT", tmp_path)
    monkeypatch.setattr(nodedefs, "CHINESE", tmp_path / file.name)
    monkeypatch.setattr(nodedefs, "FILE", tmp_path / "en.json")
    monkeypatch.setattr(nodedefs, "HELP", tmp_path / "docs")
    shutil.copytree(DOCS, nodedefs.HELP)
    nodedefs.CHINESE.write_text(json.dumps(chinese), encoding="utf-8")
    with pytest.raises(SystemExit, match=re.escape(said)) as ended:
        nodedefs.write(cloud_storage)
    assert str(ended.value).startswith("Nothing was written.\n")
    assert not nodedefs.FILE.exists()


@pytest.mark.parametrize("node_id", NODES)
def test_every_node_has_its_texts_in_chinese(comfyui, node_id):
    node, kind = definitions("zh")[node_id], cloud_storage.NODE_CLASS_MAPPINGS[node_id]
    assert sorted(node) == ["description", "display_name", "inputs", "outputs"]
    assert list(node["inputs"]) == inputs_of(node_id)
    assert list(node["outputs"]) == [str(number) for number in range(len(kind.RETURN_NAMES))]
    for socket in (*node["inputs"].values(), *node["outputs"].values()):
        assert sorted(socket) == ["name", "tooltip"]
    names = {"VAE", "CRF", "SHA-256", "Latent"}
    assert not [text for text in texts_of(node) if not CHINESE.search(text) and text not in names]


WORD = re.compile(r"%[\w:.-]+%|[a-z0-9](?:[\w.:-]*[a-z0-9])?", re.ASCII | re.IGNORECASE)
TRANSLATED_TOKENS = {"%标记%": "%tokens%", "%节点.控件%": "%Node.widget%"}


def words_of(text: str) -> set[str]:
    for chinese, english in TRANSLATED_TOKENS.items():
        text = text.replace(chinese, english)
    return set(WORD.findall(text))


@pytest.mark.parametrize("node_id", NODES)
def test_the_chinese_texts_have_the_tokens_numbers_and_names_of_the_english_ones(node_id):
    """So a Chinese text that was left behind when the English one changed is noticed."""
    english, chinese = (definitions(language)[node_id] for language in ("en", "zh"))
    sockets = {name for node in definitions("en").values() for name in (*node["inputs"], *outputs_of(node))}
    for text, translated in zip(tooltips_of(english), tooltips_of(chinese), strict=True):
        ours, theirs = words_of(text), words_of(translated)
        names = {word for word in ours if re.search(r"[%\d_.]|.[A-Z]", word)} - sockets - {"path_prefix"}
        assert names <= theirs, f"change locales/zh/nodeDefs.json as well: {text}"
        left = {word.lower() for word in theirs - {"N"}} - {word.lower() for word in ours}
        assert not left, f"change locales/zh/nodeDefs.json as well: {translated}"


def outputs_of(node: dict[str, dict[str, dict[str, str]]]) -> list[str]:
    return [output["name"] for output in node["outputs"].values()]


def tooltips_of(node: dict[str, dict[str, dict[str, str]]]) -> list[str]:
    sockets = [*node["inputs"].values(), *node["outputs"].values()]
    return [str(node["description"]), *(socket["tooltip"] for socket in sockets)]


def test_a_node_that_may_overwrite_does_not_promise_to_keep_what_exists():
    words = {"en": (r"\bexist", "overwrite"), "zh": ("已有", "覆盖")}
    for language, (promise, exception) in words.items():
        for node_id, node in definitions(language).items():
            if "if_exists" in inputs_of(node_id) and re.search(promise, node["description"]):
                assert exception in node["description"], node_id
            assert "never over" not in node["description"], node_id


@pytest.mark.parametrize(("language", "words"), [("en", "(?i)image|picture"), ("zh", "图像|图片")])
def test_a_node_for_sound_models_or_files_speaks_of_no_images(language, words):
    others = [node_id for node_id in NODES if re.search("Audio|Model|File", node_id)]
    assert len(others) == 6
    for node_id in others:
        assert not [text for text in texts_of(definitions(language)[node_id]) if re.search(words, text)]


def test_a_key_of_an_object_is_none_of_a_keyboard():
    """As Aliyun's console calls it; 关键 is a word of its own."""
    assert definitions("zh")["LoadImageFromCloud"]["inputs"]["key"]["name"] == "对象名称"
    files = [*LOCALES.glob("zh/*.json"), *WEB.rglob("*.js"), *DOCS.glob("*/zh.md")]
    for path in (*files, *ROOT.glob("*.zh.md"), *ROOT.glob("docs/*.zh.md")):
        assert not re.search("(?<!关)键(?!盘)", path.read_text(encoding="utf-8")), path


def test_no_text_is_about_a_node_that_never_was():
    assert set(cloud_storage.NODE_CLASS_MAPPINGS) <= EVER
    assert set(definitions("zh")) <= EVER
    assert {path.stem for path in DOCS.glob("*.md")} <= EVER
    assert {path.name for path in DOCS.iterdir() if path.is_dir()} <= EVER


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_text_holds_what_the_page_would_take_for_its_own_signs(language):
    for text in texts_of(definitions(language)):
        assert not re.search(r"[{}|@<>]", text), text  # vue-i18n: values, plurals, links; and HTML


@pytest.mark.parametrize("node_id", NODES)
@pytest.mark.parametrize("page", ["{}.md", "{}/zh.md"])
def test_every_node_has_a_page_of_help_that_tells_of_each_input_and_output(comfyui, node_id, page):
    text = (DOCS / page.format(node_id)).read_text(encoding="utf-8")
    title = definitions("zh" if page.endswith("zh.md") else "en")[node_id]["display_name"]
    assert text.startswith(f"# {title}\n")
    kind = cloud_storage.NODE_CLASS_MAPPINGS[node_id]
    for name in (*inputs_of(node_id), *kind.RETURN_NAMES):
        assert re.search(rf"^\| `{name}` \|", text, re.MULTILINE), (page, name)
    assert bool(CHINESE.search(text)) == page.endswith("zh.md")
    # Frontends from 1.27 to 1.58 look it up from docs/, also for a page in the folder of a language.
    assert re.findall(r"!\[[^]]+\]\(([^)]+)\)", text) == [f"{node_id}.jpg"]


def test_the_pictures_of_the_help_open_and_are_small_enough_for_everybody_to_download():
    pictures = sorted(DOCS.rglob("*.jpg"))
    assert [path.relative_to(DOCS).as_posix() for path in pictures] == [f"{node_id}.jpg" for node_id in NODES]
    for path in pictures:
        with Image.open(path) as picture:
            picture.load()
            assert min(picture.size) >= 200, path.name
            assert max(picture.size) <= 1200, path.name
        assert path.stat().st_size < 80_000, path.name
    assert sum(path.stat().st_size for path in pictures) < 70_000 * len(pictures)


def test_every_node_is_found_by_other_words_too():
    for node_id, kind in cloud_storage.NODE_CLASS_MAPPINGS.items():
        assert len(kind.SEARCH_ALIASES) >= 3, node_id
        assert any(CHINESE.search(alias) for alias in kind.SEARCH_ALIASES), node_id


# ------------------------------------------------------------ texts.js


def table(language: str) -> dict[str, str]:
    """The texts of one language: its column of the table in the file."""
    source = (WEB / "texts.js").read_text(encoding="utf-8")
    rows = re.findall(r'^  (\w+): \[\s*"(.*)",\s*"(.*)",?\s*\],$', source, re.MULTILINE)
    assert len(rows) == len(re.findall(r"^  \w+: \[", source, re.MULTILINE)), "a row has another form"
    return {key: english if language == "en" else chinese for key, english, chinese in rows}


def test_the_page_says_everything_in_both_languages():
    english, chinese = table("en"), table("zh")
    assert len(english) > 30
    assert list(english) == list(chinese)
    for key, text in english.items():
        assert re.findall(r"{\w+}", text) == re.findall(r"{\w+}", chinese[key]), key
        assert CHINESE.search(chinese[key]), key
        assert not CHINESE.search(text), key


def test_the_page_says_nothing_that_is_not_in_the_table_and_the_table_nothing_else():
    sources = "".join(path.read_text(encoding="utf-8") for path in sorted(WEB.glob("*.js")))
    code = sources.replace((WEB / "texts.js").read_text(encoding="utf-8"), "")
    said = set(re.findall(r'"(\w+)"', code)) | {f"sort_{order}" for order in ("name", "newest", "largest")}
    assert set(table("en")) <= said, "said by nobody"
    direct = set(re.findall(r'(?:say|this\.button)\("(\w+)"', code))
    assert direct <= set(table("en"))
    assert len(direct) > 20


def test_only_our_own_modules_are_loaded_and_nothing_from_elsewhere():
    for path in sorted(WEB.glob("*.js")):
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r'^import .* from "([^"]+)"', text, re.MULTILINE):
            known = target in ("../../scripts/app.js", "../../scripts/api.js")
            assert known or (target.startswith("./") and (WEB / target).is_file()), (path.name, target)
        is_table = path.name in ("texts.js", "messages_zh.js")
        assert path.name == "messages_zh.js" or not re.search(
            r"https?://(?!www\.w3\.org/2000/svg)\w", text
        ), path.name
        for dangerous in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert dangerous not in text, (path.name, dangerous)
        assert max(map(len, text.splitlines())) <= 120 or is_table, path.name
    for path in WEB.glob("*.css"):
        assert "url(" not in path.read_text(encoding="utf-8"), path.name
