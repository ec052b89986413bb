"""Which clients get a compressed body."""

from __future__ import annotations

import pytest

from server.encoded import EncodedBody, accepts_gzip


@pytest.mark.parametrize(
    "header", ["gzip", "GZIP", "br, gzip", "deflate;q=1, gzip;q=0.1", "*", "*;q=0.1, br;q=0"]
)
def test_clients_that_accept_gzip(header: str) -> None:
    assert accepts_gzip(header)


@pytest.mark.parametrize(
    "header", ["", "br", "identity", "gzip;q=0", "gzip; q=0.0", "*;q=0", "*, gzip;q=0", "gzip;q=x"]
)
def test_clients_that_do_not(header: str) -> None:
    assert not accepts_gzip(header)


def test_a_small_body_is_not_compressed() -> None:
    assert EncodedBody.make(b"{}").compressed is None
    assert EncodedBody.make(b"x" * 5000).compressed is not None


def test_equal_bodies_have_equal_tags_and_others_have_not() -> None:
    assert EncodedBody.make(b"a").tag == EncodedBody.make(b"a").tag
    assert EncodedBody.make(b"a").tag != EncodedBody.make(b"b").tag
