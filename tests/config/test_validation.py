from __future__ import annotations

import pytest
from cloud_storage.config import validation
from cloud_storage.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://s3.example.com", "https://s3.example.com"),
        ("https://s3.example.com/", "https://s3.example.com"),
        ("HTTPS://S3.Example.COM//", "https://s3.example.com"),
        ("http://localhost:9000", "http://localhost:9000"),
        ("http://my_minio:9000", "http://my_minio:9000"),
        ("http://127.0.0.1:65535", "http://127.0.0.1:65535"),
        ("http://[::1]:9000/", "http://[::1]:9000"),
        ("https://[2001:DB8::1]", "https://[2001:db8::1]"),
        ("https://ref.example.co/storage/v1/s3", "https://ref.example.co/storage/v1/s3"),
        ("https://cdn.example.com/A/%C3%A4/", "https://cdn.example.com/A/%C3%A4"),
        ("https://cdn.example.com/~scope/...", "https://cdn.example.com/~scope/..."),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_address_is_kept_without_its_last_slash(url, clean):
    assert validation.clean_url(url, "public_url") == clean


@pytest.mark.parametrize(
    "url",
    [
        *(
            "s3.example.com",
            "localhost:9000",
            "//s3.example.com",
            "s3://bucket",
            "ftp://h",
            "file:///etc",
            "https:h",
        ),
        *(
            "https://",
            "https:///path",
            "https://:9000",
            "http://h:",
            "http://h:0",
            "http://h:65536",
            "http://h:x",
        ),
        *(
            "http://h:-1",
            "http://h:9000:9000",
            "http://[::1",
            "http://[fe80::1%25eth0]",
            "http://::1",
            "https://h h",
        ),
        *(
            "https://bücher.example",
            "https://ｅxample.com",
            "https://h\\evil",
            "https://h%2fevil",
            "https://h,evil",
        ),
        *(
            "https://h/a b",
            "https://h/ä",
            "https://h/a;b",
            "https://h/../x",
            "https://h/.",
            "https://h/a\\b",
            'https://h/"',
        ),
        *(
            "https://h\n.evil",
            "https://h/\r\nx",
            "https://h/\x7f",
            "https://{region}.example.com",
            "https://h/<a>",
        ),
        *(
            "https://user:pass-word@h",
            "https://user:pass-word/@h",
            "https://user:pass-word",
            "https://user@h",
            "https://h?x=1",
            "https://h/?",
            "https://h#x",
            "https://h/#",
        ),
    ],
)
def test_what_is_no_plain_address_is_refused_and_not_shown(url):
    with pytest.raises(ConfigurationError, match="endpoint_url in the environment") as caught:
        validation.clean_url(url, "endpoint_url in the environment")
    assert "pass-word" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "name", ["b", "my-bucket", "My_Bucket.2", "1234", "_x", "-x", "a..b", "x" * 255, "b--usw2-az1--x-s3"]
)
def test_a_bucket_may_have_any_name_that_the_sdk_takes(name):
    validation.check_bucket(name, "bucket")


@pytest.mark.parametrize(
    "name",
    [
        *(
            ".",
            "..",
            ".hidden",
            "a/b",
            "/a",
            "a\\b",
            "s3://a",
            "a?b",
            "a#b",
            "a%2f",
            "a b",
            "a@b",
            "ä",
            "a\n",
            "a:b",
            "",
        ),
        *("https://b.s3.amazonaws.com", "arn:aws:s3:us-west-2:123456789012:accesspoint/ap", "x" * 256),
    ],
)
def test_a_bucket_name_that_would_bend_an_address_is_refused(name):
    with pytest.raises(ConfigurationError, match="bare name"):
        validation.check_bucket(name, "bucket")


@pytest.mark.parametrize("value", ["us-east-1", "auto", "0123abcDEF"])
def test_a_region_is_letters_digits_and_hyphens(value):
    validation.check_endpoint_part(value, "region")


@pytest.mark.parametrize(
    "value",
    [
        "evil.com/",
        "us.east",
        "us-east-1\n",
        "https://s3.example.com",
        "a b",
        "a@b",
        "ü",
        "a:1",
        "../x",
        "%2e",
    ],
)
def test_a_region_that_would_bend_an_endpoint_is_refused(value):
    with pytest.raises(ConfigurationError, match="an address belongs in endpoint_url"):
        validation.check_endpoint_part(value, "region")


@pytest.mark.parametrize(
    "url", ["https://u:p@h", "https://u@h", "https://h/?", "https://h?x=1", "https://h/a#b"]
)
def test_more_than_an_address_is_told_apart_from_none(url):
    with pytest.raises(ConfigurationError, match="user name, query or fragment"):
        validation.clean_url(url, "endpoint_url")


def refusal(url, bucket):
    with pytest.raises(ConfigurationError) as caught:
        validation.refuse_bucket_in(url, bucket, "endpoint_url in the environment")
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "bucket", "right"),
    [
        ("https://s3.example.com/photos", "photos", "https://s3.example.com"),
        ("https://s3.example.com/photos/team", "photos", "https://s3.example.com/team"),
        ("https://gate.example.com/s3/photos", "photos", "https://gate.example.com/s3"),
        ("http://localhost:9000/photos", "photos", "http://localhost:9000"),
        ("https://photos.s3.us-west-004.backblazeb2.com", "photos", "https://s3.us-west-004.backblazeb2.com"),
        (
            "https://photos.s3.us-west-004.backblazeb2.com/photos",
            "photos",
            "https://photos.s3.us-west-004.backblazeb2.com",
        ),
        ("https://my.photos.nyc3.digitaloceanspaces.com", "my.photos", "https://nyc3.digitaloceanspaces.com"),
        ("https://photos.0abc.r2.cloudflarestorage.com", "Photos", "https://0abc.r2.cloudflarestorage.com"),
        ("https://photos.oss-cn-hangzhou.aliyuncs.com", "photos", "https://oss-cn-hangzhou.aliyuncs.com"),
        (
            "https://photos.oss-cn-hangzhou-internal.aliyuncs.com",
            "photos",
            "https://oss-cn-hangzhou-internal.aliyuncs.com",
        ),
        ("https://photos.storage.googleapis.com", "photos", "https://storage.googleapis.com"),
        ("https://photos.s3.amazonaws.com", "photos", "https://s3.amazonaws.com"),
        (
            "https://photos.s3.dualstack.eu-west-1.amazonaws.com",
            "photos",
            "https://s3.dualstack.eu-west-1.amazonaws.com",
        ),
        ("https://photos.s3.cn-north-1.amazonaws.com.cn", "photos", "https://s3.cn-north-1.amazonaws.com.cn"),
        ("https://photos.cwobject.com", "photos", "https://cwobject.com"),
        (
            "https://ref.storage.supabase.co/storage/v1/s3/photos",
            "photos",
            "https://ref.storage.supabase.co/storage/v1/s3",
        ),
    ],
)
def test_an_endpoint_with_the_bucket_in_it_is_refused_and_the_right_one_told(url, bucket, right):
    assert f"Write {right} there" in refusal(url, bucket)


@pytest.mark.parametrize(
    ("url", "bucket"),
    [
        ("https://assets.example.com", "assets"),
        ("https://storage.example.com", "storage"),
        ("https://storage.googleapis.com", "storage"),
        ("https://nyc3.digitaloceanspaces.com", "nyc3"),
        ("https://s3.us-east-1.amazonaws.com", "s3"),
        ("https://ref.storage.supabase.co/storage/v1/s3", "storage"),
        ("https://s3.us-west-004.backblazeb2.com", "s3"),
        ("https://oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou"),
        ("https://photos-2.s3.us-west-004.backblazeb2.com", "photos"),
        ("https://s3.example.com/photos-2", "photos"),
        ("http://photos:9000", "photos"),
    ],
)
def test_a_host_that_only_begins_like_the_bucket_is_taken(url, bucket):
    validation.refuse_bucket_in(url, bucket, "endpoint_url")
