"""What an input that names a file stands for: a file in a folder, or what a URL holds or names."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from nodes.context import NodeContext, annotated_path, installed_files

Content: TypeAlias = Path | io.BytesIO

# RFC 2397: media type, parameters, whether the content is base64.
_DATA: Final = re.compile(
    r"data:(?P<kind>[\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*(?P<base64>;base64)?,"
)
_URLS: Final = ("data:", "https:", "http:")


class BadDataUrl(ValueError):
    """A `data:` URL cannot be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the data URL cannot be used: {reason}")


def is_url(name: str) -> bool:
    """Whether a name is a URL rather than that of a file in a folder."""
    return name.startswith(_URLS)


def shown_name(name: str) -> str:
    """The name for messages."""
    return "the data URL" if name.startswith("data:") else name.rpartition("/")[2][:200]


def open_named(context: NodeContext, name: str, kinds: tuple[str, ...]) -> Content:
    """The file that a name stands for, of a type such as `image/`.

    Raises BadDataUrl, what the folders raise, and what fetching raises.
    """
    if name.startswith("data:"):
        return io.BytesIO(read_data_url(name, kinds))
    if is_url(name):
        return io.BytesIO(context.services.fetch(name, kinds))
    return context.folders.annotated_path(name)


def read_data_url(url: str, kinds: tuple[str, ...]) -> bytes:
    """The content of a `data:` URL; raises BadDataUrl."""
    head = _DATA.match(url)
    if head is None:
        raise BadDataUrl("it does not begin with 'data:TYPE;base64,'")
    kind = (head["kind"] or "text/plain").lower()
    if not kind.startswith(kinds):
        raise BadDataUrl(f"its type is {kind}, not {' or '.join(kinds)}")
    content = unquote_to_bytes(url[head.end() :])
    if head["base64"] is None:
        return content
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise BadDataUrl(f"its content is not base64: {error}") from None


def digest(name: str) -> str:
    """What differs if the file does: for IS_CHANGED. URLs are their own digests."""
    if is_url(name):
        return hashlib.sha256(name.encode()).hexdigest()
    with annotated_path(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp(name: str) -> str:
    """As `digest`, for files that are too large to be read whole for this."""
    if is_url(name):
        return digest(name)
    status = annotated_path(name).stat()
    return f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"


def check_named(name: str | None, kind: str) -> bool | str:
    """For VALIDATE_INPUTS: whether a file is there, or what is wrong with its name.

    A name may be annotated, as in `a.png [output]`. Whether a URL may be used is found out when it
    is, and so is what is wrong with a name that another node gives (None).
    """
    if name is None or is_url(name):
        return True
    try:
        path = installed_files().annotated_path(name)
    except Exception as error:  # the folders say what is wrong with the name
        return str(error)
    return path.is_file() or f"there is no {kind} file '{name}'"
