"""Which pages may use the server."""

from __future__ import annotations

import pytest

from server.origin import HostRules, is_foreign, is_own


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


@pytest.mark.parametrize(
    ("listen", "trusted", "host", "refused"),
    [
        ("127.0.0.1", "", "127.0.0.1:8188", False),
        ("127.0.0.1", "", "localhost", False),
        ("127.0.0.1", "", "LocalHost.:8188", False),
        ("127.0.0.1", "", "studio.localhost:8188", False),
        ("127.0.0.1", "", "[::1]:8188", False),
        ("127.0.0.1", "", "192.168.1.5:8188", False),
        ("127.0.0.1", "", None, False),
        ("127.0.0.1", "", "evil.example", True),
        ("127.0.0.1", "", "evil.example:8188", True),
        ("127.0.0.1", "", "127.0.0.1.evil.example:8188", True),
        ("127.0.0.1", "", "localhost.evil.example", True),
        ("127.0.0.1", "", "evil.example@127.0.0.1:port", True),
        ("127.0.0.1", "", "[::1", True),
        ("127.0.0.1", "studio.example", "studio.example", False),
        ("127.0.0.1", "studio.example", "STUDIO.example.:443", False),
        ("127.0.0.1", "studio.example", "evil.example", True),
        ("127.0.0.1", "studio.example", "a.studio.example", True),
        ("127.0.0.1", "*", "evil.example", False),
        ("localhost", "", "evil.example", True),
        ("0.0.0.0", "", "studio.lan", False),
        ("0.0.0.0", "studio.lan", "studio.lan", False),
        ("0.0.0.0", "studio.lan", "evil.example", True),
    ],
)
def test_a_server_answers_to_its_own_names(
    listen: str, trusted: str, host: str | None, refused: bool
) -> None:
    rules = HostRules([listen], [name for name in [trusted] if name])
    assert rules.refuses_host(host) is refused


@pytest.mark.parametrize(
    ("method", "headers", "foreign"),
    [
        ("POST", {"Host": "studio.example", "Origin": "https://evil.example"}, True),
        ("POST", {"Host": "studio.example", "Origin": "https://studio.example"}, False),
        ("POST", {"Host": "127.0.0.1:8188", "Origin": "https://studio.example"}, False),
        ("POST", {"Host": "127.0.0.1", "Origin": "null"}, False),
        ("POST", {"Host": "127.0.0.1", "Origin": "null", "Sec-Fetch-Site": "cross-site"}, True),
        ("POST", {"Host": "127.0.0.1", "Sec-Fetch-Site": "cross-site"}, True),
        ("GET", {"Host": "127.0.0.1", "Sec-Fetch-Site": "cross-site"}, False),  # a link
        ("GET", {"Host": "127.0.0.1", "Origin": "null", "Sec-Fetch-Site": "cross-site"}, True),
        ("GET", {"Host": "127.0.0.1", "Sec-Fetch-Site": "same-origin"}, False),
        ("POST", {"Host": "10.0.0.5", "Origin": "https://evil.example"}, False),  # as ComfyUI
    ],
)
def test_pages_of_other_sites_may_link_but_not_act(
    method: str, headers: dict[str, str], foreign: bool
) -> None:
    assert HostRules(["127.0.0.1"], ["studio.example"]).is_foreign(method, headers) is foreign
