from __future__ import annotations

import ast
from urllib.parse import urlsplit

import pytest
from cloud_storage import errors, providers
from package_modules import modules

EIGHT = [
    "AWS S3",
    "Backblaze B2",
    "Cloudflare R2",
    "MinIO",
    "Wasabi",
    "DigitalOcean Spaces",
    "GCS (S3 interop)",
    "Custom",
]


def test_the_names_in_peoples_environments_come_first_and_as_they_are():
    assert providers.names()[:9] == [*EIGHT, "Aliyun OSS"]


@pytest.mark.parametrize(
    ("name", "region", "address"),
    [
        ("AWS S3", "us-east-1", ""),
        ("Backblaze B2", "us-west-004", "https://s3.us-west-004.backblazeb2.com"),
        ("Cloudflare R2", "auto", "https://abc123.r2.cloudflarestorage.com"),
        ("MinIO", "us-east-1", "http://localhost:9000"),
        ("Wasabi", "us-east-1", "https://s3.us-east-1.wasabisys.com"),
        ("DigitalOcean Spaces", "nyc3", "https://nyc3.digitaloceanspaces.com"),
        ("GCS (S3 interop)", "auto", "https://storage.googleapis.com"),
        ("Aliyun OSS", "cn-hangzhou", "https://oss-cn-hangzhou.aliyuncs.com"),
        ("RunPod", "EU-RO-1", "https://s3api-eu-ro-1.runpod.io"),
    ],
)
def test_defaults_are_those_of_the_contract(name, region, address):
    row = providers.provider(name)
    assert row.region == region
    assert providers.endpoint(row, row.region, "abc123") == address


def test_a_region_may_repeat_the_prefix_of_the_endpoint():
    row = providers.provider("Aliyun OSS")
    assert providers.endpoint(row, "oss-cn-beijing", "") == "https://oss-cn-beijing.aliyuncs.com"


@pytest.mark.parametrize("row", providers.PROVIDERS.values(), ids=lambda row: row.name)
def test_every_row_is_complete(row):
    assert row.source
    assert bool(row.region) != ("region" in row.requires), "a default region, or a required one"
    assert row.min_part_bytes <= row.max_part_bytes
    if not row.endpoint:
        assert row.name == "AWS S3" or "endpoint_url" in row.requires
        return
    address = urlsplit(providers.endpoint(row, row.region or "eu-1", "abc123"))
    assert address.scheme == ("http" if row.name == "MinIO" else "https")
    assert address.hostname
    assert "{" not in address.geturl()
    assert ("{account_id}" in row.endpoint) == ("account_id" in row.requires)
    assert row.source.startswith("https://")


def test_one_row_sends_what_only_its_server_is_sure_to_know():
    assert [row.name for row in providers.PROVIDERS.values() if row.checksums != "when_required"] == [
        "AWS S3"
    ]


def test_an_unknown_name_is_an_error_with_the_known_ones():
    with pytest.raises(errors.ConfigurationError, match="Did you mean 'Wasabi'") as raised:
        providers.provider("Wassabi")
    assert all(name in str(raised.value) for name in EIGHT)


def test_rows_do_not_change():
    with pytest.raises(AttributeError):
        providers.provider("Custom").region = "x"


def test_nothing_else_names_a_provider():
    default = providers.names()[0]
    for name, path in modules().items():
        if name == "providers":
            continue
        docstrings = {
            node.body[0].value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node)
        }
        told = {ast.unparse(node) for node in docstrings}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and ast.unparse(node) not in told
            ):
                assert node.value not in providers.PROVIDERS, (
                    f"{path.name} names {node.value}, line {node.lineno}"
                )
    assert default == "AWS S3"
