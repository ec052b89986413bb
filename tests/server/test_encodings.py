"""Which encoding a client prefers."""

from __future__ import annotations

import pytest

from server.encodings import preferred_encoding


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("GZip;Q=0.9, Br;q=0.1", "gzip"),
        ("br;q=0.5 , gzip ; q=0.5", "br"),
        ("br;q=0, gzip;q=0.000", None),
        ("*", "br"),
        ("*;q=0.1, gzip;q=0.5", "gzip"),
        ("br;q=0, *", "gzip"),
        ("*;q=0", None),
        ("identity;q=0.5, gzip;q=0.1", None),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("gzip;q=high, br;q=-1", None),
        ("gzip;q=nan, br;q=2", None),
        (",;,=;q", None),
    ],
)
def test_the_preferred_encoding(header: str, expected: str | None) -> None:
    assert preferred_encoding(header, ("br", "gzip")) == expected


def test_an_encoding_that_is_not_offered_is_not_chosen() -> None:
    assert preferred_encoding("br", ("gzip",)) is None
    assert preferred_encoding("br, gzip", ()) is None


@pytest.mark.parametrize(
    "header", ["gzip", "GZIP", "br, gzip", "deflate;q=1, gzip;q=0.1", "*", "*;q=0.1, br;q=0"]
)
def test_clients_that_accept_gzip(header: str) -> None:
    assert preferred_encoding(header, ["gzip"]) == "gzip"


@pytest.mark.parametrize(
    "header", ["", "br", "identity", "gzip;q=0", "gzip; q=0.0", "*;q=0", "*, gzip;q=0", "gzip;q=x"]
)
def test_clients_that_do_not_accept_gzip(header: str) -> None:
    assert preferred_encoding(header, ["gzip"]) is None
