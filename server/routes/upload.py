"""POST /upload/image and /upload/mask: files from clients."""

from __future__ import annotations

import asyncio
import io
import os.path
from functools import partial
from pathlib import Path
from typing import IO, Final

from aiohttp import web

from executor.folders import FolderError, Folders, split_annotation
from server.access import caller_of
from server.body import field, parse_json
from server.errors import BadRequest, NotFound
from server.images import join_mask, refuse_bomb
from server.responses import json_response
from server.routes.view import require_readable
from server.scopes import Scope
from server.services import SERVICES, Route
from server.uploads import Upload, read_upload


async def upload_image(request: web.Request) -> web.Response:
    """Store a file of any kind."""
    services = request.app[SERVICES]
    upload = await read_upload(request, services.folders.temp, services.settings.max_upload_bytes)
    with upload.file:
        await asyncio.to_thread(refuse_bomb, upload.file)
        return await _place(request, upload, upload.file)


async def upload_mask(request: web.Request) -> web.Response:
    """Store a copy of `original_ref` whose alpha is that of the upload."""
    services = request.app[SERVICES]
    upload = await read_upload(request, services.folders.temp, services.settings.max_upload_bytes)
    with upload.file:
        original = await asyncio.to_thread(_original, upload, services.folders)
        if not await asyncio.to_thread(os.path.isfile, original):
            raise NotFound(f"there is no file '{original.name}' to put the mask on")
        await require_readable(services, caller_of(request), original)
        joined = await asyncio.to_thread(join_mask, original, upload.file)
    return await _place(request, upload, io.BytesIO(joined))


async def _place(request: web.Request, upload: Upload, content: IO[bytes]) -> web.Response:
    """Store the content, of which the key's owner becomes the owner; the answer."""
    services, caller = request.app[SERVICES], caller_of(request)
    if caller.owner is None:
        stored = await services.uploads.place(upload, content)
    else:
        owners = (await services.engine()).file_owners
        list_own = None if caller.sees_all else partial(owners.written_by, caller.owner)
        with owners.holding(caller.owner) as hold:
            stored = await services.uploads.place(upload, content, list_own, hold)
            await owners.claim(caller.owner, stored.path)
    name = stored.name
    return json_response({"name": name, "subfolder": upload.subfolder, "type": upload.file_type})


def _original(upload: Upload, folders: Folders) -> Path:
    """The picture that a mask belongs to; raises BadRequest."""
    if "original_ref" not in upload.fields:
        raise BadRequest("the field 'original_ref' is missing", field="original_ref")
    try:
        reference = parse_json(upload.fields["original_ref"].encode())
    except BadRequest as error:
        raise BadRequest(
            "'original_ref' is not valid JSON", details=error.details, field="original_ref"
        ) from None
    if not isinstance(reference, dict):
        raise BadRequest("'original_ref' must be a JSON object", field="original_ref")
    filename = field(reference, "filename", str, "")
    if not filename:
        raise BadRequest("'original_ref' has no 'filename'", field="original_ref")
    name, annotated = split_annotation(filename)
    file_type = annotated or field(reference, "type", str, "output")
    try:
        root = folders.directory(file_type)
        return folders.below(folders.below(root, field(reference, "subfolder", str, "")), name)
    except FolderError as error:
        raise BadRequest(str(error), field="original_ref") from None


ROUTES: Final[list[Route]] = [
    ("POST", "/upload/image", upload_image, Scope.SUBMIT),
    ("POST", "/upload/mask", upload_mask, Scope.SUBMIT),
]
