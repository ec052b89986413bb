"""What can be said of a file's name without looking at the file."""

from __future__ import annotations


def is_text(name: str) -> bool:
    """False for a name whose bytes are no UTF-8: it cannot be sent, nor asked for."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
