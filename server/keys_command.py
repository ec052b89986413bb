"""`darkroom keys`: make, list and revoke API keys, also while a server runs."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from server.flags import add_groups, read_flags
from server.keys import Key, KeyFile, KeyFileError
from server.scopes import KEY_SCOPES
from server.settings import SettingError, build_settings


def main(argv: Sequence[str]) -> int:
    """Run the command; the exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    parsed = read_flags(parser, arguments)
    config = Path(parsed.config) if parsed.config else None
    try:
        settings = build_settings(parsed.settings, os.environ, config)
    except SettingError as error:
        parser.error(str(error))
    try:
        for line in _run(arguments, KeyFile.of(settings)):
            print(line)
    except (KeyFileError, OSError) as error:
        print(f"darkroom keys: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="darkroom keys",
        description="API keys: with a first one, requests without a key are refused.",
        epilog="Running servers follow within a second.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    create = commands.add_parser("create", help="make a key and show it, once")
    create.add_argument("name", metavar="NAME", help="whose it is; owns the jobs and files")
    create.add_argument(
        "--scope",
        choices=list(KEY_SCOPES),
        default="submit",
        help="what it allows (submit): read: look; submit: run jobs and upload; admin: everything",
    )
    create.add_argument("--days", type=_days, metavar="N", help="refuse it after so many days")
    listed = commands.add_parser("list", help="show all keys, without what opens anything")
    revoke = commands.add_parser("revoke", help="refuse a key from now on")
    revoke.add_argument("name", metavar="NAME")
    for command in (create, listed, revoke):
        add_groups(command, ["folders"])
    return parser


def _days(text: str) -> int:
    days = int(text)
    if not 0 < days < 100_000:
        raise ValueError(text)
    return days


def _run(arguments: argparse.Namespace, file: KeyFile) -> Iterator[str]:
    """Do it; the lines to show."""
    match arguments.command:
        case "create":
            token = file.create(arguments.name, KEY_SCOPES[arguments.scope], arguments.days)
            yield token
            print("Keep it: it is shown this once. Only its hash is stored.", file=sys.stderr)
        case "list":
            yield from _table(file.read() or ())
        case "revoke":
            file.revoke(arguments.name)
            yield f"revoked {arguments.name}"


def _table(keys: Sequence[Key]) -> Iterator[str]:
    rows = [("NAME", "SCOPE", "CREATED", "STATE")]
    rows += [(key.name, key.scope, _date(key.created), _state(key)) for key in keys]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for *columns, state in rows:
        yield "  ".join(
            [f"{text:<{width}}" for text, width in zip(columns, widths, strict=True)] + [state]
        )


def _state(key: Key) -> str:
    if key.revoked is not None:
        return f"revoked {_date(key.revoked)}"
    if key.expires is None:
        return "valid"
    return f"{'valid until' if key.is_valid(time.time()) else 'expired'} {_date(key.expires)}"


def _date(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
