"""Cache headers by path and status."""

from __future__ import annotations

import pytest

from server.middleware import cache_control

DAY = "public, max-age=86400"
HOUR = "public, max-age=3600"


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/scripts/app.js", 200, "no-cache"),
        ("/scripts/app.js", 404, "no-cache"),
        ("/style.css", 200, "no-cache"),
        ("/templates/index.json", 200, "no-cache"),
        ("/templates/index.de.json", 200, "no-cache"),
        ("/templates/other.json", 200, None),
        ("/a.png", 200, DAY),
        ("/a.PNG", 206, DAY),
        ("/a.webp", 301, DAY),
        ("/a.jpeg", 308, DAY),
        ("/a.jpg", 404, HOUR),
        ("/a.jpg", 302, "no-cache"),
        ("/a.jpg", 303, "no-cache"),
        ("/a.jpg", 307, "no-cache"),
        ("/a.jpg", 304, None),
        ("/a.jpg", 500, None),
        ("/userdata/a.png", 200, "no-cache"),
        ("/api/userdata/a.png", 404, "no-cache"),
        ("/view", 200, None),
        ("/a.txt", 200, None),
        ("/png", 200, None),
    ],
)
def test_cache_header(path: str, status: int, expected: str | None) -> None:
    assert cache_control(path, status) == expected
