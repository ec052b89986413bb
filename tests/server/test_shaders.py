"""Fragment shaders on a real server: they hang, are stopped, and leave the worker as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.client import Client, PromptFailed
from tests.conftest import ServerProcess, start_server

HEAD = "#version 300 es\nprecision highp float;\nlayout(location = 0) out vec4 color;\n"
ENDLESS = """#version 300 es
#pragma passes 1000
precision highp float;
uniform int u_pass;
in vec2 v_texCoord;
layout(location = 0) out vec4 color;
void main() {
    color = vec4(v_texCoord, 0.0, 1.0);
    for (int i = 0; i < 60000; i++) color = sin(color + float(i + u_pass));
}
"""


@pytest.fixture(scope="module")
def server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with all nodes."""
    server = start_server(tmp_path_factory.mktemp("shaders"))
    yield server
    server.stop()


def graph(text: str, side: int = 8) -> dict[str, Any]:
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": side, "height": side, "batch_size": 1, "color": 0},
        },
        "2": {
            "class_type": "GLSLShader",
            "inputs": {
                "fragment_shader": text,
                "size_mode": "custom",
                "size_mode.width": 2 * side,
                "size_mode.height": side,
                "images.image0": ["1", 0],
                "floats.u_float0": 0.5,
            },
        },
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "s"}},
    }


def draw(client: Client) -> None:
    """A picture with the number that was given; skips where there is no OpenGL."""
    text = HEAD + "uniform float u_float0;\nvoid main() { color = vec4(vec3(u_float0), 1.0); }"
    try:
        entry = client.run(graph(text))
    except PromptFailed as error:
        if "OpenGL cannot be used" in str(error) or "moderngl" in str(error):
            pytest.skip(str(error))
        raise
    (png,) = client.images(entry)
    assert png.startswith(b"\x89PNG")


def test_what_a_shader_has_wrong_is_told_to_its_submitter(server_process: ServerProcess) -> None:
    draw(server_process.client)
    with pytest.raises(PromptFailed, match=r"cannot be compiled.*nowhere"):
        server_process.client.run(graph(HEAD + "void main() { color = nowhere; }"))


def test_a_shader_that_hangs_is_stopped_and_its_worker_goes_on(
    server_process: ServerProcess,
) -> None:
    client = server_process.client
    draw(client)
    workers = psutil.Process(server_process.process.pid).children()
    with client.listen() as listener:
        prompt_id = client.submit(graph(ENDLESS, side=1024))
        while listener.wait_for("executing", prompt_id)["node"] != "2":
            pass
        client.post("/interrupt")
        listener.wait_for("execution_interrupted", prompt_id)
        listener.wait_for_end(prompt_id)
    draw(client)
    assert psutil.Process(server_process.process.pid).children() == workers
