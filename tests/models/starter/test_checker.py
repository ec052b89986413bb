"""The checker agrees with pictures whose content is known, and with nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from models.starter.captions import sample_scene
from models.starter.checker import Sight, look
from models.starter.evaluate import Question
from models.starter.palette import FIGURE_COLORS
from models.starter.shapes import SHAPES, Scene, draw


def _sight(scene: Scene, seed: int = 0) -> Sight:
    return look(draw(scene, np.random.default_rng(seed)))


def test_it_is_right_on_99_of_100_drawn_pictures() -> None:
    right = total = 0
    seed = 0
    while total < 100:
        rng = np.random.default_rng((77, seed))
        scene = sample_scene(rng)
        seed += 1
        if scene.count > 1 or scene.second is not None:
            continue
        sight = look(draw(scene, rng))
        right += (sight.shape, sight.color) == (scene.shape, scene.color)
        total += 1
    assert right >= 99


@pytest.mark.parametrize("shape", SHAPES)
def test_it_knows_each_shape(shape: str) -> None:
    sight = _sight(Scene(shape=shape, color="purple", ground="yellow"))
    assert (sight.shape, sight.color, sight.ground) == (shape, "purple", "yellow")
    assert sight.likeness > 0.9


@pytest.mark.parametrize("color", FIGURE_COLORS)
def test_it_knows_each_colour(color: str) -> None:
    assert _sight(Scene(shape="heart", color=color, ground="black")).color == color


@pytest.mark.parametrize(("pattern", "seen"), [("night", "night"), ("sunset", "sunset")])
def test_it_knows_skies(pattern: str, seen: str) -> None:
    assert _sight(Scene(shape="star", color="white", pattern=pattern)).ground == seen


def test_it_counts_figures_that_stand_apart() -> None:
    assert _sight(Scene(shape="heart", color="red", count=2)).count == 2
    assert _sight(Scene(shape="heart", color="red")).count == 1


def test_a_wrong_colour_or_shape_is_a_miss() -> None:
    sight = _sight(Scene(shape="star", color="red", ground="blue"))
    right = Question(prompt="", seed=0, shape="star", color="red", ground="blue")
    assert right.is_met(sight)
    assert not Question(prompt="", seed=0, shape="heart", color="red", ground="").is_met(sight)
    assert not Question(prompt="", seed=0, shape="star", color="pink", ground="").is_met(sight)


def test_an_empty_picture_shows_nothing() -> None:
    sight = look(np.full((128, 128, 3), 200, dtype=np.uint8))
    assert (sight.shape, sight.color, sight.count) == ("", "", 0)
    assert sight.ground == "gray"
