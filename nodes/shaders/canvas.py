"""Drawing with OpenGL: one shader over all pixels of pictures. In the renderer's process only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

import moderngl

from nodes.shaders.messages import Draw, Texture

_CHANNELS: Final = {1: "RRR1", 2: "RRRG", 3: "RGB1", 4: "RGBA"}
_PRECISION: Final = "f4"  # nothing is rounded or cut off between shader and tensor

# A triangle that covers the picture. (0, 0) is its lower left corner, as everywhere in OpenGL.
_VERTICES: Final = """#version 300 es
out vec2 v_texCoord;
void main() {
    v_texCoord = vec2((gl_VertexID << 1) & 2, gl_VertexID & 2);
    gl_Position = vec4(v_texCoord * 2.0 - 1.0, 0.0, 1.0);
}
"""

# What uniforms of ours go by -> OpenGL's number of their type, and its name in GLSL.
_NAME: Final = re.compile(r"u_(?:(?:image|curve|float|int|bool)\d+|pass|resolution)")
_TYPES: Final = {
    "u_image": (0x8B5E, "sampler2D"),
    "u_curve": (0x8B5E, "sampler2D"),
    "u_float": (0x1406, "float"),
    "u_int": (0x1404, "int"),
    "u_bool": (0x8B56, "bool"),
    "u_pass": (0x1404, "int"),
    "u_resolution": (0x8B50, "vec2"),
}


class CannotDraw(Exception):
    """A shader is wrong, or OpenGL is not able to."""


class Canvas:
    """Draws with one context, and keeps the shader that it compiled last."""

    def __init__(self, context: moderngl.Context) -> None:
        self._context = context
        self._text = ""
        self._program: moderngl.Program | None = None
        self._blank = self._texture(Texture("", 1, 1, 1), bytes(4))

    def draw(self, request: Draw, pixels: Sequence[memoryview]) -> None:
        """Take the textures' pixels, and write those of the targets. Raises CannotDraw."""
        try:
            program = self._compiled(request.text)
            with ExitStack() as stack:
                self._run(program, request, pixels, stack)
        except moderngl.Error as error:
            raise CannotDraw(f"OpenGL cannot do that: {error}") from None

    def _compiled(self, text: str) -> moderngl.Program:
        if self._program is not None and text == self._text:
            return self._program
        if self._program is not None:
            self._program.release()
            self._program = None
        try:
            self._program = self._context.program(vertex_shader=_VERTICES, fragment_shader=text)
        except KeyError as error:  # of #include, which the library looks up in a table of its own
            raise CannotDraw(f"the shader cannot be compiled: {error.args[0]}") from None
        except moderngl.Error as error:
            log = str(error).rpartition("=\n")[2].strip()
            raise CannotDraw(f"the shader cannot be compiled:\n{log}") from None
        self._text = text
        return self._program

    def _run(
        self,
        program: moderngl.Program,
        request: Draw,
        pixels: Sequence[memoryview],
        stack: ExitStack,
    ) -> None:
        uniforms = _uniforms(program)
        given: dict[str, moderngl.Texture] = {}
        for described, content in zip(request.textures, pixels, strict=False):
            given[described.name] = texture = self._texture(described, content)
            stack.callback(texture.release)
        self._set(uniforms, request, given)

        vertices = self._context.vertex_array(program, [])
        stack.callback(vertices.release)
        size = request.width, request.height
        targets = [self._target(size, stack) for _ in range(request.targets)]
        between = [self._target(size, stack) for _ in range(min(2, request.passes - 1))]
        frames = [self._frame([target], stack) for target in between]
        last = self._frame(targets, stack)
        for index in range(request.passes):
            if "u_pass" in uniforms:
                uniforms["u_pass"].value = index
            if index and "u_image0" in uniforms:
                between[(index - 1) % 2].use(int(uniforms["u_image0"].value))
            frame = last if index + 1 == request.passes else frames[index % 2]
            frame.use()
            frame.clear()
            vertices.render(vertices=3)
        for target, content in zip(targets, pixels[len(request.textures) :], strict=True):
            target.read_into(content)

    def _set(
        self,
        uniforms: dict[str, moderngl.Uniform],
        request: Draw,
        given: dict[str, moderngl.Texture],
    ) -> None:
        """All that the shader declares: what was not given is 0, or a black picture."""
        unit = 0
        for name, uniform in uniforms.items():
            if name.startswith(("u_image", "u_curve")):
                given.get(name, self._blank).use(unit)
                uniform.value = unit
                unit += 1
            elif name == "u_resolution":
                uniform.value = (float(request.width), float(request.height))
            else:
                uniform.value = request.values.get(name, 0)

    def _texture(self, described: Texture, pixels: bytes | memoryview) -> moderngl.Texture:
        size = described.width, described.height
        texture = self._context.texture(size, described.channels, pixels, dtype=_PRECISION)
        texture.swizzle = _CHANNELS[described.channels]
        return _smooth(texture)

    def _target(self, size: tuple[int, int], stack: ExitStack) -> moderngl.Texture:
        texture = self._context.texture(size, 4, dtype=_PRECISION)
        stack.callback(texture.release)
        return _smooth(texture)

    def _frame(self, targets: list[moderngl.Texture], stack: ExitStack) -> moderngl.Framebuffer:
        frame = self._context.framebuffer(color_attachments=targets)
        stack.callback(frame.release)
        return frame


def _uniforms(program: moderngl.Program) -> dict[str, moderngl.Uniform]:
    """The uniforms of ours that a shader uses. Raises CannotDraw for one of another type."""
    found: dict[str, moderngl.Uniform] = {}
    for name in program:
        uniform = program[name]
        if not isinstance(uniform, moderngl.Uniform) or not _NAME.fullmatch(name):
            continue
        kind, word = _TYPES[name.rstrip("0123456789")]
        declared = uniform.gl_type  # type: ignore[attr-defined]  # missing from its stubs
        if declared != kind or uniform.array_length != 1:
            raise CannotDraw(f"'{name}' is to be declared as 'uniform {word} {name};'")
        found[name] = uniform
    return found


def _smooth(texture: moderngl.Texture) -> moderngl.Texture:
    texture.filter = (moderngl.LINEAR, moderngl.LINEAR)
    texture.repeat_x = texture.repeat_y = False
    return texture
