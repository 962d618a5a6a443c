"""A server that does no work: nginx speaks enough S3 for one bucket, and limits nothing but each connection.

What a transfer can reach beside it is the client's own speed. A far or busy store is there without one: every
connection may be limited to so many bytes per second, and every answer may come later. It gives the
files of a folder, answers every upload as done and remembers its size. Signatures and checksums are not
looked at; a CRC-32 is in the answer, as AWS and MinIO have it in theirs. Needs Debian's nginx-light,
libnginx-mod-http-lua and libnginx-mod-stream.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

MODULES = ("ndk_http_module", "ngx_http_lua_module", "ngx_stream_module")
MODULE_FOLDER = Path("/usr/lib/nginx/modules")
BUCKET = "bench"

CONFIGURATION = """
{modules}
user {user};
worker_processes 2;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
{stream}
http {{
  access_log off;
  sendfile on;
  tcp_nodelay on;
  keepalive_requests 1000000;
  keepalive_timeout 300s;
  client_max_body_size 0;
  client_body_buffer_size 80m;
  client_body_temp_path {folder}/body;
  lua_shared_dict sizes 32m;
  default_type application/octet-stream;
  etag on;
  server {{
    {listen}
    root {files};
    limit_rate {rate};
    log_by_lua_block {{ ngx.shared.sizes:incr("sent", tonumber(ngx.var.bytes_sent), 0) }}
    location = /_sent {{ content_by_lua_block {{ ngx.print(ngx.shared.sizes:get("sent") or 0) }} }}
    location /_uploaded/ {{ content_by_lua_block {{
      local key = ngx.var.uri:sub(11)
      ngx.print(ngx.shared.sizes:get(key) or 0)
      ngx.shared.sizes:delete(key)
    }} }}
    location /{bucket}/checked/ {{
      {headers}
    }}
    location / {{
      rewrite_by_lua_block {{
        local delay, sizes = {delay}, ngx.shared.sizes
        if delay > 0 then ngx.sleep(delay) end
        local method, asked, key = ngx.req.get_method(), ngx.req.get_uri_args(), ngx.var.uri
        local function xml(text)
          ngx.header.content_type = "application/xml"
          text = '<?xml version="1.0" encoding="UTF-8"?>' .. text
          ngx.header.content_length = #text
          ngx.print(text)
          return ngx.exit(200)
        end
        if method == "PUT" or method == "POST" then
          ngx.req.read_body()
          ngx.req.clear_header("If-None-Match") -- nginx would answer 304
          local length = ngx.req.get_headers()["x-amz-decoded-content-length"]
          length = tonumber(length or ngx.var.content_length or 0)
          if method == "POST" and asked.uploads ~= nil then
            return xml("<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>k</Key><UploadId>" ..
              ngx.var.request_id .. "</UploadId></InitiateMultipartUploadResult>")
          elseif method == "POST" then
            sizes:set(key, sizes:get(asked.uploadId) or 0)
            return xml('<CompleteMultipartUploadResult><Bucket>{bucket}</Bucket><Key>k</Key><ETag>' ..
              '"00000000000000000000000000000000-2"</ETag></CompleteMultipartUploadResult>')
          end
          ngx.header["x-amz-checksum-crc32"] = ngx.req.get_headers()["x-amz-checksum-crc32"]
          if asked.uploadId then sizes:incr(asked.uploadId, length, 0) else sizes:set(key, length) end
          ngx.header.etag = '"00000000000000000000000000000000"'
          ngx.header.content_length = 0
          return ngx.exit(200)
        elseif method == "DELETE" then
          return ngx.exit(204)
        elseif key == "/{bucket}" or key == "/{bucket}/" then
          if asked.location ~= nil then return xml("<LocationConstraint></LocationConstraint>") end
          local name = (asked.prefix or ""):gsub("/", "_") .. (asked["continuation-token"] or "")
          local file = io.open("{folder}/list" .. name .. ".xml")
          if file then
            local text = file:read("*a"); file:close()
            return xml(text)
          end
          return xml("<ListBucketResult><Name>{bucket}</Name><KeyCount>0</KeyCount>" ..
            "<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>")
        elseif method == "HEAD" and sizes:get(key) then
          ngx.header.content_length = sizes:get(key)
          ngx.header.etag = '"00000000000000000000000000000000"'
          ngx.header.last_modified = "Sat, 28 Nov 2026 10:00:00 GMT"
          return ngx.exit(200)
        end
      }}
    }}
  }}
}}
"""


def missing() -> str:
    """What has to be installed; "" for nothing."""
    lacks = [name for name in MODULES if not (MODULE_FOLDER / f"{name}.so").exists()]
    if shutil.which("nginx") and not lacks:
        return ""
    return "nginx-light, libnginx-mod-http-lua and libnginx-mod-stream of Debian"


STREAM = """
stream {{
  server {{
    {listen}
    proxy_pass 127.0.0.1:{port};
    proxy_buffer_size 256k;
    proxy_upload_rate {rate};
  }}
}}
"""
HTTP_PORT = 80  # the AWS CLI's CRT asks for it whatever port is in the address; only root may listen there


class Keys:
    access_key, secret_key = "benchmark", "benchmark-secret"


class NullServer:
    """Runs while it is entered. ``bytes_per_second`` of each connection counts for what the server sends, or,
    with ``limits_uploads``, for what it receives; 0 for no limit.

    ``files`` holds the bucket's folder. What is below ``checked/`` in it is answered with the headers in the
    file ``headers`` of ``folder``: a name and a value a line.
    """

    region = "us-east-1"
    keys = Keys
    bucket = BUCKET

    def __init__(
        self,
        folder: Path,
        *,
        bytes_per_second: float = 0,
        delay_seconds: float = 0,
        limits_uploads: bool = False,
    ) -> None:
        self.folder, self.files = folder, folder / "files"
        self._rate, self._delay = int(bytes_per_second), delay_seconds
        self._limits_uploads = limits_uploads

    def __enter__(self) -> NullServer:
        (self.files / BUCKET).mkdir(parents=True, exist_ok=True)
        port, inner_port = _free_ports(2)
        self.endpoint_url = f"http://127.0.0.1:{port}"
        outer = " ".join(f"listen 127.0.0.1:{each} backlog=4096;" for each in _ports(port))
        configuration, recorded = self.folder / "nginx.conf", self.folder / "headers"
        headers = recorded.read_text().splitlines() if recorded.exists() else []
        stream, inner = "", outer
        if self._limits_uploads and self._rate:
            stream = STREAM.format(listen=outer, port=inner_port, rate=self._rate)
            inner = f"listen 127.0.0.1:{inner_port} backlog=4096;"
        configuration.write_text(
            CONFIGURATION.format(
                modules="".join(f"load_module {MODULE_FOLDER}/{name}.so;\n" for name in MODULES),
                stream=stream,
                user=getpass.getuser(),
                folder=self.folder,
                files=self.files,
                bucket=BUCKET,
                headers=" ".join(f"add_header {line};" for line in headers),
                listen=inner,
                rate=0 if self._limits_uploads else self._rate,
                delay=self._delay,
            )
        )
        self._process = subprocess.Popen(
            ["nginx", "-p", self.folder, "-c", configuration], stderr=subprocess.DEVNULL
        )
        _wait_for(port, self._process)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def sent_bytes(self) -> int:
        """What has been sent in all answers, those included that broke off."""
        with urllib.request.urlopen(f"{self.endpoint_url}/_sent") as answer:
            return int(answer.read())

    def size_of(self, key: str) -> int:
        """What was uploaded last under this key, in bytes; 0 for nothing. Forgets it."""
        with urllib.request.urlopen(f"{self.endpoint_url}/_uploaded/{BUCKET}/{key}") as answer:
            return int(answer.read())

    def cpu_seconds(self) -> float:
        """The processor time that the server has used."""
        total, tick = 0, os.sysconf("SC_CLK_TCK")
        for pid in (self._process.pid, *_children(self._process.pid)):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
        return total / tick

    def list_files(self, prefix: str) -> None:
        """Make the answers to a listing of ``prefix``, 1,000 keys each, from the files below it."""
        top = self.files / BUCKET
        found = sorted(str(path.relative_to(top)) for path in (top / prefix).rglob("*") if path.is_file())
        pages = [found[start : start + 1000] for start in range(0, len(found), 1000)]
        for number, page in enumerate(pages):
            rows = "".join(
                f"<Contents><Key>{key}</Key><LastModified>2026-11-28T10:00:00.000Z</LastModified>"
                f"<ETag>&quot;{_etag(top / key)}&quot;</ETag><Size>{(top / key).stat().st_size}</Size>"
                "<StorageClass>STANDARD</StorageClass></Contents>"
                for key in page
            )
            more = number + 1 < len(pages)
            following = f"<NextContinuationToken>t{number + 1}</NextContinuationToken>" if more else ""
            token = f"t{number}" if number else ""
            (self.folder / f"list{prefix.replace('/', '_')}{token}.xml").write_text(
                f"<ListBucketResult><Name>{BUCKET}</Name><Prefix>{prefix}</Prefix><KeyCount>{len(page)}</KeyCount>"
                f"<MaxKeys>1000</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{following}{rows}"
                "</ListBucketResult>"
            )


def _ports(port: int) -> list[int]:
    """This port, and HTTP_PORT if it can be had."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", HTTP_PORT))
        except OSError:
            return [port]
    return [port, HTTP_PORT]


def _etag(path: Path) -> str:
    """As nginx makes it, of time and size."""
    status = path.stat()
    return f"{int(status.st_mtime):x}-{status.st_size:x}"


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        yield from map(int, task.read_text().split())


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            raise SystemExit("nginx did not start; see error.log in its folder")
        time.sleep(0.05)
    raise SystemExit("nginx did not answer")
