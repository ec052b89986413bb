"""The training pictures and their captions follow from seeds, and say the same thing."""

from __future__ import annotations

import numpy as np
import pytest

from models.starter.captions import PLACE_WORDS, SHAPE_WORDS, describe, sample_scene
from models.starter.palette import FIGURE_COLORS, GROUND_COLORS, is_readable
from models.starter.shapes import OUTLINES, SIZE, Scene, draw, figure_mask


def test_the_same_seed_draws_the_same_picture_and_caption() -> None:
    def make(seed: int) -> tuple[bytes, str]:
        rng = np.random.default_rng(seed)
        scene = sample_scene(rng)
        return draw(scene, rng).tobytes(), describe(scene, rng)

    assert make(3) == make(3)
    assert make(3) != make(4)


def test_pictures_are_rgb_bytes() -> None:
    picture = draw(Scene(shape="cat", color="orange"), np.random.default_rng(0))
    assert picture.shape == (SIZE, SIZE, 3) and picture.dtype == np.uint8


def test_every_shape_has_words_and_stays_within_its_radius() -> None:
    assert set(SHAPE_WORDS) == set(OUTLINES)
    for shape in OUTLINES:
        mask = np.asarray(figure_mask(shape, (64.0, 64.0), 30.0, 0.0))
        rows, columns = np.nonzero(mask)
        assert min(rows.min(), columns.min()) > 64 - 1.3 * 30, shape
        assert max(rows.max(), columns.max()) < 64 + 1.3 * 30, shape


@pytest.mark.parametrize(
    ("place", "axis", "before"),
    [("left", 1, True), ("right", 1, False), ("top", 0, True), ("bottom", 0, False)],
)
def test_a_figure_stands_where_the_scene_says(place: str, axis: int, before: bool) -> None:
    assert place in PLACE_WORDS
    scene = Scene(shape="circle", color="red", size="small", place=place, style="flat")
    picture = draw(scene, np.random.default_rng(0)).astype(int)
    reddish = np.nonzero(picture[..., 0] - picture[..., 1] > 100)
    offset = reddish[axis].mean() - SIZE / 2
    assert offset < -15 if before else offset > 15


def test_captions_name_the_colour_and_the_shape() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        scene = sample_scene(rng)
        caption = describe(scene, rng)
        assert any(word in caption for word in FIGURE_COLORS[scene.color].words), caption
        assert any(word in caption for word in SHAPE_WORDS[scene.shape]), caption
        assert "  " not in caption


def test_no_figure_melts_into_its_ground() -> None:
    scenes = [sample_scene(np.random.default_rng(seed)) for seed in range(300)]
    assert all(is_readable(scene.color, scene.ground) for scene in scenes)
    assert {scene.color for scene in scenes} == set(FIGURE_COLORS)
    assert {scene.ground for scene in scenes} == set(GROUND_COLORS)
