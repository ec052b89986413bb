"""The command `darkroom`: `serve` (the default), `demo`, `doctor`, `keys`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from server.flags import ParsedFlags, add_flags, read_flags
from server.log import set_up_logging
from server.log_lines import LogRing
from server.output import fill_gaps, unblocked_output
from server.settings import SettingError, Settings, build_settings

log = logging.getLogger(__name__)

# Objects, until garbage is looked for. Python's own 700 make decoding a large graph, which leaves
# no garbage, take three times as long.
_COLLECT_AFTER: Final = (20_000, 10, 10)

COMMANDS = ("serve", "demo", "doctor", "keys")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments.pop(0) if arguments and arguments[0] in COMMANDS else "serve"
    if command == "demo":
        from server.demo import main as demo

        return demo(arguments)
    if command == "keys":
        from server.keys_command import main as keys

        return keys(arguments)
    parser = _parser(command)
    parsed = read_flags(parser, parser.parse_args(arguments))
    if parsed.lists_features:
        from server.features import describe_flags

        print(json.dumps(describe_flags(), indent=2))
        return 0
    settings = _settings(parser, parsed)
    if command == "doctor":
        from server.doctor import examine

        return examine(settings)
    return _serve(settings, parsed)


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="darkroom" if command == "serve" else f"darkroom {command}",
        description={
            "serve": "Serve the ComfyUI API: run image workflows that arrive over HTTP.",
            "doctor": "Say whether this installation can draw, and where it looks for things.",
        }[command],
        epilog=f"Commands: {', '.join(COMMANDS)}; without one: serve.",
    )
    add_flags(parser)
    return parser


def _settings(parser: argparse.ArgumentParser, parsed: ParsedFlags) -> Settings:
    config = Path(parsed.config) if parsed.config else None
    try:
        return build_settings(parsed.settings, os.environ, config, argv=tuple(sys.argv))
    except SettingError as error:
        parser.error(str(error))


def _serve(settings: Settings, parsed: ParsedFlags) -> int:
    fill_gaps()
    log_ring = LogRing(settings.log_lines)
    try:
        stream = set_up_logging(settings, log_ring)
    except OSError as error:
        print(f"darkroom: cannot log to '{error.filename}': {error.strerror}", file=sys.stderr)
        return 1
    for flag in parsed.noted:
        log.info("%s is accepted, but means nothing here", flag)
    from executor.extra_paths import ExtraPathsError
    from server.run import CannotServe, progress_view, serve

    gc.set_threshold(*_COLLECT_AFTER)
    progress = progress_view(settings, stream)  # while it can be seen whether it is a terminal
    with unblocked_output():
        try:
            asyncio.run(serve(settings, progress, log_ring))
        except KeyboardInterrupt:  # a second signal
            return 130
        except (CannotServe, ExtraPathsError, OSError) as error:
            log.error("%s", error)
            return 1
    return 0
