"""What is dropped onto a node and what a node shows, as web/ understands it, in a browser without ComfyUI."""

from __future__ import annotations

import pytest
from aiohttp import web
from conftest import ROOT
from servers.page import served


@pytest.fixture
def parts(page):
    """A page of the same server as web/."""
    routes = web.RouteTableDef()

    @routes.post("/cloud_storage/drop")
    async def drop(request):
        query, body = request.query, await request.read()
        known = {"key": query["folder"] + query["name"], "size": len(body), "profile": query["profile"]}
        return web.json_response(known if "X-Cloud-Storage" in request.headers else {})

    with served(routes, {"/web": ROOT / "web", "/page": ROOT / "tests" / "browser"}) as address:
        page.goto(f"{address}/page/page.html")
        page.address = address
        yield page


def call(page, module, name, *given):
    """What a function of a module returns, for values of JSON."""
    return page.evaluate(
        "async ([module, name, given]) => (await import(`/web/${module}.js`))[name](...given)",
        [module, name, list(given)],
    )


def file(filename, subfolder="", kind="output"):
    return {"filename": filename, "subfolder": subfolder, "type": kind}


def test_the_files_of_a_node_are_those_of_all_lists_of_its_output_each_once(parts):
    output = {
        "images": [file("a.png"), file("a.png"), file("b.png", "sub", "temp")],
        "audio": [file("a.flac")],
        "gifs": [{**file("a.mp4"), "frame_rate": 8, "fullpath": "/x/a.mp4"}],
        "animated": [True],
        "text": ["a.png"],
        "result": [None, {"filename": "no type"}, {"filename": "x", "type": "models"}, {"type": "temp"}],
        "a": 1,
    }
    assert call(parts, "shown_files", "filesOf", output, []) == [
        file("a.png"),
        file("b.png", "sub", "temp"),
        file("a.flac"),
        file("a.mp4"),
    ]


def test_without_an_output_the_addresses_of_its_images_say_which_files_they_are(parts):
    images = [
        {"src": "/api/view?filename=a%20b.png&type=input&subfolder=c&rand=0.5"},
        {"src": "https://example.org/view?filename=a.png&type=input"},
        {"src": "/api/elsewhere?filename=a.png&type=input"},
        {"src": "data:image/png;base64,AAAA"},
        {"src": "/api/view?filename=a.png&type=models"},
        {},
    ]
    assert call(parts, "shown_files", "filesOf", {}, images) == [file("a b.png", "c", "input")]
    assert call(parts, "shown_files", "filesOf", None, None) == []


@pytest.mark.parametrize(
    ("key", "folder"),
    [
        *(("", "uploads/"), ("a.png", "uploads/"), ("renders/a.png", "renders/"), ("/a/b/c.png", "a/b/")),
        *((None, "uploads/"), ("renders/%date%/x.png", "renders/"), ("/a.png", "uploads/"), ("a/", "a/")),
    ],
)
def test_a_dropped_file_goes_into_the_folder_that_the_key_names(parts, key, folder):
    assert call(parts, "dropped_files", "folderOf", key) == folder


@pytest.mark.parametrize(
    ("kind", "names", "found"),
    [
        ("image", ["a.PNG"], {"file": {"name": "a.PNG"}, "isOneOfSeveral": False}),
        ("image", ["a.mp4", "b.png", "c.png"], {"file": {"name": "b.png"}, "isOneOfSeveral": True}),
        ("image", ["a.mp4"], {"refused": {"name": "a.mp4"}}),
        ("image", ["workflow.json"], {}),
        ("text", ["workflow.json"], {"file": {"name": "workflow.json"}, "isOneOfSeveral": False}),
        ("image", [], {}),
    ],
)
def test_only_a_file_that_the_node_loads_is_taken_and_workflows_are_comfyui_s(parts, kind, names, found):
    script = """async ([kind, files]) => {
        const { KINDS } = await import("/web/kinds.js")
        return (await import("/web/dropped_files.js")).fileFor(KINDS[kind], files)
    }"""
    assert parts.evaluate(script, [kind, [{"name": name} for name in names]]) == found


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"required": {"profile": [["(env vars)", "a"], {}]}}, ["(env vars)", "a"]),
        ({"required": {"profile": ["COMBO", {"options": ["a"]}]}}, ["a"]),
        ({"required": {"profile": ["STRING", {}]}}, []),
        ({}, []),
    ],
)
def test_the_profiles_are_those_of_the_profile_node_s_list(parts, given, names):
    assert call(parts, "profile_names", "profileNames", {"input": given}) == names


UPLOAD = """async () => {
    const [{ serverOf }, { texts }] = [await import("/web/api.js"), await import("/web/texts.js")]
    const parts = []
    const server = serverOf((path) => path, texts("en"))
    const file = new File(["x".repeat(1000)], "a b.png")
    const upload = server.drop({ profile: "mine" }, "f/", file, (part) => parts.push(part))
    return [await upload.catch(({ message }) => message), parts.at(-1)]
}"""


def test_an_upload_says_how_far_it_is_and_what_became_of_it(parts):
    assert parts.evaluate(UPLOAD) == [{"key": "f/a b.png", "size": 1000, "profile": "mine"}, 1]


def test_an_upload_that_fails_says_why(parts):
    parts.route("**/cloud_storage/drop*", lambda route: route.fulfill(status=413, json={"error": "Large."}))
    assert parts.evaluate(UPLOAD)[0] == "Large."
    parts.unroute_all()
    parts.route("**/cloud_storage/drop*", lambda route: route.fulfill(status=404, body="no route"))
    assert "older version" in parts.evaluate(UPLOAD)[0]
    parts.unroute_all()
    parts.route("**/cloud_storage/drop*", lambda route: route.abort())
    assert "broke off" in parts.evaluate(UPLOAD)[0]


WAITS = {"status": "waiting", "sha256": "a"}


@pytest.mark.parametrize(
    ("files", "arrived", "keys"),
    [
        ([WAITS], [{"sha256": "a", "key": "x.png"}], ["x.png"]),
        ([WAITS, {"status": "stored", "key": "y.png"}], [{"sha256": "a", "key": "x.png"}], ["x.png"]),
        ([WAITS, {"status": "waiting", "sha256": "b"}], [{"sha256": "a", "key": "x.png"}], None),
        ([{"status": "stored", "sha256": "a"}], [{"sha256": "a", "key": "x.png"}], None),
        ([], [], None),
        (None, [], None),
    ],
)
def test_a_node_s_files_have_arrived_when_all_that_waited_have(parts, files, arrived, keys):
    assert call(parts, "outbox_arrivals", "arrivedKeys", files, arrived) == keys


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (("custom_validation_failed", "Custom validation failed", "key - Fill in - key."), "Fill in - key."),
        (("value_not_in_list", "Value not in list", "link: 'x'"), "Value not in list: link: 'x'"),
        (("required_input_missing", "Required input is missing", ""), "Required input is missing"),
    ],
)
def test_why_the_server_refuses_a_node_is_told_in_its_words(parts, error, text):
    given = dict(zip(("type", "message", "details"), error, strict=True))
    assert call(parts, "runs", "refusal", given) == text


# ------------------------------------------------------------ marks on nodes

LOADED = {"status": "fetched", "key": "a.png", "etag": "1"}


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([LOADED], LOADED),
        ([{**LOADED, "status": "unchanged"}], {**LOADED, "status": "unchanged"}),
        ([{**LOADED, "status": "stored"}], None),
        ([{"status": "unchanged", "key": "a.png"}], None),
        ([LOADED, LOADED], None),
        ([], None),
        (None, None),
    ],
)
def test_a_node_that_has_loaded_one_file_can_become_out_of_date(parts, files, found):
    assert call(parts, "node_marks", "loadedFile", files) == found


@pytest.mark.parametrize(
    ("value", "kind", "found"),
    [
        ("sub/a.safetensors", "loras", "sub/a.safetensors"),
        ("sub\\a.safetensors", "loras", "sub/a.safetensors"),
        ("a.safetensors", "loras", ""),
        ("sub/a.safetensors", "vae", ""),
    ],
)
def test_a_loader_waits_for_the_model_that_it_names(parts, value, kind, found):
    widgets = [{"name": "strength", "value": 1}, {"name": "lora_name", "value": value}]
    downloads = [{"type": kind, "name": "sub/a.safetensors"}]
    assert call(parts, "node_marks", "awaitedModel", widgets, {"lora_name": ["loras"]}, downloads) == found
    assert call(parts, "node_marks", "awaitedModel", widgets, None, downloads) == ""


def test_a_mark_stands_above_the_lines_until_the_next_ones(parts):
    shown = parts.evaluate(
        """async () => {
            const { showLines, showMark } = await import("/web/node_lines.js")
            const node = {
                size: [300, 100], widgets: [], title: "Load Image",
                computeSize: () => [300, 100], setSize() {},
                addDOMWidget(name, _type, element) {
                    node.widgets.push({ name, element })
                    return node.widgets.at(-1)
                },
            }
            const say = Object.assign((text) => text, { message: (text) => text })
            const host = { say: () => say, server: () => ({}) }
            const lines = () => [...(node.widgets[0]?.element.querySelectorAll(".cs-line") ?? [])]
                .map((one) => one.className + one.textContent)
            const seen = []
            for (const act of [
                () => showMark(host, node, "waits"),
                () => showMark(host, node, ""),
                () => showLines(host, node, ["Loaded a."], true),
                () => showMark(host, node, "a has changed"),
                () => showMark(host, node, ""),
                () => showMark(host, node, "a has changed"),
                () => showLines(host, node, ["Loaded a again."], true),
            ]) {
                act()
                seen.push(lines())
            }
            return seen
        }"""
    )
    warning = "cs-line cs-warning"
    assert shown == [
        [f"{warning}waits"],
        [],
        ["cs-lineLoaded a."],
        [f"{warning}a has changed", "cs-lineLoaded a."],
        ["cs-lineLoaded a."],
        [f"{warning}a has changed", "cs-lineLoaded a."],
        ["cs-lineLoaded a again."],
    ]
