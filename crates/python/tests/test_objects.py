"""URLs of objects: the command line's answers over a small S3 server, and over HTTP without ranges."""

import hashlib
import http.server
import pathlib
import pickle
import threading
import urllib.parse
from xml.sax.saxutils import escape

import pyarrow
import pytest

import gristmill

OBJECTS = {
    "logs/a.log": b"a needle\n",
    "logs/b c.log": b"hay\n" * 100_000 + b"needle\n",
    "logs/skipped.txt": b"needle\n",
    "other": b"needle\n",
}


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        path, _, query = self.path.partition("?")
        place, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
        if place == "bucket" and not key:
            prefix = dict(urllib.parse.parse_qsl(query)).get("prefix", "")
            listed = "".join(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2023-01-01T00:00:00Z</LastModified>"
                f"<Size>{len(body)}</Size></Contents>"
                for key, body in sorted(OBJECTS.items())
                if key.startswith(prefix)
            )
            text = f"<ListBucketResult>{listed}<IsTruncated>false</IsTruncated></ListBucketResult>"
            return self.answer(200, text.encode())
        if place == "signed" and query != "sig=s3cr3t":
            return self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        body = OBJECTS.get(key)
        if body is None:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        asked = self.headers.get("Range")
        headers = [("ETag", f'"{len(body)}"'), ("Last-Modified", "Sun, 01 Jan 2023 00:00:00 GMT")]
        if asked is None or place == "plain":
            return self.answer(200, body)
        first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
        last = min(last, len(body) - 1)
        headers.append(("Content-Range", f"bytes {first}-{last}/{len(body)}"))
        return self.answer(206, body[first : last + 1], headers)

    do_HEAD = do_GET


@pytest.fixture
def server(monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    yield endpoint
    server.shutdown()
    server.server_close()


def digests(paths, **options):
    table = pyarrow.table(gristmill.digest(paths, "sha256", **options))
    rows = table.to_pylist()
    return {row["path"]: row["digest"] for row in rows}


def expected(key):
    return hashlib.sha256(OBJECTS[key]).hexdigest()


def test_a_prefix_is_read_as_a_directory_is(server):
    found = digests("s3://bucket/logs/", glob="*.log")
    assert found == {f"s3://bucket/{key}": expected(key) for key in ("logs/a.log", "logs/b c.log")}
    assert len(digests(["s3://bucket/", str(pathlib.Path(__file__))])) == len(OBJECTS) + 1


def test_scan_stats_and_run_take_urls(server):
    found = pyarrow.table(gristmill.scan("s3://bucket/logs/", "needle")).to_pylist()
    assert sorted((row["path"], row["absolute_offset"]) for row in found) == [
        ("s3://bucket/logs/a.log", 2),
        ("s3://bucket/logs/b c.log", 400_000),
        ("s3://bucket/logs/skipped.txt", 0),
    ]
    stats = pyarrow.table(gristmill.stats("s3://bucket/logs/a.log")).to_pylist()
    assert [row["bytes"] for row in stats] == [9]


def test_servers_without_ranges_give_the_same(server):
    url = f"{server}/plain/logs/b%20c.log"
    assert digests(url + "?sig=s3cr3t") == {url: expected("logs/b c.log")}


def test_what_is_not_there_is_a_failure_without_secrets(server):
    stream = gristmill.digest("s3://bucket/gone", errors="collect")
    assert pyarrow.table(stream).num_rows == 0
    [failure] = stream.failures
    assert failure.path == "s3://bucket/gone"
    assert "no such object" in failure.reason and "s3cr3t" not in str(failure)


def test_orders_that_stores_do_not_list_in_are_refused(server):
    with pytest.raises(ValueError, match="store's order"):
        gristmill.digest("s3://bucket/", sort="modified")


def test_shares_have_objects(server):
    job = gristmill.Digest(["sha256"])
    signed = f"{server}/signed/other?sig=s3cr3t"
    paths = ["s3://bucket/logs/", signed, str(pathlib.Path(__file__))]
    shares = pickle.loads(pickle.dumps(gristmill.plan(paths, job, share_bytes=4096)))
    assert len(shares) > 1
    streams = [gristmill.run_share(share, job, errors="raise") for share in shares]
    found = [row for stream in streams for row in pyarrow.table(stream).to_pylist()]
    assert found and {row["path"]: row["digest"] for row in found} == digests(paths)
    assert len(found) == 5
    assert "s3cr3t" not in str(found)
