"""Nodes that steer the run: lazy inputs, async work, expansion, blocking, hidden values."""

import asyncio

from comfy_api.latest import ComfyAPI, ComfyAPISync, io
from comfy_execution.graph_utils import GraphBuilder
from PIL import Image

calls = []  # what ran, for tests that share the process


class V3Switch(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = io.MatchType.Template("switched", allowed_types=[io.Image, io.Int, io.String])
        return io.Schema(
            node_id="V3Switch",
            category="v3_pack/flow",
            inputs=[
                io.Boolean.Input("on", label_on="yes", label_off="no"),
                io.MatchType.Input("yes", template=template, lazy=True),
                io.MatchType.Input("no", template=template, lazy=True, optional=True),
            ],
            outputs=[io.MatchType.Output(template=template, display_name="chosen")],
            is_experimental=True,
        )

    @classmethod
    def check_lazy_status(cls, on, yes=None, no=None):
        if on and yes is None:
            return ["yes"]
        if not on and no is None:
            return ["no"]
        return []

    @classmethod
    def execute(cls, on, yes=None, no=None) -> io.NodeOutput:
        return io.NodeOutput(yes if on else no)


class V3Slow(io.ComfyNode):
    """Takes its time, and lets others run meanwhile."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Slow",
            category="v3_pack/flow",
            inputs=[io.AnyType.Input("value"), io.Int.Input("steps", default=3, min=1)],
            outputs=[io.AnyType.Output()],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    async def execute(cls, value, steps) -> io.NodeOutput:
        api = ComfyAPI()
        calls.append(("start", cls.hidden.unique_id))
        for step in range(steps):
            await asyncio.sleep(0.02)
            picture = Image.new("RGB", (600, 300), (step * 20, 0, 0))
            await api.execution.set_progress(
                step + 1, steps, preview_image=picture, ignore_size_limit=True
            )
        calls.append(("end", cls.hidden.unique_id))
        return io.NodeOutput(value)


class V3Steps(io.ComfyNode):
    """Reports progress without being async."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Steps",
            category="v3_pack/flow",
            inputs=[io.AnyType.Input("value")],
            outputs=[io.AnyType.Output()],
        )

    @classmethod
    def execute(cls, value) -> io.NodeOutput:
        ComfyAPISync().execution.set_progress(value=2, max_value=4)
        return io.NodeOutput(value)


class V3Repeat(io.ComfyNode):
    """Inverts an image a number of times, by nodes that it adds."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Repeat",
            category="v3_pack/flow",
            inputs=[io.Image.Input("image"), io.Int.Input("times", default=2, min=0)],
            outputs=[io.Image.Output()],
            enable_expand=True,
        )

    @classmethod
    def execute(cls, image, times) -> io.NodeOutput:
        graph = GraphBuilder()
        for _ in range(times):
            image = graph.node("ImageInvert", image=image).out(0)
        return io.NodeOutput(image, expand=graph.finalize())


class V3Sneaky(io.ComfyNode):
    """Expands without saying so in its schema."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Sneaky", category="v3_pack/flow", outputs=[io.AnyType.Output()]
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(1, expand={})


class V3Who(io.ComfyNode):
    """Tells what is hidden."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Who",
            category="v3_pack/flow",
            inputs=[io.String.Input("note", default="")],
            outputs=[io.AnyType.Output("who")],
            hidden=[
                io.Hidden.unique_id,
                io.Hidden.prompt,
                io.Hidden.extra_pnginfo,
                io.Hidden.dynprompt,
                io.Hidden.auth_token_comfy_org,
                io.Hidden.api_key_comfy_org,
                io.Hidden.comfy_usage_source,
            ],
        )

    @classmethod
    def execute(cls, note) -> io.NodeOutput:
        hidden = cls.hidden
        return io.NodeOutput(
            {
                "note": note,
                "id": hidden.unique_id,
                "nodes": sorted(hidden.prompt),
                "extra": hidden.extra_pnginfo,
                "parent": hidden.dynprompt.get_parent_node_id(hidden.unique_id),
                "token": hidden.auth_token_comfy_org,
                "key": hidden.api_key_comfy_org,
                "source": hidden.comfy_usage_source,
                "not_asked_for": hidden.execution_list,
            }
        )


class V3Return(io.ComfyNode):
    """Returns in one of the ways there are."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Return",
            category="v3_pack/flow",
            inputs=[io.String.Input("how")],
            outputs=[io.Int.Output("a"), io.Int.Output("b")],
            not_idempotent=True,
        )

    @classmethod
    def execute(cls, how):
        from comfy_execution.graph import ExecutionBlocker

        calls.append(("return", how))
        return {
            "output": lambda: io.NodeOutput(1, 2),
            "tuple": lambda: (1, 2),
            "dict": lambda: {"result": (1, 2), "ui": {"text": ["shown"]}},
            "none": lambda: None,
            "blocker": lambda: ExecutionBlocker("stop here"),
            "block": lambda: io.NodeOutput(block_execution="stop here"),
            "ui": lambda: io.NodeOutput(1, 2, ui={"text": ["shown"]}),
            "number": lambda: 5,
        }[how]()


class V3Forgetful(io.ComfyNode):
    """Tries to keep state on its class."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Forgetful", category="v3_pack/flow", outputs=[io.Int.Output()]
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        cls.count = getattr(cls, "count", 0) + 1
        return io.NodeOutput(cls.count)


class V3List(io.ComfyNode):
    """Gives a list; takes whole lists."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3List",
            category="v3_pack/flow",
            inputs=[io.AnyType.Input("values"), io.Int.Input("copies")],
            outputs=[io.AnyType.Output("each", is_output_list=True), io.Int.Output("count")],
            is_input_list=True,
        )

    @classmethod
    def execute(cls, values, copies) -> io.NodeOutput:
        repeated = values * copies[0]
        return io.NodeOutput(repeated, len(repeated))


FLOW_NODES = [
    V3Switch,
    V3Slow,
    V3Steps,
    V3Repeat,
    V3Sneaky,
    V3Who,
    V3Return,
    V3Forgetful,
    V3List,
]
