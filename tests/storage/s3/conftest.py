"""Requests around botocore's own work, on connections to a server whose answers a test writes."""

from __future__ import annotations

import pytest
from cloud_storage import profile, providers
from cloud_storage.storage.s3 import client, direct
from servers.scripted_server import Server

KEY = "a b/ü.png"
FIRST = b'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nETag: "x"\r\n\r\nx'


@pytest.fixture
def serve(tmp_path):
    opened = []

    def start(*answers, anonymous=False):
        """A server, and the requests of a client whose first request botocore has sent to it."""
        server = Server(FIRST, *answers)
        opened.append(server)
        environ = {
            **{"PROVIDER": "AWS S3", "BUCKET": "b", "REGION": "eu-west-1"},
            "ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
            **({"AUTH": "anonymous"} if anonymous else {"ACCESS_KEY": "AK", "SECRET_KEY": "S"}),
        }
        environ = {f"COMFY_S3_{name}": value for name, value in environ.items()}
        found = profile.resolve("", {}, tmp_path / "profiles.json", environ)
        boto = client.build(found, providers.provider("AWS S3"), profile.credentials(found, environ))
        made = direct.Direct(boto)
        assert made.connection() is None, "nobody knows yet where the bucket is"
        assert boto.get_object(Bucket="b", Key=KEY)["Body"].read() == b"x"
        made.learn(KEY)
        return server, made

    yield start
    for server in opened:
        server.close()
