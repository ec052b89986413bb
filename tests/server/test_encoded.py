"""Bodies that are encoded once."""

from __future__ import annotations

from server.encoded import EncodedBody


def test_a_small_body_is_not_compressed() -> None:
    assert EncodedBody.make(b"{}").compressed is None
    assert EncodedBody.make(b"x" * 5000).compressed is not None


def test_equal_bodies_have_equal_tags_and_others_have_not() -> None:
    assert EncodedBody.make(b"a").tag == EncodedBody.make(b"a").tag
    assert EncodedBody.make(b"a").tag != EncodedBody.make(b"b").tag
