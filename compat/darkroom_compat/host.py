"""The parts of the process that modules under host names stand on."""

from __future__ import annotations

from executor.folders import Folders
from nodes.context import process_services


def folders() -> Folders:
    """The folders of this installation; raises LookupError in a process without any."""
    found = process_services().folders
    if not isinstance(found, Folders):
        raise LookupError("this process was set up with other folders than those on disk")
    return found
