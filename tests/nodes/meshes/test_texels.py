"""Which face each texel of an atlas shows."""

from __future__ import annotations

import numpy as np
import pytest

from nodes.geometry.arrays import Indices, Reals
from nodes.texturing import texels
from nodes.texturing.texels import NO_FACE, covered, face_map, fill_gaps, texels_of, with_margin
from tests.nodes.meshes.flat import square

UVS: Reals = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
FACES: Indices = np.array([[0, 1, 2], [0, 2, 3]])
SMALL: Reals = np.array([[0.25, 0.25], [0.5, 0.25], [0.25, 0.5]])
ONE: Indices = np.array([[0, 1, 2]])


def test_each_texel_shows_the_face_around_its_centre() -> None:
    shown = face_map(UVS, FACES, 8)
    rows, columns = np.indices((8, 8))
    assert (shown[columns > rows] == 0).all()  # right of the diagonal, and above it
    assert (shown[columns < rows] == 1).all()
    assert (shown != NO_FACE).all()


def test_faces_that_share_edges_leave_no_texel_out_and_take_none_twice() -> None:
    mesh = square(7)
    assert mesh.uvs is not None
    uvs, faces = mesh.uvs.double().numpy(), mesh.faces.numpy()
    turned = (uvs - 0.5) @ np.array([[0.8, -0.6], [0.6, 0.8]]) * 0.7 + 0.503
    times = np.zeros(100 * 100, int)
    for _, places in covered(turned, faces, 100):
        np.add.at(times, places, 1)
    assert times.max() == 1
    assert times.sum() == pytest.approx(0.7**2 * 100**2, rel=0.01)


def test_the_weights_of_a_texel_lead_to_its_centre() -> None:
    shown = face_map(UVS, FACES, 16)
    (some, rest) = texels_of(shown, UVS, FACES, 200)
    assert (len(some.places), len(rest.places)) == (200, 56)
    centres = some.mix(UVS, FACES)
    assert np.allclose(centres[:, 0], (some.places % 16 + 0.5) / 16)
    assert np.allclose(centres[:, 1], (some.places // 16 + 0.5) / 16)


def test_a_large_drawing_is_drawn_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = face_map(UVS, FACES, 32)
    monkeypatch.setattr(texels, "_MOST_SPANS", 5)
    monkeypatch.setattr(texels, "_MOST_TEXELS", 7)
    assert np.array_equal(face_map(UVS, FACES, 32), whole)


def test_texels_around_a_chart_show_the_place_nearest_on_it() -> None:
    shown = face_map(SMALL, ONE, 32)
    wide = with_margin(shown, 2)
    assert shown[7, 10] == NO_FACE
    assert wide[7, 10] == 0
    assert wide[4, 10] == NO_FACE
    (chosen,) = texels_of(wide, SMALL, ONE, 10_000)
    points = chosen.mix(SMALL, ONE)
    assert points.min() >= 0.25 - 1e-12
    assert (points.sum(axis=1) <= 0.75 + 1e-12).all()
    above = points[chosen.places == 7 * 32 + 10]
    assert np.allclose(above, [[10.5 / 32, 0.25]], atol=1 / 32)


def test_what_is_outside_of_the_picture_is_cut_off() -> None:
    shown = face_map(UVS * 3 - 1, FACES, 8)
    assert (shown != NO_FACE).all()
    assert (face_map(UVS + 1.0001, FACES, 8) == NO_FACE).all()


def test_triangles_without_area_or_place_show_nothing() -> None:
    assert (face_map(np.zeros((4, 2)) + 0.31, FACES, 8) == NO_FACE).all()
    assert (face_map(np.full((4, 2), np.nan), FACES, 8) == NO_FACE).all()
    flat = np.array([[0.1, 0.2], [0.9, 0.2], [0.5, 0.2]])
    (chosen,) = texels_of(np.zeros((4, 4), np.int32), flat, ONE, 100)
    assert np.isfinite(chosen.weights).all()


def test_gaps_are_filled_with_the_nearest_texel() -> None:
    picture = np.zeros((4, 6, 1), np.float32)
    known = np.zeros((4, 6), bool)
    picture[1, 1], picture[2, 5] = 0.25, 0.75
    known[1, 1] = known[2, 5] = True
    fill_gaps(picture, known)
    assert picture[0, 0] == picture[3, 2] == 0.25
    assert picture[0, 5] == picture[3, 4] == 0.75
