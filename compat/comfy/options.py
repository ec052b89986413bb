"""ComfyUI's `comfy.options`: whether `comfy.cli_args` reads the command line. Ours never does."""

from __future__ import annotations

args_parsing = False


def enable_args_parsing(enable: bool = True) -> None:
    """Note it: the flags are the server's, whatever this says."""
    global args_parsing
    args_parsing = enable
