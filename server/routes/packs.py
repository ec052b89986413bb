"""GET /node_packs: what became of the node packs. GET /workflow_templates, /i18n,
/global_subgraphs: what they bring besides nodes."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from server.content import PlainFile, content_headers
from server.errors import NotFound
from server.pack_files import PackFiles
from server.pack_scripts import ROOT as EXTENSIONS
from server.responses import encoded_response, json_response
from server.scopes import Scope
from server.services import SERVICES, Route


async def list_packs(request: web.Request) -> web.Response:
    """All node packs: how long each took to import, what it brought, why it was left out."""
    core = await request.app[SERVICES].core()
    await core.catalogue.wait()
    return json_response(
        [
            {
                "name": report.name,
                "path": report.path,
                "seconds": report.seconds,
                "nodes": report.nodes,
                "error": report.error,
                "web": [f"{EXTENSIONS}/{quote(name)}" for name in report.web],
            }
            for report in core.engine.definitions.packs.reports
        ]
    )


async def list_templates(request: web.Request) -> web.Response:
    """Names of workflow templates by pack."""
    return json_response(await asyncio.to_thread(_files(request).templates))


async def get_template(request: web.Request) -> web.StreamResponse:
    """A template, or the picture of one."""
    pack, name = request.match_info["pack"], request.match_info["file"]
    file = await asyncio.to_thread(_files(request).template_file, pack, name)
    if file is None:
        raise NotFound(f"the pack {pack!r} has no template file {name!r}")
    return PlainFile(file, content_headers(name))


async def translations(request: web.Request) -> web.Response:
    """Texts of all packs by language."""
    return encoded_response(await asyncio.to_thread(_files(request).translations))


async def list_subgraphs(request: web.Request) -> web.Response:
    """All subgraphs by id, without their content."""
    subgraphs = await asyncio.to_thread(_files(request).subgraphs)
    return json_response({key: subgraph.entry() for key, subgraph in subgraphs.items()})


async def get_subgraph(request: web.Request) -> web.Response:
    """One subgraph with its content as text; null if there is none."""
    found = await asyncio.to_thread(_read_subgraph, _files(request), request.match_info["id"])
    return json_response(found)


def _read_subgraph(files: PackFiles, subgraph_id: str) -> dict[str, Any] | None:
    subgraph = files.subgraphs().get(subgraph_id)
    if subgraph is None:
        return None
    try:
        text = subgraph.file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # gone meanwhile, or not ours to read
        return None
    return subgraph.entry() | {"data": text}


def _files(request: web.Request) -> PackFiles:
    return request.app[SERVICES].pack_files


ROUTES: Final[list[Route]] = [
    ("GET", "/node_packs", list_packs, Scope.ADMIN),
    ("GET", "/workflow_templates", list_templates, Scope.READ),
    ("GET", "/workflow_templates/{pack:[^/]+}/{file:[^/]+}", get_template, Scope.READ),
    ("GET", "/i18n", translations, Scope.READ),
    ("GET", "/global_subgraphs", list_subgraphs, Scope.READ),
    ("GET", "/global_subgraphs/{id:[^/]+}", get_subgraph, Scope.READ),
]
