"""Draws random scenes and says in words what they show, as people write prompts."""

from __future__ import annotations

import dataclasses

import numpy as np

from models.starter.palette import FIGURE_COLORS, GROUND_COLORS, is_readable
from models.starter.shapes import SHAPES, STYLES, Scene

SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "ball", "disc"),
    "square": ("square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "heart": ("heart",),
    "diamond": ("diamond", "rhombus"),
    "moon": ("moon", "crescent", "crescent moon"),
    "flower": ("flower", "blossom"),
    "cloud": ("cloud",),
    "cat": ("cat", "kitten"),
}
SIZE_WORDS: dict[str, tuple[str, ...]] = {
    "small": ("small", "little", "tiny"),
    "medium": ("", "", "", "medium"),
    "big": ("big", "large", "huge"),
}
HAPPY_WORDS = ("smiling", "happy", "cute", "kawaii", "cheerful")
COUNT_WORDS: dict[int, tuple[str, ...]] = {
    1: ("a", "a", "one", ""),
    2: ("two", "2"),
    3: ("three", "3"),
}
STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "soft": (),
    "flat": ("flat", "flat design"),
    "outlined": ("outlined", "with a dark outline", "cartoon"),
    "glossy": ("glossy", "shiny"),
}
PLACE_WORDS: dict[str, tuple[str, ...]] = {
    "center": ("", "", "", "in the center", "in the middle"),
    "left": ("on the left", "at the left", "left"),
    "right": ("on the right", "at the right", "right"),
    "top": ("at the top", "on top", "top"),
    "bottom": ("at the bottom", "bottom"),
}
LEADS = ("", "", "", "", "a picture of ", "a drawing of ", "an image of ", "a photo of ")
TAILS = (
    "",
    "",
    "",
    "",
    "",
    ", high quality",
    ", simple",
    ", beautiful",
    ", digital art",
    ", best quality",
)
PATTERN_ODDS = {
    "plain": 0.5,
    "gradient": 0.12,
    "dots": 0.11,
    "stripes": 0.09,
    "night": 0.11,
    "sunset": 0.07,
}


def _pick(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


def sample_scene(rng: np.random.Generator) -> Scene:
    """A random scene in which every figure stands out from its ground."""
    pattern = str(rng.choice(list(PATTERN_ODDS), p=list(PATTERN_ODDS.values())))
    while True:
        shape, color = _pick(rng, SHAPES), _pick(rng, tuple(FIGURE_COLORS))
        ground = _pick(rng, tuple(GROUND_COLORS))
        if pattern in ("night", "sunset"):
            ground = "black" if pattern == "night" else "orange"
        if is_readable(color, ground):
            break
    style = str(rng.choice(STYLES, p=(0.55, 0.15, 0.15, 0.15)))
    scene = Scene(shape=shape, color=color, ground=ground, pattern=pattern, style=style)
    kind = rng.random()
    # Cats always have a face where there is room for one; other figures by the word.
    happy = bool(rng.random() < 0.4) or shape == "cat"
    if kind < 0.48:
        return dataclasses.replace(
            scene, happy=happy, size=_pick(rng, ("medium", "medium", "medium", "big"))
        )
    if kind < 0.60:
        return dataclasses.replace(scene, size="small")
    if kind < 0.80:
        place = _pick(rng, ("left", "right", "top", "bottom"))
        size = _pick(rng, ("small", "medium"))
        return dataclasses.replace(scene, happy=happy and size == "medium", size=size, place=place)
    if kind < 0.92:
        count = int(rng.integers(2, 4))
        return dataclasses.replace(scene, happy=happy and count == 2, count=count)
    return dataclasses.replace(scene, happy=happy, second=_other_figure(rng, shape, color, ground))


def _other_figure(rng: np.random.Generator, shape: str, color: str, ground: str) -> tuple[str, str]:
    while True:
        other = _pick(rng, SHAPES), _pick(rng, tuple(FIGURE_COLORS))
        if other[1] != color and other[0] != shape and is_readable(other[1], ground):
            return other


def _plural(noun: str) -> str:
    if noun in ("box",):
        return noun + "es"
    return "rhombuses" if noun == "rhombus" else noun + "s"


def _ground_phrase(scene: Scene, rng: np.random.Generator) -> str:
    if scene.pattern == "night":
        return _pick(
            rng, (" in the night sky", " at night", " in a starry night sky", ", night sky")
        )
    if scene.pattern == "sunset":
        return _pick(rng, (" at sunset", " on a sunset background", ", sunset sky"))
    color = _pick(rng, GROUND_COLORS[scene.ground].words)
    texture = {
        "plain": ("", "", "", "plain "),
        "gradient": ("gradient ",),
        "dots": ("dotted ", "polka dot "),
        "stripes": ("striped ",),
    }[scene.pattern]
    ground = f"{_pick(rng, texture)}background"
    form = rng.random()
    if form < 0.65:
        article = "an" if color[0] in "aeiou" else "a"
        return f" on {article} {color} {ground}"
    return f", {color} {ground}" if form < 0.85 else f" against a {color} {ground}"


def _says_happy(scene: Scene, rng: np.random.Generator) -> bool:
    return scene.happy and (scene.shape != "cat" or rng.random() < 0.4)


def _figure_phrase(scene: Scene, rng: np.random.Generator) -> str:
    color = _pick(rng, FIGURE_COLORS[scene.color].words)
    noun = _pick(rng, SHAPE_WORDS[scene.shape])
    words = [_pick(rng, SIZE_WORDS[scene.size])]
    if _says_happy(scene, rng):
        words.append(_pick(rng, HAPPY_WORDS))
    if scene.style in ("flat", "glossy"):
        words.append(_pick(rng, STYLE_WORDS[scene.style]).split()[0])
    if scene.style == "outlined" and rng.random() < 0.5:
        words.append("outlined")
    rng.shuffle(words)
    noun = _plural(noun) if scene.count > 1 else noun
    described = " ".join(w for w in (*words, color) if w)
    lead = _pick(rng, COUNT_WORDS[scene.count])
    if rng.random() < 0.08:
        return f"{lead} {noun}, {described}".strip()
    if lead == "a" and described[0] in "aeiou":
        lead = "an"
    phrase = f"{lead} {described} {noun}".strip()
    if scene.happy and scene.shape != "cat" and rng.random() < 0.15:
        phrase += " with a happy face"
    return phrase


def describe_ground_first(scene: Scene, rng: np.random.Generator) -> str:
    """A caption that begins with the background, as in "a blue background with a red star"."""
    ground = _ground_phrase(scene, rng)
    for beginning in (" on ", " against ", " in ", " at ", ", "):
        ground = ground.removeprefix(beginning)
    if rng.random() < 0.5:
        ground = ground.removeprefix("a ").removeprefix("an ")
    joint = _pick(rng, (" with ", " with ", ", ", " and "))
    return f"{ground}{joint}{_figure_phrase(scene, rng)}{_pick(rng, TAILS)}".replace("  ", " ")


def describe(scene: Scene, rng: np.random.Generator) -> str:
    """A caption in varied wording; now and then it leaves something out."""
    phrase = _figure_phrase(scene, rng)
    if scene.second is not None:
        shape, color = scene.second
        article = _pick(rng, ("a ", "one ")) if phrase[:2] in ("a ", "an") else "a "
        color_word = _pick(rng, FIGURE_COLORS[color].words)
        phrase += f" and {article}{color_word} {_pick(rng, SHAPE_WORDS[shape])}"
    else:
        place = _pick(rng, PLACE_WORDS[scene.place])
        phrase += f" {place}" if place else ""
    if scene.style == "outlined" and "outlined" not in phrase:
        phrase += _pick(rng, (" with a dark outline", " with a thick outline", ", cartoon"))
    if rng.random() < 0.88:
        phrase += _ground_phrase(scene, rng)
    caption = f"{_pick(rng, LEADS)}{phrase}{_pick(rng, TAILS)}"
    return caption.replace("  ", " ").strip()
