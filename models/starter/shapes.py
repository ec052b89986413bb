"""Draws the starter model's training pictures: one scene in, one 128x128 RGB picture out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from models.starter import palette

SIZE = 128
SCALE = 4  # supersampling per side

Pixels = npt.NDArray[np.float32]  # h w 3, 0..255
Point = tuple[float, float]

PLACES: dict[str, Point] = {
    "center": (0.0, 0.0),
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "top": (0.0, -1.0),
    "bottom": (0.0, 1.0),
}
RADII: dict[str, float] = {"small": 19.0, "medium": 33.0, "big": 47.0}
MARGIN = 4.0  # pixels kept free around a figure that stands off centre
STYLES = ("soft", "flat", "outlined", "glossy")
PATTERNS = ("plain", "gradient", "dots", "stripes", "night", "sunset")
COUNT_LAYOUTS: dict[int, tuple[float, tuple[Point, ...]]] = {
    2: (24.0, ((-29.0, 0.0), (29.0, 0.0))),
    3: (18.0, ((-40.0, 0.0), (0.0, 0.0), (40.0, 0.0))),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """What a picture shows; `second` is another (shape, colour) to the right of the first."""

    shape: str
    color: str
    size: str = "medium"
    place: str = "center"
    count: int = 1
    style: str = "soft"
    happy: bool = False
    ground: str = "white"
    pattern: str = "plain"
    second: tuple[str, str] | None = None


def _polar(radius_at: Callable[[float], float], steps: int = 180) -> list[Point]:
    angles = (2 * math.pi * i / steps for i in range(steps))
    return [(radius_at(a) * math.sin(a), -radius_at(a) * math.cos(a)) for a in angles]


def _star() -> list[Point]:
    corners = []
    for i in range(10):
        radius = 1.1 if i % 2 == 0 else 0.52
        corners.append(
            (radius * math.sin(i * math.pi / 5), 0.06 - radius * math.cos(i * math.pi / 5))
        )
    return corners


def _heart() -> list[Point]:
    points = []
    for i in range(120):
        t = 2 * math.pi * i / 120
        x = 16 * math.sin(t) * abs(math.sin(t))
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((x / 16.5, -(y + 2.5) / 15.5))
    return points


def _moon() -> list[Point]:
    tip = 0.92
    arc = np.linspace(tip, 2 * math.pi - tip, 90)
    back = [(math.cos(a), math.sin(a)) for a in arc]
    x0, y0 = back[-1]
    centre_x, radius = 0.52, math.hypot(x0 - 0.52, y0)
    turn = math.atan2(abs(y0), x0 - centre_x)
    inner = np.linspace(-turn, -(2 * math.pi - turn), 90)
    bite = [(centre_x + radius * math.cos(a), radius * math.sin(a)) for a in inner]
    return [(x + 0.2, y) for x, y in back + bite]


def _cat() -> list[Point]:
    face = [
        (0.98 * math.cos(a), 0.18 + 0.8 * math.sin(a))
        for a in np.linspace(-0.72, math.pi + 0.72, 90)
    ]
    return [*face, (-0.86, -1.0), (-0.26, -0.6), (0.26, -0.6), (0.86, -1.0)]


def _cloud() -> list[list[Point]]:
    puffs = ((-0.62, 0.2, 0.42), (-0.18, -0.2, 0.52), (0.36, -0.06, 0.46), (0.72, 0.26, 0.36))
    rounds = [
        [(x + r * math.cos(a), y + r * math.sin(a)) for a in np.linspace(0, 2 * math.pi, 60)]
        for x, y, r in puffs
    ]
    return [*rounds, [(-0.62, 0.1), (0.72, 0.1), (0.72, 0.62), (-0.62, 0.62)]]


OUTLINES: dict[str, list[list[Point]]] = {
    "circle": [_polar(lambda _: 0.96)],
    "square": [[(-0.84, -0.84), (0.84, -0.84), (0.84, 0.84), (-0.84, 0.84)]],
    "triangle": [[(0.0, -0.98), (1.04, 0.8), (-1.04, 0.8)]],
    "star": [_star()],
    "heart": [_heart()],
    "diamond": [[(0.0, -1.12), (0.76, 0.0), (0.0, 1.12), (-0.76, 0.0)]],
    "moon": [_moon()],
    "flower": [_polar(lambda a: 0.8 + 0.24 * math.cos(5 * a))],
    "cloud": _cloud(),
    "cat": [_cat()],
}
SHAPES = tuple(OUTLINES)

# Where the face sits in each shape: (x, y, width) in units of the radius.
FACES: dict[str, tuple[float, float, float]] = {
    "circle": (0.0, 0.0, 0.9),
    "square": (0.0, 0.0, 0.9),
    "triangle": (0.0, 0.3, 0.72),
    "star": (0.0, 0.08, 0.62),
    "heart": (0.0, -0.14, 0.84),
    "diamond": (0.0, 0.02, 0.62),
    "moon": (-0.42, 0.0, 0.5),
    "flower": (0.0, 0.0, 0.74),
    "cloud": (0.08, 0.18, 0.78),
    "cat": (0.0, 0.16, 0.9),
}


def figure_mask(
    shape: str, center: Point, radius: float, tilt: float, grow: float = 0.0
) -> Image.Image:
    """Coverage of the figure (mode L, SIZE x SIZE); `grow` widens its edge by that many pixels."""
    canvas = Image.new("L", (SIZE * SCALE, SIZE * SCALE))
    draw = ImageDraw.Draw(canvas)
    cos, sin = math.cos(tilt), math.sin(tilt)
    for outline in OUTLINES[shape]:
        points = [
            (
                (center[0] + radius * (x * cos - y * sin)) * SCALE,
                (center[1] + radius * (x * sin + y * cos)) * SCALE,
            )
            for x, y in outline
        ]
        draw.polygon(points, fill=255)
        _round_edge(draw, points, (radius * 0.09 + grow) * SCALE)
    return canvas.reduce(SCALE)


def _round_edge(draw: ImageDraw.ImageDraw, points: list[Point], pen: float) -> None:
    """Run a round pen along the closed outline; it softens the corners."""
    draw.line([*points, points[0]], fill=255, width=round(2 * pen))
    for x, y in points:
        draw.ellipse((x - pen, y - pen, x + pen, y + pen), fill=255)


def _coverage(mask: Image.Image) -> Pixels:
    return np.asarray(mask, dtype=np.float32)[..., None] / 255.0


def _mix(below: Pixels, color: tuple[int, int, int] | Pixels, coverage: Pixels) -> Pixels:
    return below + (np.asarray(color, dtype=np.float32) - below) * coverage


def _vertical(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Pixels:
    ramp = np.linspace(0.0, 1.0, SIZE, dtype=np.float32)[:, None, None]
    return np.broadcast_to(
        _mix(np.asarray(top, dtype=np.float32), bottom, ramp), (SIZE, SIZE, 3)
    ).copy()


def _lighter(color: tuple[int, int, int], amount: float) -> tuple[int, int, int]:
    target = 255 if sum(color) > 150 else 110
    r, g, b = (round(c + (target - c) * amount) for c in color)
    return r, g, b


def _darker(color: tuple[int, int, int], amount: float) -> tuple[int, int, int]:
    r, g, b = (round(c * (1 - amount)) for c in color)
    return r, g, b


def draw_ground(scene: Scene, rng: np.random.Generator) -> Pixels:
    """The background alone, h w 3."""
    rgb = palette.GROUND_COLORS[scene.ground].rgb
    if scene.pattern == "sunset":
        return _vertical(palette.SUNSET_TOP, palette.SUNSET_BOTTOM)
    if scene.pattern == "night":
        return _night(rng)
    if scene.pattern == "gradient":
        return _vertical(_darker(rgb, 0.10), _lighter(rgb, 0.4))
    ground = _vertical(rgb, rgb)
    accent = _darker(rgb, 0.07) if scene.ground == "white" else _lighter(rgb, 0.34)
    if scene.pattern == "dots":
        return _mix(ground, accent, _dots(rng))
    if scene.pattern == "stripes":
        rows = (np.arange(SIZE) + rng.integers(0, 32)) // 16 % 2
        return _mix(ground, accent, rows.astype(np.float32)[:, None, None])
    return ground


def _dots(rng: np.random.Generator) -> Pixels:
    canvas = Image.new("L", (SIZE * SCALE, SIZE * SCALE))
    draw = ImageDraw.Draw(canvas)
    shift_x, shift_y = rng.integers(0, 32, size=2)
    for row in range(-1, 6):
        for column in range(-1, 6):
            x = (column * 32 + 16 * (row % 2) + shift_x) * SCALE
            y = (row * 28 + shift_y) * SCALE
            draw.ellipse((x - 5 * SCALE, y - 5 * SCALE, x + 5 * SCALE, y + 5 * SCALE), fill=255)
    return _coverage(canvas.reduce(SCALE))


def _night(rng: np.random.Generator) -> Pixels:
    canvas = Image.new("L", (SIZE * SCALE, SIZE * SCALE))
    draw = ImageDraw.Draw(canvas)
    for _ in range(14):
        x, y = rng.uniform(3, SIZE - 3, size=2) * SCALE
        r = rng.uniform(0.8, 1.7) * SCALE
        draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
    sky = _vertical(palette.NIGHT_TOP, palette.NIGHT_BOTTOM)
    return _mix(sky, (255, 246, 214), _coverage(canvas.reduce(SCALE)) * 0.9)


def _face(
    center: Point, width: float, cat: bool
) -> Iterator[tuple[tuple[int, int, int], float, Pixels]]:
    """Layers (colour, opacity, coverage) of a happy face."""
    x, y = center[0] * SCALE, center[1] * SCALE
    unit = width * SCALE / 2

    def layer(paint: Callable[[ImageDraw.ImageDraw], None]) -> Pixels:
        canvas = Image.new("L", (SIZE * SCALE, SIZE * SCALE))
        paint(ImageDraw.Draw(canvas))
        return _coverage(canvas.reduce(SCALE))

    def dots(
        offset: float, drop: float, rx: float, ry: float
    ) -> Callable[[ImageDraw.ImageDraw], None]:
        def paint(draw: ImageDraw.ImageDraw) -> None:
            for side in (-1, 1):
                cx, cy = x + side * offset * unit, y + drop * unit
                draw.ellipse(
                    (cx - rx * unit, cy - ry * unit, cx + rx * unit, cy + ry * unit), fill=255
                )

        return paint

    def smile(draw: ImageDraw.ImageDraw) -> None:
        pen = max(round(0.15 * unit), round(1.6 * SCALE))
        if cat:
            for side in (-1, 1):
                cx = x + side * 0.2 * unit
                draw.arc((cx - 0.22 * unit, y, cx + 0.22 * unit, y + 0.42 * unit), 0, 180, 255, pen)
        else:
            draw.arc(
                (x - 0.36 * unit, y - 0.2 * unit, x + 0.36 * unit, y + 0.46 * unit),
                15,
                165,
                255,
                pen,
            )

    yield palette.BLUSH, 0.75, layer(dots(0.82, 0.28, 0.2, 0.13))
    yield palette.INK, 1.0, layer(dots(0.56, -0.1, 0.19, 0.25))
    yield palette.INK, 1.0, layer(smile)


def draw_figure(
    picture: Pixels, scene: Scene, shape: str, color: str, center: Point, radius: float, tilt: float
) -> Pixels:
    """The picture with one figure painted over it."""
    rgb = palette.FIGURE_COLORS[color].rgb
    mask = figure_mask(shape, center, radius, tilt)
    body = _coverage(mask)
    if scene.style in ("soft", "glossy"):
        fallen = mask.transform(mask.size, Image.Transform.AFFINE, (1, 0, 0, 0, 1, -radius * 0.14))
        shadow = fallen.filter(ImageFilter.GaussianBlur(radius * 0.08))
        picture = picture * (1 - 0.2 * _coverage(shadow))
    if scene.style == "outlined":
        edge = _coverage(figure_mask(shape, center, radius, tilt, grow=2.6))
        picture = _mix(picture, palette.INK, edge)
    paint: Pixels = np.broadcast_to(np.asarray(rgb, dtype=np.float32), picture.shape)
    if scene.style in ("soft", "glossy"):
        height = (np.arange(SIZE, dtype=np.float32) - center[1]) / radius
        light = np.clip(-height, -1, 1)[:, None, None] * 0.09
        paint = np.clip(
            _mix(paint, (255, 255, 255), np.maximum(light, 0)) * (1 + np.minimum(light, 0)), 0, 255
        )
    picture = _mix(picture, paint, body)
    if scene.style == "glossy":
        picture = _mix(picture, (255, 255, 255), _gloss(center, radius) * body * 0.62)
    if scene.happy:
        face_x, face_y, width = FACES[shape]
        place = (center[0] + face_x * radius, center[1] + face_y * radius)
        for ink, opacity, coverage in _face(place, width * radius, shape == "cat"):
            picture = _mix(picture, ink, coverage * opacity)
    return picture


def _gloss(center: Point, radius: float) -> Pixels:
    canvas = Image.new("L", (SIZE * SCALE, SIZE * SCALE))
    x, y = (center[0] - 0.34 * radius) * SCALE, (center[1] - 0.44 * radius) * SCALE
    rx, ry = 0.26 * radius * SCALE, 0.16 * radius * SCALE
    ImageDraw.Draw(canvas).ellipse((x - rx, y - ry, x + rx, y + ry), fill=255)
    return _coverage(canvas.reduce(SCALE).filter(ImageFilter.GaussianBlur(0.8)))


def draw(scene: Scene, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw a scene; `rng` jitters what the scene leaves open. Returns uint8 h w 3, SIZE x SIZE."""
    picture = draw_ground(scene, rng)
    for shape, color, center, radius in _layout(scene):
        jitter = rng.uniform(-2.0, 2.0, size=2)
        spot = (center[0] + SIZE / 2 + jitter[0], center[1] + SIZE / 2 + jitter[1])
        tilt = rng.uniform(-0.06, 0.06)
        grown = radius * rng.uniform(0.95, 1.05)
        picture = draw_figure(picture, scene, shape, color, spot, grown, tilt)
    pixels: npt.NDArray[np.uint8] = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    return pixels


def _layout(scene: Scene) -> Iterator[tuple[str, str, Point, float]]:
    if scene.second is not None:
        radius, spots = COUNT_LAYOUTS[2]
        yield scene.shape, scene.color, spots[0], radius
        yield *scene.second, spots[1], radius
    elif scene.count > 1:
        radius, spots = COUNT_LAYOUTS[scene.count]
        for spot in spots:
            yield scene.shape, scene.color, spot, radius
    else:
        x, y = PLACES[scene.place]
        radius = RADII[scene.size]
        offset = SIZE / 2 - 1.2 * radius - MARGIN
        yield scene.shape, scene.color, (x * offset, y * offset), radius
