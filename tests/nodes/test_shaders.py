"""Fragment shaders over pictures, in a real OpenGL."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nodes.context import Interrupted, NodeSettings
from nodes.curves import curve_table
from nodes.shaders import process
from nodes.shaders.glsl import GLSLShader
from nodes.shaders.messages import Draw
from nodes.shaders.process import SHADERS, OpenGLMissing, ShaderFailed, ShaderProcess
from nodes.shaders.source import read_shader
from tests.nodes.context import RecordingReporter, node_context

HEAD = """#version 300 es
precision highp float;
uniform sampler2D u_image0, u_image1, u_curve0, u_curve1;
uniform vec2 u_resolution;
uniform int u_pass;
uniform float u_float0, u_float19;
uniform int u_int0, u_int19;
uniform bool u_bool0, u_bool9;
in vec2 v_texCoord;
layout(location = 0) out vec4 fragColor0;
"""
HERE = "texelFetch(u_image0, ivec2(gl_FragCoord.xy), 0)"

# Long in any OpenGL, also in Mesa's, which ends a loop after 65535 rounds.
ENDLESS = """
    vec4 x = vec4(v_texCoord, 0.0, 1.0);
    for (int i = 0; i < 60000; i++) x = sin(x + float(i + u_pass));
    fragColor0 = x;
"""


def shader(body: str, *, head: str = HEAD) -> str:
    """A whole shader of the body of its main function."""
    return f"{head}void main() {{ {body} }}\n"


@pytest.fixture(scope="module")
def opengl() -> Iterator[None]:
    """The process of shaders, where OpenGL is."""
    request = Draw(
        text=read_shader(shader("fragColor0 = vec4(1.0);")).text,
        passes=1,
        targets=1,
        width=1,
        height=1,
        limit_s=60,
        values={},
        textures=[],
    )
    try:
        SHADERS.draw(request, [])
    except OpenGLMissing as error:
        pytest.skip(str(error))
    yield
    SHADERS.close()


@pytest.fixture
def context(opengl: None, tmp_path: Path) -> Iterator[None]:
    with node_context(tmp_path):
        yield


def run(text: str, *images: Tensor, **given: Any) -> tuple[Tensor, ...]:
    """The four outputs."""
    size = given.pop("size", None)
    mode = {"size_mode": "from_input"}
    if size:
        mode = {"size_mode": "custom", "width": size[0], "height": size[1]}
    named = {f"image{index}": image for index, image in enumerate(images)}
    return GLSLShader().run(text, mode, named, **given)


def picture(count: int = 1, height: int = 4, width: int = 6, channels: int = 3) -> Tensor:
    """Values beyond 0 and 1 with all their bits."""
    generator = torch.Generator().manual_seed(count * channels)
    return torch.randn(count, height, width, channels, generator=generator) * 3


@pytest.mark.parametrize("channels", [3, 4])
def test_values_come_through_with_all_their_bits(context: None, channels: int) -> None:
    image = picture(2, channels=channels)
    made, *_ = run(shader(f"fragColor0 = {HERE};"), image)
    assert torch.equal(made, image)


@pytest.mark.parametrize("qualifier", ["lowp", "mediump", "highp"])
def test_no_qualifier_takes_bits_away(context: None, qualifier: str) -> None:
    head = HEAD.replace("highp float", f"{qualifier} float").replace(
        "uniform sampler2D", f"uniform {qualifier} sampler2D"
    )
    image = picture(1)
    made, *_ = run(shader(f"{qualifier} vec4 c = {HERE}; fragColor0 = c;", head=head), image)
    assert torch.equal(made, image)


@pytest.mark.parametrize(("channels", "pixel"), [(1, [5, 5, 5]), (2, [5, 5, 5, 0.5])])
def test_a_picture_of_one_colour_is_grey(context: None, channels: int, pixel: list[float]) -> None:
    image = torch.tensor([5.0, 0.5])[:channels].expand(1, 2, 3, channels)
    made, *_ = run(shader(f"fragColor0 = {HERE};"), image)
    assert made[0, 1, 2].tolist() == pixel


def test_the_first_row_is_the_highest(context: None) -> None:
    made, *_ = run(shader("fragColor0 = vec4(v_texCoord, gl_FragCoord.y, 1.0);"), picture())
    assert made[0, 0, :, 1].tolist() == pytest.approx([7 / 8] * 6)
    assert made[0, :, 0, 2].tolist() == [3.5, 2.5, 1.5, 0.5]
    assert made[0, 0, :, 0].tolist() == pytest.approx([(x + 0.5) / 6 for x in range(6)])


def test_pictures_are_smooth_between_pixels_and_go_on_beyond_edges(context: None) -> None:
    image = torch.tensor([0.0, 1.0]).view(1, 1, 2, 1)
    body = "fragColor0 = texture(u_image0, v_texCoord);"
    made, *_ = run(shader(body), image, size=(4, 1))
    assert made[0, 0, :, 0].tolist() == pytest.approx([0.0, 0.25, 0.75, 1.0])


def test_numbers_arrive_and_those_that_are_not_linked_are_zero(context: None) -> None:
    body = """
        fragColor0 = vec4(u_float0, u_float19, u_int0 == -7 && u_int19 == 0 ? 1.0 : 0.0, 1.0);
        if (!u_bool9 || u_bool0) fragColor0 = vec4(-1.0);
    """
    text = shader(body)
    given = {"floats": {"u_float0": 1.5}, "ints": {"u_int0": -7}, "bools": {"u_bool9": True}}
    assert run(text, picture(), **given)[0][0, 0, 0].tolist() == [1.5, 0.0, 1.0]
    # The shader is the same one, and remembers nothing.
    assert run(text, picture(), **given | {"bools": {}})[0][0, 0, 0].tolist() == [-1.0] * 4


def test_an_unlinked_picture_is_black_and_an_unlinked_curve_is_straight(context: None) -> None:
    body = """
        float curve = texelFetch(u_curve1, ivec2(51, 0), 0).r;
        fragColor0 = vec4(texture(u_image1, v_texCoord).ra, curve, 1.0);
    """
    assert run(shader(body), picture())[0][0, 0, 0].tolist() == pytest.approx([0, 1, 0.2])


def test_a_curve_is_a_table_of_256_values(context: None) -> None:
    curve = {"points": [[0, 1], [0.5, 0], [1, 0.5]], "interpolation": "linear"}
    body = """
        int place = int(gl_FragCoord.x);
        fragColor0 = vec4(texelFetch(u_curve0, ivec2(place, 0), 0).r, textureSize(u_curve0, 0), 1);
    """
    made, *_ = run(shader(body), picture(), curves={"u_curve0": curve}, size=(256, 1))
    places = np.arange(256) / 255
    expected = np.interp(places, [0, 0.5, 1], [1, 0, 0.5])
    assert made[0, 0, :, 0].tolist() == pytest.approx(expected, abs=1e-6)
    assert made[0, 0, 0, 1:].tolist() == [256, 1]


def test_a_monotone_curve_goes_through_its_points_and_never_turns() -> None:
    points = [[0.2, 0.0], [0.4, 0.05], [0.6, 0.9], [0.8, 1.0]]
    table = curve_table({"points": points, "interpolation": "monotone_cubic"}, 101)
    assert [table[round(x * 100)] for x, _ in points] == pytest.approx([y for _, y in points])
    assert (np.diff(table) >= 0).all()
    assert table[0] == 0 and table[100] == 1
    straight = curve_table({"points": points, "interpolation": "linear"}, 101)
    assert np.abs(table - straight).max() > 0.01


def test_the_shaders_of_the_documentation_do_what_it_says(context: None) -> None:
    page = Path(__file__).parents[2] / "docs" / "shaders.md"
    (blur,) = re.findall(r"```glsl\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    image = torch.zeros(1, 7, 9, 3)
    image[0, 3, 4] = 9
    made, *_ = run(blur, image, floats={"u_float0": 1.0})
    expected = torch.zeros(1, 7, 9, 3)
    expected[0, 2:5, 3:6] = 1
    torch.testing.assert_close(made, expected, atol=1e-3, rtol=0)


def test_numbers_and_curves_are_linked_and_have_no_field_on_the_node() -> None:
    optional = GLSLShader.INPUT_TYPES()["optional"]
    for group in ("floats", "ints", "bools", "curves"):
        (member,) = optional[group][1]["template"]["input"]["required"].values()
        assert member[1]["forceInput"] is True


def test_each_output_is_an_image_and_others_are_black(context: None) -> None:
    head = HEAD + "layout(location = 2) out vec4 third;\n"
    outputs = run(shader("fragColor0 = vec4(1.0); third = vec4(3.0);", head=head), picture(2))
    assert [output.mean().item() for output in outputs] == [1, 0, 3, 0]
    assert {tuple(output.shape) for output in outputs} == {(2, 4, 6, 3)}


def test_an_output_without_a_location_is_the_first(context: None) -> None:
    text = "#version 300 es\nprecision highp float;\nout vec4 c;\nvoid main() { c = vec4(0.5); }"
    assert run(text, picture())[0].mean() == 0.5


@pytest.mark.parametrize("passes", [1, 2, 3, 4])
def test_a_pass_reads_what_the_one_before_wrote(context: None, passes: int) -> None:
    head = HEAD.replace("precision", f"#pragma passes {passes}\nprecision", 1)
    head += "layout(location = 1) out vec4 second;\n"
    body = f"fragColor0 = {HERE} * 2.0 + float(u_pass); second = {HERE};"
    image = torch.ones(1, 2, 2, 3)
    expected, before = image, image
    for index in range(passes):
        expected, before = expected * 2 + index, expected
    first, second, *_ = run(shader(body, head=head), image)
    assert torch.equal(first[..., :3], expected)
    assert torch.equal(second, before)


def test_a_chosen_size_is_that_of_the_outputs(context: None) -> None:
    outputs = run(shader("fragColor0 = vec4(u_resolution, 0.0, 1.0);"), picture(), size=(5, 3))
    assert {tuple(output.shape) for output in outputs} == {(1, 3, 5, 3)}
    assert outputs[0][0, 0, 0].tolist() == [5, 3, 0]


def test_shorter_batches_start_again(context: None) -> None:
    counted = [
        torch.arange(count).float().view(count, 1, 1, 1).expand(-1, 2, 2, 3) for count in (2, 3)
    ]
    body = f"fragColor0 = vec4({HERE}.r, texture(u_image1, v_texCoord).r, 0.0, 1.0);"
    made, *_ = run(shader(body), *counted)
    assert made[:, 0, 0, :2].tolist() == [[0, 0], [1, 1], [0, 2]]


def test_a_batch_without_a_picture_is_refused(context: None) -> None:
    with pytest.raises(ValueError, match="a batch without a picture"):
        run(shader("fragColor0 = vec4(1.0);"), picture(), picture()[:0])


def test_what_is_no_number_becomes_zero(context: None) -> None:
    made, *_ = run(shader("fragColor0 = vec4(sqrt(u_float0 - 1.0), 1.0, 0.0, 1.0);"), picture())
    assert made[0, 0, 0].tolist() == [0, 1, 0]


def test_what_the_compiler_says_is_told_with_its_lines(context: None) -> None:
    with pytest.raises(ShaderFailed, match=r"cannot be compiled:\n.*\b11\b.*unknown_name"):
        run(shader("fragColor0 = unknown_name;"), picture())


def test_a_shader_that_takes_all_memory_to_compile_is_ended(
    context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_MOST_BYTES", 400 * 2**20)
    doubled = "".join(f"#define A{i} A{i + 1} A{i + 1}\n" for i in range(40))
    with pytest.raises(ShaderFailed, match=r"took more than 0\.4 GB"):
        run(shader("fragColor0 = vec4(1.0); A0", head=HEAD + doubled), picture())
    made, *_ = run(shader("fragColor0 = vec4(1.0);"), picture())
    assert made.min() == 1


def test_nothing_is_included(context: None) -> None:
    head = HEAD + '#include "/etc/passwd"\n'
    with pytest.raises(ShaderFailed, match="cannot be compiled: cannot include"):
        run(shader("fragColor0 = vec4(1.0);", head=head), picture())


def test_a_uniform_of_another_type_is_refused_by_name(context: None) -> None:
    head = HEAD.replace("uniform int u_int0", "uniform float u_int0")
    with pytest.raises(ShaderFailed, match="'uniform int u_int0;'"):
        run(shader("fragColor0 = vec4(u_int0);", head=head), picture())


def test_other_uniforms_may_have_any_name(context: None) -> None:
    head = HEAD + "uniform vec3 u_intensity;\n"
    made, *_ = run(shader("fragColor0 = vec4(u_intensity, 1.0);", head=head), picture())
    assert not made.any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("void main() {}", "'#version 300 es'"),
        ("// #version 300 es\nvoid main() {}", "'#version 300 es'"),
        ("#version 310 es\nout vec4 c;", "'#version 300 es'"),
        ("#version 300 es\nvoid main() {}", "declares no output"),
        ("#version 300 es\nlayout(location = 4) out vec4 c;", "location is 0 to 3, not 4"),
        ("#version 300 es\n#pragma passes 0\nout vec4 c;", "takes 1 to 1000, not 0"),
        ("#version 300 es\n#pragma passes many\nout vec4 c;", "takes 1 to 1000, not many"),
    ],
)
def test_what_is_no_shader_for_pictures_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_shader(text)


def test_comments_declare_nothing() -> None:
    source = read_shader(
        "/* none */ #version 300 es\n// #pragma passes 9\n/* layout(location = 9) out vec4 x; */"
        "layout(location=1) out highp vec4 c;"
    )
    assert (source.passes, set(source.targets)) == (1, {1})


def test_a_number_of_more_than_32_bits_is_refused_by_name(context: None) -> None:
    with pytest.raises(ValueError, match=r"u_int0 is 2147483648: .* 32 bits"):
        run(shader("fragColor0 = vec4(u_int0);"), picture(), ints={"u_int0": 2**31})


def test_outputs_larger_than_settings_allow_are_refused(opengl: None, tmp_path: Path) -> None:
    text = shader("fragColor0 = vec4(1.0);")
    settings = NodeSettings(max_image_pixels=100, max_media_bytes=5000)
    with node_context(tmp_path, settings=settings):
        with pytest.raises(ValueError, match=r"11 x 10 has more pixels than .*max_image_pixels"):
            run(text, picture(), size=(11, 10))
        with pytest.raises(ValueError, match=r"4 pictures of 10 x 10 .*max_media_memory"):
            run(text, picture(4), size=(10, 10))
        assert len(run(text, picture(3), size=(10, 10))[0]) == 3


def test_pictures_longer_than_opengl_can_are_refused(context: None) -> None:
    with pytest.raises(ShaderFailed, match="pixels a side here, not 1000000"):
        run(shader("fragColor0 = vec4(1.0);"), picture(), size=(1_000_000, 1))


def test_a_shader_that_takes_too_long_is_ended_and_the_next_one_runs(
    opengl: None, tmp_path: Path
) -> None:
    endless = shader(ENDLESS, head=HEAD.replace("precision", "#pragma passes 1000\nprecision", 1))
    with (
        node_context(tmp_path, settings=NodeSettings(max_shader_seconds=0.5)),
        pytest.raises(ShaderFailed, match=r"was not done after 0\.5 seconds"),
    ):
        run(endless, picture(), size=(1024, 1024))
    with node_context(tmp_path):
        assert run(shader("fragColor0 = vec4(1.0);"), picture())[0].mean() == 1


def test_a_shader_that_runs_is_ended_with_its_prompt(opengl: None, tmp_path: Path) -> None:
    endless = shader(ENDLESS, head=HEAD.replace("precision", "#pragma passes 1000\nprecision", 1))
    reporter = RecordingReporter()
    reporter.interrupted = True
    with node_context(tmp_path, reporter=reporter), pytest.raises(Interrupted):
        run(endless, picture(), size=(1024, 1024))
    with node_context(tmp_path):
        assert run(shader("fragColor0 = vec4(1.0);"), picture())[0].mean() == 1


@pytest.fixture
def own_process(opengl: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShaderProcess]:
    """A process that a test may end."""
    shaders = ShaderProcess()
    monkeypatch.setattr("nodes.shaders.glsl.SHADERS", shaders)
    yield shaders
    shaders.close()


def test_a_process_that_has_gone_because_nobody_asked_is_started_again(
    own_process: ShaderProcess, context: None
) -> None:
    text = shader("fragColor0 = vec4(1.0);")
    run(text, picture())
    first = own_process.pid
    assert first is not None and own_process.connection is not None
    with socket.socket(fileno=os.dup(own_process.connection.fileno())) as ours:
        ours.shutdown(socket.SHUT_WR)  # it reads the end, and goes as it does by itself
    assert run(text, picture())[0].mean() == 1
    assert own_process.pid != first


def test_a_driver_that_crashes_fails_the_node_alone(
    own_process: ShaderProcess, context: None
) -> None:
    text = shader("fragColor0 = vec4(1.0);")
    run(text, picture())
    assert own_process.pid is not None
    crash = Timer(0.2, os.kill, (own_process.pid, signal.SIGSEGV))
    crash.start()
    endless = shader(ENDLESS, head=HEAD.replace("precision", "#pragma passes 1000\nprecision", 1))
    with pytest.raises(ShaderFailed, match="by the signal SIGSEGV"):
        run(endless, picture(), size=(1024, 1024))
    crash.join()
    assert run(text, picture())[0].mean() == 1


def test_without_its_library_the_node_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process, "find_spec", lambda name: None)
    monkeypatch.setattr("nodes.shaders.glsl.SHADERS", ShaderProcess())
    with node_context(tmp_path), pytest.raises(OpenGLMissing, match="pip install moderngl"):
        run(shader("fragColor0 = vec4(1.0);"), picture())


def test_without_opengl_the_node_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, opengl: None
) -> None:
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_FILENAMES", str(tmp_path / "none.json"))
    monkeypatch.setattr("nodes.shaders.glsl.SHADERS", ShaderProcess())
    with node_context(tmp_path), pytest.raises(OpenGLMissing, match="libgl1-mesa-dri"):
        run(shader("fragColor0 = vec4(1.0);"), picture())
