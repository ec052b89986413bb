"""Errors without the paths in them."""

from __future__ import annotations

import pytest

from executor.error_details import without_paths


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cannot load '/srv/my models/vae/a.pt': broken", "cannot load 'a.pt': broken"),
        ("no file in (/srv/a, /srv/b)", "no file in (a, b)"),
        ("[Errno 2] No such file: '/home/x/y.png'", "[Errno 2] No such file: 'y.png'"),
        ('File "/usr/lib/python3/x.py", line 3', 'File "x.py", line 3'),
        (r"cannot open 'C:\Users\me\a.png'", "cannot open 'a.png'"),
        ("path=PosixPath('/srv/a/b')", "path=PosixPath('b')"),
        ("see https://example.org/a/b/c", "see https://example.org/a/b/c"),
        ("1/2 of sub/folder/a.png", "1/2 of sub/folder/a.png"),
        ("and/or 3 / 4", "and/or 3 / 4"),
        ("nothing", "nothing"),
    ],
)
def test_of_a_path_only_the_last_part_is_told(text: str, told: str) -> None:
    assert without_paths(text) == told
