"""UV atlases of surfaces: cut into charts, laid flat and packed by xatlas."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import InvalidInput
from nodes.geometry.arrays import Indices, Reals
from nodes.geometry.topology import groups, same_places
from nodes.shapes import Surface
from nodes.texturing.charts import segment
from nodes.texturing.flattening import flatten
from nodes.texturing.targets import as_indices, places_of

_PROGRAM: Final = Path(__file__).with_name("xatlas_process.py")
_POLL: Final = 0.2  # seconds between looks whether to go on
_MOST_NEIGHBOURS: Final = 64  # that a vertex has on average within the distance of welding


def unwrap(
    surface: Surface,
    *,
    cut_first: bool,
    resolution: int,
    padding: int,
    weld_distance: float,
    check: Callable[[], None],
) -> Surface:
    """The surface with an atlas: UVs in 0..1, vertices on seams doubled, faces in their order.

    Charts are `padding` texels apart in a picture of `resolution` (0: as xatlas finds good).
    With `cut_first` the surface is cut by how it bends, which is fast; else xatlas grows charts by
    what they cost, which takes long for many faces. Vertices closer than `weld_distance` (in their
    units) become the first of them. `check` is called all the time, and may raise to end it.
    Pictures and tangents, which belong to other UVs, are left out. Raises InvalidInput.
    """
    surface = welded(surface, weld_distance) if weld_distance > 0 else surface
    vertices, faces = places_of(surface), as_indices(surface.faces)
    if not len(faces):
        raise InvalidInput("the mesh has no faces to unwrap")
    sent = {"resolution": np.array(resolution), "padding": np.array(padding)}
    if not cut_first:
        made = _run(sent | {"vertices": vertices.astype(np.float32), "faces": faces}, check)
        return _renamed(surface, made["vertices"], made["faces"], made["uvs"])
    places = same_places(vertices)
    charts, axes = segment(_at_places(vertices, places), places[faces], check)
    flat = flatten(vertices, faces, charts, axes, check)
    made = _run(sent | {"uvs": flat.uvs.astype(np.float32), "faces": flat.faces}, check)
    return _renamed(surface, flat.vertices[made["vertices"]], made["faces"], made["uvs"])


def _at_places(vertices: Reals, places: Indices) -> Reals:
    """Where each of the places is."""
    found = np.empty((int(places.max()) + 1, 3))
    found[places] = vertices
    return found


def welded(surface: Surface, distance: float) -> Surface:
    """The surface without vertices that are closer to others, and faces that have no area then."""
    from scipy.spatial import cKDTree  # takes long to import

    vertices, faces = places_of(surface), as_indices(surface.faces)
    tree = cKDTree(vertices)
    if tree.count_neighbors(tree, distance) > _MOST_NEIGHBOURS * len(vertices):
        raise InvalidInput(
            f"weld_distance {distance:g} is too large for this mesh: most of its vertices are "
            "closer together"
        )
    first, second = tree.query_pairs(distance, output_type="ndarray").reshape(-1, 2).T
    _, together = groups(first, second, len(vertices))
    _, kept_of = np.unique(together, return_index=True)
    merged = kept_of[together][faces]
    kept = (merged != np.roll(merged, 1, axis=1)).all(axis=1)
    if not kept.any():
        raise InvalidInput(f"weld_distance {distance:g} leaves no face of the mesh")
    names, corners = np.unique(merged[kept], return_inverse=True)
    return _renamed(surface, names, corners.reshape(-1, 3), None)


def _renamed(
    surface: Surface, names: Indices, faces: Indices, uvs: NDArray[np.float32] | None
) -> Surface:
    """The surface with these of its vertices, which faces name by their new numbers."""
    chosen = torch.from_numpy(names)

    def taken(values: torch.Tensor | None) -> torch.Tensor | None:
        return None if values is None else values[chosen.to(values.device)]

    return replace(
        surface,
        vertices=surface.vertices[chosen.to(surface.vertices.device)],
        faces=torch.from_numpy(faces).to(surface.faces.device),
        uvs=None if uvs is None else torch.from_numpy(uvs).to(surface.vertices.device),
        normals=taken(surface.normals),
        colors=taken(surface.colors),
        tangents=None,
        texture=None,
        orm_texture=None,
        normal_map=None,
    )


def _run(sent: dict[str, NDArray[Any]], check: Callable[[], None]) -> dict[str, NDArray[Any]]:
    """Have the program make an atlas; it is ended if `check` raises."""
    if find_spec("xatlas") is None:
        raise InvalidInput("unwrapping needs the package xatlas: pip install xatlas")
    with tempfile.TemporaryDirectory(prefix="atlas-") as folder:
        question, answer = Path(folder, "sent.npz"), Path(folder, "made.npz")
        np.savez(question, allow_pickle=False, **sent)
        complaint = Path(folder, "complaint.txt")
        with complaint.open("wb") as errors:
            _wait_for([sys.executable, "-P", _PROGRAM, question, answer], errors, check)
        if not answer.exists():
            said = complaint.read_text(errors="replace").strip().rpartition("\n")[2]
            raise InvalidInput(
                f"xatlas cannot unwrap this mesh: {said or 'it has crashed'}. Try another segmenter"
            )
        with np.load(answer) as made:
            return dict(made)


def _wait_for(command: list[str | Path], errors: BinaryIO, check: Callable[[], None]) -> None:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=errors) as program:
        try:
            while program.poll() is None:
                check()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    program.wait(_POLL)
        except BaseException:
            program.kill()
            raise
