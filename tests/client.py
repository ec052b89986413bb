"""A client of a running server, as tests use it: HTTP, and a WebSocket that records messages."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import websocket

DEADLINE_S = 60.0
ANSWER_S = 150.0  # a first POST waits for the worker's nodes, up to the setting `startup_wait`
PAUSE_S = 0.01  # between two looks at a condition


class PromptFailed(AssertionError):
    """The server refused a prompt, or running it did not succeed."""


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, whatever its status."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def wait_until(condition: Callable[[], Any], *, what: str, deadline_s: float = DEADLINE_S) -> Any:
    """The first true value of the condition; fails after the deadline."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s:g} s in vain: {what}")
        time.sleep(PAUSE_S)
    return value


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass
class Client:
    """Speaks to one server. `address` is `http://host:port`."""

    address: str
    client_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    key: str = ""  # API key that goes with every request

    def __post_init__(self) -> None:
        # No proxy of the environment may come between.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        request = urllib.request.Request(
            self.address + path, data=body, method=method, headers=self._with_key(headers)
        )
        try:
            with self._opener.open(request, timeout=ANSWER_S) as answer:
                status, received, text = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, received, text = error.code, error.headers, error.read()
        return Reply(status, {name.lower(): value for name, value in received.items()}, text)

    def _with_key(self, headers: dict[str, str] | None = None) -> dict[str, str]:
        return ({"Authorization": f"Bearer {self.key}"} if self.key else {}) | (headers or {})

    def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> Reply:
        if query:
            path += "?" + urllib.parse.urlencode(query)
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        """POST a JSON body (bytes go as they are)."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        given = {"Content-Type": "application/json"} | (headers or {})
        return self.request("POST", path, body or b"", given)

    def upload(self, path: str, name: str, content: bytes, **fields: str) -> Reply:
        """POST a multipart form with the file `image`."""
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        ]
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = (
            "".join(parts).encode() + head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        )
        kind = f"multipart/form-data; boundary={boundary}"
        return self.request("POST", path, body, {"Content-Type": kind})

    def submit(self, prompt: dict[str, Any], **more: Any) -> str:
        """Queue a graph; its prompt id. Raises PromptFailed if it is refused."""
        body = {"prompt": prompt, "client_id": self.client_id} | more
        reply = self.post("/prompt", body)
        if reply.status != 200:
            raise PromptFailed(f"{reply.status}: {reply.body.decode()}")
        prompt_id: str = reply.json()["prompt_id"]
        return prompt_id

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """The history entry of a prompt; None while it waits or runs."""
        entry: dict[str, Any] | None = self.get(f"/history/{prompt_id}").json().get(prompt_id)
        return entry

    def wait(self, prompt_id: str, deadline_s: float = DEADLINE_S) -> dict[str, Any]:
        """The history entry of a prompt, once it has run."""
        entry: dict[str, Any] = wait_until(
            lambda: self.history(prompt_id), what=f"prompt {prompt_id} ends", deadline_s=deadline_s
        )
        return entry

    def run(
        self, prompt: dict[str, Any], deadline_s: float = DEADLINE_S, **more: Any
    ) -> dict[str, Any]:
        """Run a graph to its end; its history entry. Raises PromptFailed if it did not succeed."""
        entry = self.wait(self.submit(prompt, **more), deadline_s)
        if entry["status"]["status_str"] != "success":
            raise PromptFailed(json.dumps(entry["status"], indent=1))
        return entry

    def images(self, entry: dict[str, Any], node_id: str | None = None) -> list[bytes]:
        """The files of the images that a run has made, of one node or of all."""
        outputs = entry["outputs"]
        chosen = outputs.values() if node_id is None else [outputs[node_id]]
        return [self.view(image) for output in chosen for image in output.get("images", [])]

    def view(self, image: dict[str, str], **query: str) -> bytes:
        """A file by its entry in a node's output."""
        reply = self.get("/view?" + urllib.parse.urlencode(image | query))
        if reply.status != 200:
            raise PromptFailed(f"/view {image}: {reply.status} {reply.body.decode()}")
        return reply.body

    def listen(self, client_id: str | None = None, *, greet: bool = True) -> Listener:
        """Open a WebSocket. `greet`: wait for the first message, so that nothing is missed."""
        listener = Listener(self.address, client_id or self.client_id, self._with_key())
        if greet:
            listener.wait_for("status")
        return listener


class Listener:
    """A WebSocket of a client; a context manager."""

    def __init__(self, address: str, client_id: str, headers: dict[str, str] | None = None) -> None:
        query = urllib.parse.urlencode({"clientId": client_id})
        url = f"ws{address.removeprefix('http')}/ws?{query}"
        self.socket = websocket.create_connection(
            url, timeout=DEADLINE_S, skip_utf8_validation=True, header=headers or {}
        )
        self.messages: list[dict[str, Any]] = []  # all JSON messages so far
        self.frames: list[bytes] = []  # all binary messages so far

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, message: Any) -> None:
        self.socket.send(message if isinstance(message, str) else json.dumps(message))

    def receive(self) -> dict[str, Any] | bytes:
        """The next message."""
        received = self.socket.recv()
        if isinstance(received, bytes):
            self.frames.append(received)
            return received
        message: dict[str, Any] = json.loads(received)
        self.messages.append(message)
        return message

    def wait_for(self, kind: str, prompt_id: str | None = None) -> dict[str, Any]:
        """Receive until a message of that type (and prompt) comes; its data."""
        while True:
            message = self.receive()
            if isinstance(message, bytes) or message["type"] != kind:
                continue
            data: dict[str, Any] = message["data"]
            if prompt_id is None or data.get("prompt_id") == prompt_id:
                return data

    def wait_for_end(self, prompt_id: str) -> None:
        """Receive until `executing` with node null, as ComfyUI's documentation says."""
        while self.wait_for("executing", prompt_id)["node"] is not None:
            pass

    def kinds(self, prompt_id: str | None = None) -> list[str]:
        """The types of the JSON messages so far; with a prompt id, of its own and `status`."""
        return [
            message["type"]
            for message in self.messages
            if prompt_id is None or message["data"].get("prompt_id") in (prompt_id, None)
        ]
