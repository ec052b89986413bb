"""The rows about what all requests have in common that tests/server leaves open."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client import Client, Reply
from tests.conftest import ServerProcess

JSON = "application/json; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    [
        *("/prompt", "/queue", "/history", "/history/x", "/object_info", "/object_info/x"),
        *("/models", "/models/loras", "/embeddings", "/system_stats", "/features", "/extensions"),
        *("/api/jobs", "/openapi.json", "/nothing", "/view"),
    ],
)
def test_json_says_that_it_is_utf_8(server: Client, path: str) -> None:
    assert server.get(path).headers["content-type"] == JSON


@pytest.mark.parametrize(
    ("path", "status", "value"),
    [
        ("/nothing.png", 404, "public, max-age=3600"),
        ("/nothing.JPG", 404, "public, max-age=3600"),
        ("/nothing.js", 404, "no-cache"),
        ("/nothing.css", 404, "no-cache"),
        ("/index.json", 404, "no-cache"),
        ("/index.de.json", 404, "no-cache"),
        ("/nothing.txt", 404, None),
        ("/nothing", 404, None),
        ("/view?filename=nothing.png", 404, None),
        ("/queue", 200, None),
        ("/pages/style.css", 200, "no-cache"),
    ],
)
def test_cache_headers_on_the_wire(
    server: Client, path: str, status: int, value: str | None
) -> None:
    reply = server.get(path)
    assert (reply.status, reply.headers.get("cache-control")) == (status, value)


def origin(server: Client, host: str, origin: str) -> Reply:
    return server.get("/queue", {"Host": host, "Origin": origin})


@pytest.mark.parametrize(
    ("host", "page", "status"),
    [
        ("127.0.0.1:8188", "http://127.0.0.1:8188", 200),
        ("127.0.0.1:8188", "http://127.0.0.1:9", 403),
        ("127.0.0.1:8188", "http://127.0.0.1", 200),
        ("127.0.0.1", "http://127.0.0.1:9", 200),
        ("localhost:8188", "http://127.0.0.1:8188", 403),
        ("127.0.0.1:8188", "http://localhost:8188", 403),
        ("localhost:8188", "null", 200),
        ("192.168.1.5:8188", "https://elsewhere.example", 200),
    ],
)
def test_only_loopback_hosts_ask_for_the_origin(
    server: Client, host: str, page: str, status: int
) -> None:
    reply = origin(server, host, page)
    assert reply.status == status
    assert (reply.body == b"") is (status == 403)


def test_all_headers_of_the_cors_flag(new_twin: Callable[..., Client]) -> None:
    client = new_twin(cors_origin="*")
    for path, status in (("/queue", 200), ("/nothing", 404)):
        reply = client.get(path, {"Origin": "https://elsewhere.example"})
        assert reply.status == status
        told = {k: v for k, v in reply.headers.items() if k.startswith("access-control-")}
        assert told == {
            "access-control-allow-origin": "*",
            "access-control-allow-methods": "POST, GET, DELETE, PUT, OPTIONS, PATCH",
            # The last one is ours: browsers send API keys with it.
            "access-control-allow-headers": "Content-Type, Authorization, X-API-Key",
            "access-control-allow-credentials": "true",
        }
    assert client.request("OPTIONS", "/queue").headers["access-control-allow-origin"] == "*"


def test_nothing_is_told_of_cors_without_the_flag(server: Client) -> None:
    headers = server.get("/queue", {"Origin": server.address}).headers
    assert [name for name in headers if name.startswith("access-control-")] == []


def test_without_cloud_nodes_pages_may_load_nothing_from_elsewhere(
    server: Client, new_twin: Callable[..., Client]
) -> None:
    policy = new_twin(disable_api_nodes=True).get("/queue").headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "http" not in policy
    assert "content-security-policy" not in server.get("/queue").headers


def test_numbers_that_json_lacks_are_null(server: Client) -> None:
    body = (
        b'{"prompt": {"1": {"class_type": "EmptyImage", "inputs": {"width": NaN, "height": 8,'
        b' "batch_size": 1, "color": 0}}, "2": {"class_type": "PreviewImage", "inputs":'
        b' {"images": ["1", 0]}}}}'
    )
    reply = server.post("/prompt", body)
    (error,) = reply.json()["node_errors"]["1"]["errors"]
    assert error["extra_info"]["received_value"] is None
    assert b": NaN" not in reply.body
    assert b":NaN" not in reply.body


def test_the_limit_holds_for_every_body(new_twin: Callable[..., Client]) -> None:
    client = new_twin(max_upload_size=0.01)
    for path in ("/prompt", "/queue", "/history", "/free", "/interrupt", "/api/jobs/cancel"):
        reply = client.post(path, b'{"a": "' + b"x" * 20_000 + b'"}')
        assert (reply.status, reply.json()["error"]["type"]) == (413, "too_large"), path


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_https_is_spoken_with_a_certificate(
    new_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", str(key), "-out", str(certificate))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    server = new_server("--tls-keyfile", str(key), "--tls-certfile", str(certificate))
    assert server.address.startswith("https://")
    context = ssl.create_default_context(cafile=str(certificate))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    with opener.open(f"{server.address}/features", timeout=20) as answer:
        assert answer.status == 200
