"""Who gets which message."""

from __future__ import annotations

import asyncio
import json

import pytest

from executor.active import Snapshot
from executor.jobs import Address
from executor.messages import Emit, NodeText, Preview
from server import hub as hub_module
from server.hub import Connection, Hub

FEATURES = {"supports_preview_metadata": True, "max_upload_size": 1}


class Pipe(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.is_gone = False
        self.writes = 0
        self.wrote = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)
        self.writes += 1
        self.wrote.set()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.is_gone

    def close(self) -> None:
        self.is_gone = True

    abort = close

    async def frames(self) -> list[bytes]:
        """Payloads so far (all frames of these tests are short)."""
        await asyncio.sleep(0)
        payloads, rest = [], self.written
        while rest:
            length, start = rest[1], 2
            if length == 126:
                length, start = int.from_bytes(rest[2:4], "big"), 4
            payloads.append(rest[start : start + length])
            rest = rest[start + length :]
        self.written = b""
        return payloads

    async def messages(self) -> list[tuple[str, object]]:
        decoded = [json.loads(frame) for frame in await self.frames()]
        return [(message["type"], message["data"]) for message in decoded]


@pytest.fixture
def hub() -> Hub:
    return Hub(FEATURES, buffer_limit=1000)


async def join(hub: Hub, client_id: str) -> tuple[Pipe, Connection]:
    """A client that has read its greeting."""
    pipe = Pipe()
    connection = hub.join(Address(client_id), pipe)
    await pipe.frames()
    return pipe, connection


def emit(to_all: bool = False) -> Emit:
    text = b'{"type":"executing","data":{}}'
    return Emit(prompt_id="p", type="executing", text=text, to_all_if_no_client=to_all)


PREVIEW = Preview(prompt_id="p", metadata={"node_id": "1"}, image=b"i", image_type="image/png")


async def test_the_greeting_is_a_status_with_the_client_id(hub: Hub) -> None:
    hub.queue_changed(3)
    pipe = Pipe()
    hub.join(Address("a"), pipe)
    status = {"exec_info": {"queue_remaining": 3}}
    assert await pipe.messages() == [("status", {"status": status, "sid": "a"})]


async def test_a_client_without_an_id_gets_one_of_32_hex_digits(hub: Hub) -> None:
    connection = hub.join(Address(""), Pipe())
    client_id = connection.address.client_id
    assert client_id is not None
    assert len(client_id) == 32
    assert int(client_id, 16) >= 0


async def test_a_client_that_comes_back_hears_which_node_runs(hub: Hub) -> None:
    hub.running_for = {Address("a"): Snapshot(node_id="7", progress_state=None)}.get
    pipe = Pipe()
    hub.join(Address("a"), pipe)
    assert (await pipe.messages())[1:] == [("executing", {"node": "7"})]


async def test_a_client_that_comes_back_hears_how_far_all_nodes_are(hub: Hub) -> None:
    state = Emit(prompt_id="p", type="progress_state", text=b'{"type":"progress_state","data":1}')
    hub.running_for = {Address("a"): Snapshot(node_id="7", progress_state=state)}.get
    pipe = Pipe()
    hub.join(Address("a"), pipe)
    kinds = [kind for kind, _ in await pipe.messages()]
    assert kinds == ["status", "executing", "progress_state"]


async def test_a_text_about_a_node_goes_to_the_jobs_client(hub: Hub) -> None:
    one, _ = await join(hub, "a")
    two, _ = await join(hub, "b")
    hub.text(NodeText(prompt_id="p", node_id="7", text="ü"), Address("a"))
    assert await one.frames() == [b"\0\0\0\3\0\0\0\1" + b"7" + "ü".encode()]
    assert await two.frames() == []


async def test_a_status_goes_to_everybody(hub: Hub) -> None:
    one, _ = await join(hub, "a")
    two, _ = await join(hub, "b")
    hub.queue_changed(1)
    expected = [("status", {"status": {"exec_info": {"queue_remaining": 1}}})]
    assert await one.messages() == await two.messages() == expected


async def test_a_jobs_message_goes_to_its_client_only(hub: Hub) -> None:
    one, _ = await join(hub, "a")
    two, _ = await join(hub, "b")
    hub.emit(emit(to_all=True), Address("a"))
    assert await one.frames() == [emit().text]
    assert await two.frames() == []


async def test_a_message_for_a_client_that_left_goes_to_nobody(hub: Hub) -> None:
    pipe, _ = await join(hub, "a")
    hub.emit(emit(to_all=True), Address("gone"))
    assert await pipe.frames() == []


@pytest.mark.parametrize("to_all", [True, False])
async def test_a_message_of_a_job_without_client_goes_to_all_or_none(
    hub: Hub, to_all: bool
) -> None:
    pipe, _ = await join(hub, "a")
    hub.emit(emit(to_all), Address(None))
    assert await pipe.frames() == ([emit().text] if to_all else [])


async def test_the_newest_socket_of_a_client_is_the_one_that_is_sent_to(hub: Hub) -> None:
    old, _ = await join(hub, "a")
    new, _ = await join(hub, "a")
    hub.emit(emit(), Address("a"))
    hub.queue_changed(1)
    assert len(await new.frames()) == 2
    assert await old.frames() == []
    assert not old.is_gone


async def test_closing_the_old_socket_does_not_silence_the_new_one(hub: Hub) -> None:
    _, old = await join(hub, "a")
    new, _ = await join(hub, "a")
    hub.leave(old)
    hub.emit(emit(), Address("a"))
    assert await new.frames() == [emit().text]


async def test_a_client_that_left_is_forgotten(hub: Hub) -> None:
    pipe, connection = await join(hub, "a")
    hub.leave(connection)
    hub.queue_changed(1)
    assert await pipe.frames() == []
    assert len(hub) == 0


async def test_a_job_ends_with_executing_null(hub: Hub) -> None:
    pipe, _ = await join(hub, "a")
    hub.job_ended("p", Address("a"))
    assert await pipe.messages() == [("executing", {"node": None, "prompt_id": "p"})]


async def test_feature_flags_are_answered_once(hub: Hub) -> None:
    pipe, connection = await join(hub, "a")
    flags = '{"type": "feature_flags", "data": {"supports_preview_metadata": true}}'
    connection.hear("not JSON", FEATURES)
    connection.hear(flags, FEATURES)
    connection.hear(flags, FEATURES)
    assert await pipe.messages() == [("feature_flags", FEATURES)]
    assert hub.wants_metadata(Address("a"))


@pytest.mark.parametrize("first", ["{}", "[1]", '"x"', '{"type": "other"}'])
async def test_feature_flags_after_another_message_are_ignored(hub: Hub, first: str) -> None:
    pipe, connection = await join(hub, "a")
    connection.hear(first, FEATURES)
    connection.hear('{"type": "feature_flags", "data": {}}', FEATURES)
    assert await pipe.frames() == []


@pytest.mark.parametrize("value", [1, "true", False, None])
async def test_only_true_announces_support(hub: Hub, value: object) -> None:
    _, connection = await join(hub, "a")
    message = {"type": "feature_flags", "data": {"supports_preview_metadata": value}}
    connection.hear(json.dumps(message), FEATURES)
    assert not hub.wants_metadata(Address("a"))


async def test_nobody_wants_metadata_of_a_job_without_client(hub: Hub) -> None:
    assert not hub.wants_metadata(Address(None))
    assert not hub.wants_metadata(Address("unknown"))


async def test_each_socket_gets_the_preview_that_it_understands(hub: Hub) -> None:
    plain, _ = await join(hub, "a")
    described, connection = await join(hub, "b")
    connection.hear(
        '{"type": "feature_flags", "data": {"supports_preview_metadata": true}}', FEATURES
    )
    await described.frames()
    progress = Emit(prompt_id="p", type="progress", text=b"{}", to_all_if_no_client=True)
    for _ in range(2):  # described before the progress that it belongs to, plain after it
        hub.preview(PREVIEW, Address(None))
        hub.emit(progress, Address(None))
    hub.emit(progress, Address(None))

    def kinds(frames: list[bytes]) -> list[str]:
        return ["progress" if frame == b"{}" else f"preview {frame[3]}" for frame in frames]

    assert kinds(await plain.frames()) == [*["progress", "preview 1"] * 2, "progress"]
    assert kinds(await described.frames()) == [*["preview 4", "progress"] * 2, "progress"]


async def test_messages_of_one_moment_leave_in_one_write(hub: Hub) -> None:
    pipe, _ = await join(hub, "a")
    before = pipe.writes
    for _ in range(5):
        hub.emit(emit(), Address("a"))
    assert len(await pipe.frames()) == 5
    assert pipe.writes == before + 1


async def test_a_client_that_does_not_read_is_dropped(hub: Hub) -> None:
    pipe, _ = await join(hub, "a")
    pipe.unsent = 1001
    hub.queue_changed(1)
    await pipe.frames()
    assert pipe.is_gone


async def test_nothing_is_written_to_a_closed_socket(hub: Hub) -> None:
    pipe, _ = await join(hub, "a")
    pipe.close()
    hub.queue_changed(1)
    assert await pipe.frames() == []


async def test_closing_the_hub_says_goodbye_to_all(hub: Hub) -> None:
    pipe, _ = await join(hub, "a")
    hub.close()
    assert await pipe.frames() == [(1001).to_bytes(2, "big")]
    assert pipe.is_gone


async def written(pipe: Pipe) -> list[tuple[str, object]]:
    """The messages that come next, however late."""
    pipe.wrote.clear()
    async with asyncio.timeout(10):
        await pipe.wrote.wait()
    return await pipe.messages()


async def test_the_answer_to_a_submission_has_a_lead_over_the_jobs_messages(hub: Hub) -> None:
    pipe, _ = await join(hub, "a")
    other, _ = await join(hub, "b")
    began = asyncio.get_running_loop().time()
    for client in ("a", "nobody", None):
        hub.submitted(Address(client), "node")
    hub.emit(emit(), Address("a"))
    hub.emit(emit(), Address("b"))
    assert await pipe.messages() == []
    assert len(await other.messages()) == 1
    hub.job_ended("p", Address("a"))
    messages = await written(pipe)
    assert asyncio.get_running_loop().time() - began >= hub_module._LEAD_S
    assert [data for _, data in messages] == [{}, {"node": None, "prompt_id": "p"}]


async def test_programs_that_listen_first_wait_for_nothing(hub: Hub) -> None:
    pipe, _ = await join(hub, "a")
    for program in ("", "Python/3.11 aiohttp/3.13", "curl/8.5"):
        hub.submitted(Address("a"), program)
        hub.emit(emit(), Address("a"))
        assert len(await pipe.messages()) == 1


async def test_a_client_that_listens_late_gets_one_more_status(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_REMINDER_S", 0.05)
    pipe, _ = await join(hub, "a")
    hub.job_ended("p", Address("a"))
    assert [kind for kind, _ in await pipe.messages()] == ["executing"]
    assert await written(pipe) == [("status", {"status": {"exec_info": {"queue_remaining": 0}}})]


async def test_a_new_job_or_a_closed_socket_needs_no_reminder(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_REMINDER_S", 0.01)
    busy, _ = await join(hub, "busy")
    gone, connection = await join(hub, "gone")
    late, _ = await join(hub, "late")
    for client in ("busy", "gone", "late"):
        hub.job_ended("p", Address(client))
    await asyncio.sleep(0)
    hub.submitted(Address("busy"), "")
    hub.leave(connection)
    for pipe in (busy, gone, late):
        await pipe.messages()
    await written(late)
    assert await busy.messages() == []
    assert await gone.messages() == []
