"""The table of providers, one row each. No other module names a provider.

A difference between providers is a column. A value other than the default of its column has its reason and
source beside it; ``source`` documents the endpoint. All endpoints were compared with these pages in November
2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .errors import ConfigurationError, did_you_mean

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Provider:
    """One row.

    ``endpoint`` is a template with {region} and {account_id}; "" means the SDK's own, or that ``requires``
    has endpoint_url. ``requires`` names the settings that must be set unless endpoint_url is; a row without a
    default ``region`` has ``("region",)``. ``addressing``: the bucket is in the host, in the path, or where
    the SDK decides. ``checksums``: boto3 adds all that it knows (since 1.36), or only the required ones,
    because compatible servers may not know the others.

    ``conditional_writes`` and ``conditional_complete``: what the server does with ``If-None-Match: *`` when
    an object is put or a multipart upload completed. True: it respects the header. None: unknown; the header
    is sent, and the key is looked up first. False: the header is not sent, and the key is looked up first. A
    server that ignores or refuses the header has False in both. ``words`` are what the provider's console
    calls settings, by their names; others are called by the setting's own words.
    """

    name: str
    source: str
    backend: Literal["s3", "oss"] = "s3"
    endpoint: str = ""
    region: str = ""
    requires: tuple[str, ...] = ()
    addressing: Literal["virtual", "path", "auto"] = "virtual"
    checksums: Literal["when_supported", "when_required"] = "when_required"
    conditional_writes: bool | None = None
    conditional_complete: bool | None = None
    tagging: bool = True
    acl: bool = True
    max_parts: int = 10_000
    min_part_bytes: int = 5 * MIB
    max_part_bytes: int = 5 * GIB
    max_key_bytes: int = 1024
    words: Mapping[str, str] = field(default_factory=dict)

    def word(self, setting: str) -> str:
        """Return what the provider's console calls a setting."""
        return self.words.get(setting, setting.replace("_", " "))


# The first eight names are in users' environments and must never change.
PROVIDERS: dict[str, Provider] = {
    row.name: row
    for row in (
        Provider(
            "AWS S3",
            source="https://docs.aws.amazon.com/general/latest/gr/s3.html",
            region="us-east-1",
            checksums="when_supported",  # the only server that surely knows all that its own SDK sends
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
            conditional_writes=True,
            conditional_complete=True,
            # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html
            words={"access_key": "Access key ID", "secret_key": "Secret access key"},
        ),
        Provider(
            "Backblaze B2",
            source="https://www.backblaze.com/docs/cloud-storage-call-the-s3-compatible-api",
            endpoint="https://s3.{region}.backblazeb2.com",
            region="us-west-004",
            # https://www.backblaze.com/docs/cloud-storage-s3-compatible-api: no tags or ACLs of objects
            tagging=False,
            acl=False,
            # https://www.backblaze.com/docs/cloud-storage-create-and-manage-app-keys
            words={"access_key": "keyID", "secret_key": "applicationKey"},
        ),
        Provider(
            "Cloudflare R2",
            source="https://developers.cloudflare.com/r2/api/s3/api/",
            endpoint="https://{account_id}.r2.cloudflarestorage.com",
            region="auto",
            requires=("account_id",),
            conditional_writes=True,  # same page, PutObject: conditional operations
            tagging=False,  # same page: x-amz-tagging and x-amz-acl are not implemented
            acl=False,
            # https://developers.cloudflare.com/r2/api/tokens/
            words={
                "access_key": "Access Key ID",
                "secret_key": "Secret Access Key",
                "account_id": "Account ID",
            },
        ),
        Provider(
            "MinIO",
            source="https://github.com/minio/minio/blob/master/docs/config/README.md",
            endpoint="http://localhost:9000",  # the default of a server on this machine
            region="us-east-1",
            addressing="path",  # virtual hosts need MINIO_DOMAIN and a DNS wildcard, see the page above
            conditional_writes=True,  # https://github.com/minio/minio/pull/19681
        ),
        Provider(
            "Wasabi",
            source="https://docs.wasabi.com/docs/what-are-the-service-urls-for-wasabi-s-different-storage-regions",
            endpoint="https://s3.{region}.wasabisys.com",
            region="us-east-1",
        ),
        Provider(
            "DigitalOcean Spaces",
            source="https://docs.digitalocean.com/products/spaces/reference/s3-compatibility/",
            endpoint="https://{region}.digitaloceanspaces.com",
            region="nyc3",
        ),
        Provider(
            "GCS (S3 interop)",
            source="https://cloud.google.com/storage/docs/interoperability",
            endpoint="https://storage.googleapis.com",
            region="auto",
            # https://cloud.google.com/storage/docs/xml-api/overview lists no sub-resource for object tags
            tagging=False,
            # https://cloud.google.com/sdk/gcloud/reference/storage/hmac/create
            words={"access_key": "access ID of an HMAC key", "secret_key": "secret of the HMAC key"},
        ),
        Provider(
            "Custom",
            source="the server's own documentation",
            requires=("endpoint_url",),
            region="us-east-1",  # most private servers expect it in the signature
            addressing="path",  # virtual hosts would need a DNS wildcard
        ),
        Provider(
            "Aliyun OSS",
            source="https://www.alibabacloud.com/help/en/oss/user-guide/regions-and-endpoints",
            backend="oss",
            endpoint="https://oss-{region}.aliyuncs.com",
            region="cn-hangzhou",
            # https://www.alibabacloud.com/help/en/oss/developer-reference/uploadpart
            min_part_bytes=100 << 10,
            max_key_bytes=1023,  # https://www.alibabacloud.com/help/en/oss/user-guide/object-overview
            # https://www.alibabacloud.com/help/en/ram/user-guide/create-an-accesskey-pair
            words={"access_key": "AccessKey ID", "secret_key": "AccessKey Secret", "region": "Region ID"},
        ),
        Provider(
            "Tencent COS",
            source="https://www.tencentcloud.com/document/product/436/34688",
            endpoint="https://cos.{region}.myqcloud.com",
            region="ap-guangzhou",
            # https://www.tencentcloud.com/document/product/436/45241
            words={"access_key": "SecretId", "secret_key": "SecretKey"},
        ),
        Provider(
            "Huawei OBS",
            source="https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0005.html",
            endpoint="https://obs.{region}.myhuaweicloud.com",
            region="cn-north-4",
            # https://support.huaweicloud.com/intl/en-us/qs-obs/obs_qs_0005.html
            words={"access_key": "Access Key ID (AK)", "secret_key": "Secret Access Key (SK)"},
        ),
        Provider(
            "Volcengine TOS",
            # The S3 protocol has hosts of its own, tos-s3-…: ExtranetS3Endpoint on this page.
            source="https://docs.volcengine.com/docs/6349/1545462",
            endpoint="https://tos-s3-{region}.volces.com",
            region="cn-beijing",
            # virtual hosts only: https://docs.byteplus.com/en/docs/tos/docs-compatibility-with-amazon-s3
        ),
        Provider(
            "Hetzner",
            source="https://docs.hetzner.com/storage/object-storage/overview/",
            endpoint="https://{region}.your-objectstorage.com",
            region="fsn1",
        ),
        Provider(
            "Scaleway",
            source="https://www.scaleway.com/en/docs/object-storage/api-cli/object-storage-aws-cli/",
            endpoint="https://s3.{region}.scw.cloud",
            region="fr-par",
            max_parts=1000,  # https://www.scaleway.com/en/docs/object-storage/api-cli/multipart-uploads/
        ),
        Provider(
            "OVHcloud",
            source="https://help.ovhcloud.com/csm/en-public-cloud-storage-s3-location?id=kb_article_view&sysparm_article=KB0047393",
            endpoint="https://s3.{region}.io.cloud.ovh.net",
            region="gra",
        ),
        Provider(
            "Linode",
            source="https://techdocs.akamai.com/cloud-computing/docs/access-buckets-and-files-through-urls",
            endpoint="https://{region}.linodeobjects.com",
            region="us-east-1",
        ),
        Provider(
            "Vultr",
            source="https://docs.vultr.com/products/cloud-storage/object-storage",
            endpoint="https://{region}.vultrobjects.com",
            region="ewr1",
        ),
        Provider(
            "IDrive e2",
            # Every account has endpoints of its own, shown in its console.
            source="https://www.idrive.com/s3-storage-e2/guides/",
            requires=("endpoint_url",),
            region="us-east-1",
            addressing="path",  # the account's host has no certificate for buckets below it
        ),
        Provider(
            "Storj",
            source="https://storj.dev/dcs/api/s3/s3-compatible-gateway",
            endpoint="https://gateway.storjshare.io",
            region="us-east-1",  # the gateway takes any; boto3 wants one
        ),
        Provider(
            "Tigris",
            source="https://www.tigrisdata.com/docs/sdks/s3/aws-python-sdk/",
            endpoint="https://t3.storage.dev",
            region="auto",
        ),
        Provider(
            "Supabase",
            source="https://supabase.com/docs/guides/storage/s3/authentication",
            endpoint="https://{account_id}.storage.supabase.co/storage/v1/s3",
            region="us-east-1",
            requires=("account_id",),  # the project's reference
            addressing="path",  # same page: forcePathStyle
            tagging=False,  # https://supabase.com/docs/guides/storage/s3/compatibility
            acl=False,
            # https://supabase.com/docs/guides/storage/s3/authentication
            words={
                "access_key": "Access Key ID",
                "secret_key": "Secret Access Key",
                "account_id": "Project ID",
            },
        ),
        Provider(
            "Oracle",
            source="https://docs.oracle.com/en-us/iaas/Content/Object/Tasks/s3compatibleapi.htm",
            endpoint="https://{account_id}.compat.objectstorage.{region}.oraclecloud.com",
            region="us-ashburn-1",
            requires=("account_id",),  # the tenancy's Object Storage namespace
            addressing="path",  # virtual hosts have another domain, see the page above
            tagging=False,
            acl=False,
            # https://docs.oracle.com/en-us/iaas/Content/Identity/access/working-with-customer-secret-keys.htm
            words={
                "access_key": "Access Key",
                "secret_key": "Secret Key (of a Customer Secret Key)",
                "account_id": "Object Storage namespace",
            },
        ),
        Provider(
            "Nebius",
            source="https://docs.nebius.com/object-storage/quickstart",
            endpoint="https://storage.{region}.nebius.cloud",
            region="eu-north1",
        ),
        Provider(
            "CoreWeave",
            # Virtual hosts only, see the page.
            source="https://docs.coreweave.com/products/storage/object-storage/using-object-storage/configure-endpoints",
            endpoint="https://cwobject.com",
            region="us-east-04a",
        ),
        Provider(
            "RunPod",
            # A network volume is the bucket, its data center the region.
            source="https://docs.runpod.io/storage/s3-api",
            endpoint="https://s3api-{region}.runpod.io",
            region="EU-RO-1",
            addressing="path",  # the host has no certificate for volumes below it
            tagging=False,  # same page, list of operations
            acl=False,
            # https://docs.runpod.io/storage/s3-api
            words={
                "access_key": "access key of an S3 API key",
                "secret_key": "secret of the S3 API key",
                "bucket": "network volume ID",
                "region": "data center",
            },
        ),
    )
}


def names() -> list[str]:
    """Return the names in the order of the drop-down."""
    return list(PROVIDERS)


def provider(name: str, label: str = "provider") -> Provider:
    """Return the row of a provider. Raises ConfigurationError, in which the setting is called ``label``."""
    if name not in PROVIDERS:
        raise ConfigurationError(
            f"{label} is {name!r}, which is not a known provider.{did_you_mean(name, PROVIDERS)} "
            f"Known providers: {', '.join(PROVIDERS)}."
        )
    return PROVIDERS[name]


def endpoint(row: Provider, region: str, account_id: str) -> str:
    """Return the endpoint for a valid region and account, "" for the SDK's own.

    Host names are in lower case, so the region is too. A region that repeats the prefix of the endpoint
    ("oss-cn-beijing") loses it.
    """
    prefix = re.search(r"([a-z0-9]+-)\{region\}", row.endpoint)
    if prefix:
        region = region.removeprefix(prefix[1])
    return row.endpoint.format(region=region.lower(), account_id=account_id.lower())
