from dataclasses import replace

import pytest
from cloud_storage import profile, providers
from cloud_storage.storage.base import CONNECTIONS
from cloud_storage.storage.s3 import client


def resolved(tmp_path, **changes):
    environ = {
        "PROVIDER": "AWS S3",
        "BUCKET": "b",
        "REGION": "eu-west-1",
        "ACCESS_KEY": "AK",
        "SECRET_KEY": "SK",
    }
    environ = {f"COMFY_S3_{name}": value for name, value in environ.items()}
    return replace(profile.resolve("", {}, tmp_path / "profiles.json", environ), **changes), environ


def test_a_row_may_put_the_bucket_into_the_path(tmp_path):
    found, environ = resolved(tmp_path, bucket="cats", endpoint_url="https://s3.example")
    for style, address in {
        "path": "https://s3.example/cats/k",
        "virtual": "https://cats.s3.example/k",
    }.items():
        row = replace(providers.provider("AWS S3"), addressing=style)
        made = client.build(found, row, profile.credentials(found, environ))
        assert made.generate_presigned_url("get_object", {"Bucket": "cats", "Key": "k"}).startswith(
            f"{address}?"
        )


@pytest.mark.parametrize(
    ("bucket", "endpoint", "style"),
    [
        ("renders", "", "virtual"),
        ("my.renders", "", "path"),
        ("my_renders", "", "path"),
        ("Renders", "", "path"),
        ("renders", "http://127.0.0.1:9000", "path"),
        ("renders", "http://[::1]:9000", "path"),
        ("renders", "http://localhost:9000", "path"),
    ],
)
def test_a_bucket_is_a_host_name_only_where_it_can_be_one(tmp_path, bucket, endpoint, style):
    found, _ = resolved(tmp_path, bucket=bucket, endpoint_url=endpoint)
    row = replace(providers.provider("AWS S3"), addressing="virtual")
    assert client.addressing(found, row) == style


def test_a_client_sends_to_the_region_and_never_repeats_a_request_by_itself(tmp_path):
    found, environ = resolved(tmp_path)
    made = client.build(found, providers.provider("AWS S3"), profile.credentials(found, environ))
    assert made.meta.region_name == "eu-west-1"
    assert made.meta.config.retries["total_max_attempts"] == 1
    assert made.meta.config.max_pool_connections == CONNECTIONS
