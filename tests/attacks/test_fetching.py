"""Files that inputs name by URL: what is fetched from a real host, and what is not."""

from __future__ import annotations

import base64
import io
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from executor.remote_files import FetchRefused, RemoteFiles
from tests.client import PromptFailed
from tests.conftest import ServerProcess, start_server

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl makes the certificate"
)


def png(colour: tuple[int, int, int] = (255, 0, 0)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(file, "PNG")
    return file.getvalue()


class Answers(BaseHTTPRequestHandler):
    """A host that is used, and one that attacks."""

    asked: list[str]
    over: threading.Event

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        host = self.headers["Host"]
        match self.path.strip("/").split("/"):
            case ["picture.png"]:
                self._answer(200, png(), "image/png")
            case ["page"]:
                self._answer(200, b"<html>", "text/html; charset=utf-8")
            case ["large"]:
                self._answer(200, bytes(200_000), "image/png")
            case ["endless"]:
                self._answer(200, bytes(200_000), "image/png", length=None)
            case ["cut"]:
                self._answer(200, b"x", "image/png", length=99)
            case ["zipped"]:
                self._answer(200, b"x", "image/png", Content_Encoding="gzip")
            case ["drip"]:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
                for _ in range(1000):
                    if type(self).over.wait(0.02):
                        break
                    self.wfile.write(b"x")
            case ["loop"]:
                self._answer(302, b"", "text/plain", Location="/loop")
            case ["moved"]:
                self._answer(307, b"", "text/plain", Location="/picture.png")
            case ["to-address"]:
                port = host.partition(":")[2]
                self._answer(302, b"", "text/plain", Location=f"https://127.0.0.1:{port}/page")
            case ["to-plain"]:
                self._answer(302, b"", "text/plain", Location=f"http://{host}/picture.png")
            case _:
                self._answer(404, b"", "text/plain")

    def _answer(
        self, status: int, body: bytes, kind: str, length: int | None = -1, **headers: str
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length < 0 else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@dataclass
class Host:
    """A host that listens on this machine under the name `localhost`."""

    port: int
    certificate: Path
    asked: list[str]

    @property
    def name(self) -> str:
        return f"localhost:{self.port}"

    def url(self, path: str) -> str:
        return f"https://{self.name}/{path}"

    def files(self, **more: Any) -> RemoteFiles:
        options: dict[str, Any] = {
            "hosts": frozenset({self.name}),
            "allow_private": True,
            "most_bytes": 100_000,
        }
        return RemoteFiles(**(options | more))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    asked: list[str] = []
    over = threading.Event()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Own", (Answers,), {"asked": asked, "over": over})
    )
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Host(server.server_port, certificate, asked)
    over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def known(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The host, whose certificate this process accepts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(host.certificate))
    return host


KINDS = ("image/",)


@pytest.mark.parametrize("path", ["picture.png", "moved"])
def test_a_file_of_a_listed_host_is_fetched(known: Host, path: str) -> None:
    assert known.files().fetch(known.url(path), KINDS) == png()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("page", "its type is text/html, not image/"),
        ("large", "larger than .* 'max_fetch_size'"),
        ("endless", "larger than"),
        ("cut", "ends too soon|cannot be read"),
        ("zipped", "compressed"),
        ("loop", "redirected too often"),
        ("to-address", "the host '127.0.0.1' is not in the setting"),
        ("to-plain", "only https"),
        ("nothing", "answers 404"),
    ],
)
def test_an_answer_that_is_not_as_it_should_be_is_refused(
    known: Host, path: str, reason: str
) -> None:
    with pytest.raises(FetchRefused, match=reason):
        known.files().fetch(known.url(path), KINDS)


def test_a_listed_name_that_leads_into_a_private_network_is_not_connected_to(known: Host) -> None:
    known.asked.clear()
    with pytest.raises(FetchRefused, match="address of a private network"):
        known.files(allow_private=False).fetch(known.url("picture.png"), KINDS)
    assert known.asked == []


def test_the_address_that_was_checked_is_the_one_that_is_used(
    known: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["93.184.216.34", "127.0.0.1"])
    used = []

    def resolve(name: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def connect(address: Any, timeout: float) -> socket.socket:
        used.append(address[0])
        plain = socket.socket()
        plain.settimeout(timeout)
        plain.connect(("127.0.0.1", known.port))
        return plain

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    known.files(allow_private=False).fetch(known.url("picture.png"), KINDS)
    assert used == ["93.184.216.34"]


def test_another_address_of_the_name_is_used_where_the_first_does_not_answer(
    known: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(2, 1, 6, "", (address, known.port)) for address in ("127.0.0.9", "127.0.0.1")]
    real = socket.getaddrinfo

    def resolve(name: str, *arguments: Any, **options: Any) -> Any:
        return found if name == "localhost" else real(name, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert known.files().fetch(known.url("picture.png"), KINDS) == png()


def test_a_host_that_is_not_there_is_named() -> None:
    files = RemoteFiles(hosts=frozenset({"nowhere.invalid"}))
    with pytest.raises(FetchRefused, match=r"there is no host 'nowhere\.invalid'"):
        files.fetch("https://nowhere.invalid/x.png", KINDS)


def test_every_address_of_a_name_must_be_public(
    known: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(2, 1, 6, "", (address, 443)) for address in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(FetchRefused, match="private"):
        known.files(allow_private=False).fetch(known.url("picture.png"), KINDS)


def test_a_host_that_never_ends_its_answer_is_left_at_the_deadline(known: Host) -> None:
    with pytest.raises(FetchRefused, match=r"takes longer than 0\.3 s"):
        known.files(timeout_s=0.3).fetch(known.url("drip"), KINDS)


def test_a_host_without_a_valid_certificate_is_not_asked(host: Host) -> None:
    host.asked.clear()
    with pytest.raises(ssl.SSLCertVerificationError):
        host.files().fetch(host.url("picture.png"), KINDS)
    assert host.asked == []


@pytest.fixture(scope="module")
def fetching(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that may fetch from the host."""
    environ = {
        "SSL_CERT_FILE": str(host.certificate),
        "DARKROOM_FETCH_HOSTS": f"a.example,{host.name}",
        "DARKROOM_FETCH_PRIVATE": "1",
    }
    server = start_server(tmp_path_factory.mktemp("fetching"), environ=environ)
    yield server
    server.stop()


def graph(image: str) -> dict[str, Any]:
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": image}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }


def colour(content: bytes) -> tuple[int, ...]:
    with Image.open(io.BytesIO(content)) as picture:
        found = picture.convert("RGB").getpixel((0, 0))
        assert isinstance(found, tuple)
        return found


def test_a_server_reads_pictures_that_are_in_the_prompt_or_on_a_listed_host(
    fetching: ServerProcess, host: Host
) -> None:
    client = fetching.client
    data = f"data:image/png;base64,{base64.b64encode(png((0, 0, 255))).decode()}"
    assert colour(client.images(client.run(graph(data)))[0]) == (0, 0, 255)
    assert colour(client.images(client.run(graph(host.url("picture.png"))))[0]) == (255, 0, 0)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("https://b.example/x.png", "the host 'b.example' is not in the setting 'fetch_hosts'"),
        ("http://a.example/x.png", "only https is allowed"),
        ("data:text/html;base64,AA==", "the data URL must begin with data:image/"),
    ],
)
def test_urls_that_may_not_be_used_are_refused_when_the_prompt_is_submitted(
    fetching: ServerProcess, image: str, reason: str
) -> None:
    reply = fetching.client.post("/prompt", {"prompt": graph(image)})
    assert reply.status == 400
    (error,) = reply.json()["node_errors"]["1"]["errors"]
    assert error["type"] == "custom_validation_failed"
    assert reason in error["details"]
    assert len(error["details"]) < 300


def test_a_picture_that_cannot_be_fetched_or_read_fails_its_prompt(
    fetching: ServerProcess, host: Host
) -> None:
    client = fetching.client
    for image, reason in [
        (host.url("page"), "its type is text/html"),
        ("data:image/png;base64,AAAA", "'the data URL' cannot be read as a picture"),
        ("data:image/png;base64,???", "its content is not base64"),
    ]:
        with pytest.raises(PromptFailed, match=reason):
            client.run(graph(image))


def test_a_server_fetches_nothing_unless_it_was_told_to(server: Any) -> None:
    reply = server.post("/prompt", {"prompt": graph("https://a.example/x.png")})
    (error,) = reply.json()["node_errors"]["1"]["errors"]
    assert "files are not fetched here (the setting 'fetch_hosts')" in error["details"]
