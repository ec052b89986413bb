"""Which URLs may be fetched, before anything is resolved."""

from __future__ import annotations

import pytest

from executor.remote_files import FetchRefused, RemoteFiles, is_public, shown_url

FILES = RemoteFiles(hosts=frozenset({"a.example", "*.b.example", "c.example:8443"}))


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/x.png",
        "https://A.Example:443/x.png?size=2#top",
        "https://a.example./x.png",
        "https://img.b.example/x.png",
        "https://deep.img.b.example/x.png",
        "https://c.example:8443/",
    ],
)
def test_listed_hosts_are_allowed(url: str) -> None:
    FILES.check(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://a.example/x.png", "only https"),
        ("https:a.example/x.png", "not in the setting"),
        ("https://b.example/x.png", "'b.example' is not in the setting 'fetch_hosts'"),
        ("https://c.example/x.png", "not in the setting"),
        ("https://a.example:8443/", "not in the setting"),
        ("https://a.example.evil.example/", "not in the setting"),
        ("https://evil.example/a.example", "not in the setting"),
        ("https://evil.example\\@a.example/", "it names a user"),
        ("https://a.example@evil.example/", "it names a user"),
        ("https://127.0.0.1/", "not in the setting"),
        ("https://[::1/", "it is no URL"),
        ("https://a.example:99999/", "it is no URL"),
        ("https:///x.png", "not in the setting"),
    ],
)
def test_all_else_is_refused_with_a_reason(url: str, reason: str) -> None:
    with pytest.raises(FetchRefused, match=reason):
        FILES.check(url)


def test_nothing_is_allowed_unless_hosts_are_listed() -> None:
    with pytest.raises(FetchRefused, match="the setting 'fetch_hosts'"):
        RemoteFiles().check("https://a.example/x.png")


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
    ],
)
def test_other_addresses_are_not(address: str) -> None:
    assert not is_public(address)


def test_what_may_be_secret_in_a_url_is_not_shown() -> None:
    shown = shown_url("https://user:word@a.example/x.png?token=secret#part")
    assert shown == "https://a.example/x.png"
    assert len(shown_url("https://a.example/" + "x" * 999)) == 200
