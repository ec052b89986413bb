"""Which pages may use the server."""

from __future__ import annotations

import pytest

from server.origin import is_foreign, is_own


@pytest.mark.parametrize(
    ("host", "origin", "foreign"),
    [
        ("127.0.0.1:8188", "http://127.0.0.1:8188", False),
        ("127.0.0.1:8188", "http://localhost:8188", True),
        ("localhost:8188", "http://localhost:8188", False),
        ("localhost:8188", "http://localhost:3000", True),
        ("localhost", "http://localhost:3000", False),
        ("localhost:8188", "http://localhost", False),
        ("LOCALHOST:8188", "http://localhost:8188", False),
        ("[::1]:8188", "http://[::1]:8188", False),
        ("[::1]:8188", "http://evil.example", True),
        ("127.0.0.1:8188", "https://evil.example", True),
        ("127.0.0.1:8188", "http://127.0.0.1.evil.example:8188", True),
        ("127.0.0.1:8188", "http://127.0.0.1:port", True),
        ("127.0.0.1:8188", "null", False),
        ("127.0.0.1:8188", None, False),
        (None, "https://evil.example", False),
        ("studio.example:8188", "https://evil.example", False),
    ],
)
def test_a_page_from_elsewhere_is_foreign_to_a_loopback_host(
    host: str | None, origin: str | None, foreign: bool
) -> None:
    assert is_foreign(host, origin) is foreign


@pytest.mark.parametrize(
    ("host", "origin", "own"),
    [
        ("studio.example:8188", "http://studio.example:8188", True),
        ("studio.example:8188", None, True),
        ("studio.example:8188", "null", False),
        ("studio.example:8188", "https://evil.example", False),
        (None, "http://studio.example", False),
    ],
)
def test_only_no_page_or_our_own_page_is_own(
    host: str | None, origin: str | None, own: bool
) -> None:
    assert is_own(host, origin) is own
