"""The node that runs a fragment shader over pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from nodes.base import MAX_RESOLUTION, inputs
from nodes.curves import STRAIGHT, Curve, curve_table
from nodes.picture_limits import check_size
from nodes.schema import DynamicNode, growing, opening
from nodes.shaders.messages import Draw, Texture
from nodes.shaders.process import SHADERS, Pixels
from nodes.shaders.source import MOST_TARGETS, read_shader

_SIDE: Final = ("INT", {"default": 512, "min": 1, "max": MAX_RESOLUTION})
_LINKED: Final = {"forceInput": True}  # no field on the node
_CURVE_STEPS: Final = 256  # of a table, as shaders expect it that read texels
_MOST_CHANNELS: Final = 4
_OPAQUE: Final = 1 - 2**-17  # alpha from here on is 1 in files of 16 bits
_INTEGERS: Final = range(-(2**31), 2**31)

_PASS_THROUGH: Final = """#version 300 es
precision highp float;

uniform sampler2D u_image0;
in vec2 v_texCoord;
layout(location = 0) out vec4 fragColor0;

void main() {
    fragColor0 = texture(u_image0, v_texCoord);
}
"""


class GLSLShader(DynamicNode):
    """Runs a fragment shader of GLSL ES 3.00 over pictures.

    It finds the pictures as `sampler2D u_image0` to `u_image4`, which are smooth between pixels and
    go on beyond their edges, numbers as `u_float0`, `u_int0`, `u_bool0` and following, curves as
    `sampler2D u_curve0` to `u_curve3` of 256 x 1 texels (red), and the size of its output as
    `vec2 u_resolution`. `v_texCoord` is (0, 0) at the lower left: the first row of a picture is the
    highest. Outputs are at the locations 0 to 3. After `#pragma passes N` it runs N times, each but
    the first reading what the one before wrote to location 0 as `u_image0`; `int u_pass` counts.
    """

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_glsl"
    DISPLAY_NAME = "GLSL Shader"
    CATEGORY = "image/shader"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        fragment_shader=("STRING", {"default": _PASS_THROUGH, "multiline": True}),
        size_mode=opening({"from_input": {}, "custom": inputs(width=_SIDE, height=_SIDE)}),
        images=growing("image", ("IMAGE",), names="image", least=1, most=5),
    )
    OPTIONAL = inputs(
        floats=growing("float", ("FLOAT", _LINKED), names="u_float", least=0, most=20),
        ints=growing("int", ("INT", _LINKED), names="u_int", least=0, most=20),
        bools=growing("bool", ("BOOLEAN", _LINKED), names="u_bool", least=0, most=10),
        curves=growing("curve", ("CURVE", _LINKED), names="u_curve", least=0, most=4),
    )
    RETURN_TYPES = ("IMAGE",) * MOST_TARGETS
    RETURN_NAMES = ("IMAGE0", "IMAGE1", "IMAGE2", "IMAGE3")

    def run(
        self,
        fragment_shader: str,
        size_mode: Mapping[str, Any],
        images: Mapping[str, Tensor],
        floats: Mapping[str, float] | None = None,
        ints: Mapping[str, int] | None = None,
        bools: Mapping[str, bool] | None = None,
        curves: Mapping[str, Curve] | None = None,
    ) -> tuple[Tensor, ...]:
        """As many pictures as the longest batch has; shorter ones start again.

        Outputs that the shader does not declare are black; without a transparent pixel they have
        three channels. Values are not cut off. Raises ValueError for what the shader, the numbers
        or the sizes have wrong, RuntimeError without OpenGL.
        """
        if not all(isinstance(x, Tensor) and x.ndim == 4 for x in images.values()):
            raise ValueError("what shaders read as images are batches of pictures [B, H, W, C]")
        if not all(map(len, images.values())):
            raise ValueError("a batch without a picture cannot be drawn")
        source = read_shader(fragment_shader)
        width, height = _size(size_mode, images)
        count = max(map(len, images.values()), default=1)
        drawn_count = count * len(source.targets)
        check_size(self.context.settings, width, height, drawn_count, channels=4)
        values = {**_floats(floats or {}), **_integers(ints or {}), **_truths(bools or {})}
        tables = {f"u_curve{index}": STRAIGHT for index in range(4)} | dict(curves or {})
        fixed = {name: curve_table(curve, _CURVE_STEPS) for name, curve in tables.items()}
        drawn = {
            target: np.empty((count, height, width, 4), np.float32) for target in source.targets
        }
        for index in range(count):
            pixels = {f"u_{name}": _rows(batch, index) for name, batch in images.items()}
            pixels |= {name: table[None, :, None] for name, table in fixed.items()}
            request = Draw(
                text=source.text,
                passes=source.passes,
                targets=max(source.targets) + 1,
                width=width,
                height=height,
                limit_s=self.context.settings.max_shader_seconds,
                values=values,
                textures=[_described(name, rows) for name, rows in pixels.items()],
            )
            for target, rows in enumerate(SHADERS.draw(request, list(pixels.values()))):
                if target in drawn:
                    drawn[target][index] = rows[::-1]
            self.context.report(index + 1, count)
        black = (count, height, width, 3)  # zeros of NumPy take no memory until they are written to
        return tuple(
            _image(drawn[target])
            if target in drawn
            else torch.from_numpy(np.zeros(black, np.float32))
            for target in range(MOST_TARGETS)
        )


def _size(size_mode: Mapping[str, Any], images: Mapping[str, Tensor]) -> tuple[int, int]:
    """Width and height of what is drawn."""
    if size_mode["size_mode"] == "custom":
        return int(size_mode["width"]), int(size_mode["height"])
    if not images:
        raise ValueError("without an image the size is to be custom")
    first = next(iter(images.values()))
    return first.shape[2], first.shape[1]


def _floats(given: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(np.float32(value)) for name, value in given.items()}


def _truths(given: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(bool(value)) for name, value in given.items()}


def _integers(given: Mapping[str, Any]) -> dict[str, int]:
    for name, value in given.items():
        if int(value) not in _INTEGERS:
            raise ValueError(f"{name} is {value}: whole numbers of shaders have 32 bits")
    return {name: int(value) for name, value in given.items()}


def _rows(batch: Tensor, index: int) -> Pixels:
    """One picture as rows from the lowest to the highest."""
    image = batch[index % len(batch), ..., :_MOST_CHANNELS].detach().to("cpu", torch.float32)
    rows: Pixels = image.numpy()[::-1]
    return rows


def _described(name: str, rows: Pixels) -> Texture:
    height, width, channels = rows.shape
    return Texture(name, width, height, channels)


def _image(drawn: Pixels) -> Tensor:
    """Pictures [N, H, W, 3], or 4 where a pixel is transparent; what is no number is 0."""
    pixels = torch.from_numpy(drawn).nan_to_num_(nan=0.0, posinf=math.inf, neginf=-math.inf)
    return pixels if bool((pixels[..., 3] < _OPAQUE).any()) else pixels[..., :3].contiguous()
