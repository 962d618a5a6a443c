from __future__ import annotations

import pytest
from cloud_storage import errors, profile
from cloud_storage.storage.oss import client


def address(tmp_path, endpoint):
    environ = {
        "COMFY_S3_PROVIDER": "Aliyun OSS",
        "COMFY_S3_BUCKET": "b",
        "COMFY_S3_ENDPOINT_URL": endpoint,
        "COMFY_S3_ACCESS_KEY": "AK",
        "COMFY_S3_SECRET_KEY": "SK",
    }
    return client.address(profile.resolve("", {}, tmp_path / "profiles.json", environ))


@pytest.mark.parametrize(
    ("endpoint", "style", "region", "base"),
    [
        (
            "https://oss-cn-beijing.aliyuncs.com",
            "virtual",
            "cn-beijing",
            "https://b.oss-cn-beijing.aliyuncs.com/",
        ),
        (
            "https://oss-cn-beijing-internal.aliyuncs.com",
            "virtual",
            "cn-beijing",
            "https://b.oss-cn-beijing-internal.aliyuncs.com/",
        ),
        ("https://img.example.com", "custom", "cn-hangzhou", "https://img.example.com/"),
        ("http://127.0.0.1:9000", "path", "cn-hangzhou", "http://127.0.0.1:9000/b/"),
    ],
)
def test_where_a_bucket_is_follows_from_the_endpoint(tmp_path, endpoint, style, region, base):
    found = address(tmp_path, endpoint)
    assert (found.style, found.region, found.base) == (style, region, base)


@pytest.mark.parametrize("endpoint", ["https://oss-cn-beijing.aliyuncs.com/path", "http://[::1]:9000"])
def test_an_endpoint_that_oss2_cannot_use_is_refused(tmp_path, endpoint):
    with pytest.raises(errors.ConfigurationError, match=r"no bucket of OSS has|oss2 cannot use"):
        address(tmp_path, endpoint)
