"""A server with API keys, and clients that have them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from server.keys import FILE_NAME, KeyFile
from server.scopes import Scope
from tests.client import Client
from tests.conftest import ROOT, ServerProcess, start_server


def key_file(base: Path) -> KeyFile:
    """The keys of the server with that base folder."""
    return KeyFile(base / "user" / FILE_NAME)


@dataclass(frozen=True)
class KeyedServer:
    """A server, and a client for each of its keys."""

    process: ServerProcess
    keys: dict[str, str]  # name -> token

    @property
    def base(self) -> Path:
        return self.process.base

    def client(self, name: str) -> Client:
        """A new client that has the key of that name."""
        return Client(self.process.address, key=self.keys[name])

    @property
    def stranger(self) -> Client:
        """A client without a key."""
        return Client(self.process.address)


SCOPES = {"rita": Scope.READ, "ann": Scope.SUBMIT, "bob": Scope.SUBMIT, "root": Scope.ADMIN}


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedServer]:
    """One server with keys for all tests that change none; packs `routes_pack`, `fault_pack`."""
    base = tmp_path_factory.mktemp("keyed")
    for pack in ("routes_pack", "fault_pack"):
        shutil.copytree(ROOT / "tests" / "packs" / pack, base / "custom_nodes" / pack)
    keys = {name: key_file(base).create(name, scope) for name, scope in SCOPES.items()}
    server = start_server(base, "--access-log", "--verbose")
    yield KeyedServer(server, keys)
    server.stop()
