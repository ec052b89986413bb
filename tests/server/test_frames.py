"""Bytes on the WebSocket, compared with RFC 6455 and with the documented binary events."""

from __future__ import annotations

import json
import struct

import pytest

from executor.messages import NodeText, Preview
from server import frames

PREVIEW = Preview(
    prompt_id="p",
    metadata={
        "node_id": "3",
        "prompt_id": "p",
        "display_node_id": "3",
        "parent_node_id": None,
        "real_node_id": "3",
        "something_else": 1,
    },
    image=b"\xff\xd8picture",
    image_type="image/jpeg",
)


def payload(frame: bytes) -> tuple[int, bytes]:
    """First byte and payload of a frame, read as the RFC says."""
    length, start = frame[1], 2
    if length == 126:
        (length,), start = struct.unpack("!H", frame[2:4]), 4
    elif length == 127:
        (length,), start = struct.unpack("!Q", frame[2:10]), 10
    assert len(frame) == start + length
    return frame[0], frame[start:]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 100_000])
def test_a_text_frame_carries_its_length_in_the_shortest_form(length: int) -> None:
    frame = frames.text_frame(b"x" * length)
    assert payload(frame) == (0x81, b"x" * length)
    assert len(frame) - length == (2 if length < 126 else 4 if length < 65536 else 10)


def test_a_message_has_type_and_data() -> None:
    _, text = payload(frames.message_frame("status", {"a": "\u00e4"}))
    assert json.loads(text) == {"type": "status", "data": {"a": "\u00e4"}}


@pytest.mark.parametrize(("kind", "number"), [("image/jpeg", 1), ("image/png", 2)])
def test_a_plain_preview_is_event_1_with_its_format(kind: str, number: int) -> None:
    preview = Preview(prompt_id="p", metadata={}, image=b"picture", image_type=kind)
    first, body = payload(frames.plain_preview_frame(preview))
    assert first == 0x82
    assert body == struct.pack(">II", 1, number) + b"picture"


def test_text_about_a_node_is_event_3_with_the_nodes_id() -> None:
    first, body = payload(frames.node_text_frame(NodeText(prompt_id="p", node_id="4:ü", text="á")))
    assert first == 0x82
    assert body == struct.pack(">II", 3, 4) + "4:üá".encode()


def test_a_described_preview_is_event_4_with_a_json_object() -> None:
    _, body = payload(frames.described_preview_frame(PREVIEW))
    event, length = struct.unpack(">II", body[:8])
    assert event == 4
    assert body[8 + length :] == PREVIEW.image
    assert json.loads(body[8 : 8 + length]) == {
        "node_id": "3",
        "prompt_id": "p",
        "display_node_id": "3",
        "parent_node_id": None,
        "real_node_id": "3",
        "image_type": "image/jpeg",
    }


def test_a_close_frame_says_that_the_server_goes_away() -> None:
    assert payload(frames.close_frame()) == (0x88, struct.pack(">H", 1001))


def test_a_ping_is_empty() -> None:
    assert payload(frames.ping_frame()) == (0x89, b"")
