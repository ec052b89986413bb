"""Nodes with all kinds of widgets; checks and fingerprints of their own."""

from enum import Enum

import folder_paths
from comfy_api.latest import io

fingerprints = []  # what fingerprint_inputs was called with


class Flavour(str, Enum):
    sweet = "sweet"
    sour = "sour"


class V3Widgets(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Widgets",
            display_name="Widgets",
            category="v3_pack/values",
            inputs=[
                io.Boolean.Input("flag", default=True, label_on="on", label_off="off"),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=io.ControlAfterGenerate.randomize,
                    display_mode=io.NumberDisplay.slider,
                    advanced=True,
                ),
                io.Float.Input("amount", default=1.0, min=0, max=2, step=0.1, tooltip="How much"),
                io.String.Input("text", multiline=True, placeholder="Say", dynamic_prompts=True),
                io.String.Input("linked", force_input=True, optional=True),
                io.Combo.Input("flavour", options=Flavour, default=Flavour.sour),
                io.Combo.Input(
                    "file",
                    options=[],
                    upload=io.UploadType.image,
                    image_folder=io.FolderType.input,
                    optional=True,
                ),
                io.Combo.Input(
                    "remote",
                    remote=io.RemoteOptions("/pack/choices", refresh_button=True, timeout=5),
                    optional=True,
                ),
                io.Combo.Input(
                    "fetched",
                    remote_combo=io.RemoteComboOptions(
                        "/pack/items", io.RemoteItemSchema("id", "name")
                    ),
                    optional=True,
                ),
                io.MultiCombo.Input(
                    "tags", options=["a", "b"], default=["a"], placeholder="Tags", chip=True,
                    optional=True,
                ),
                io.MultiType.Input(
                    io.Float.Input("either", default=0.5), types=[io.Int, io.Image], optional=True
                ),
                io.Custom("PACK_THING").Input("thing", optional=True, extra_dict={"mine": 1}),
                io.Color.Input("color", optional=True),
                io.Model.Input("model", optional=True, raw_link=True, later_option="kept"),
            ],
            outputs=[
                io.Combo.Output("choice", options=["x", "y"], tooltip="The choice"),
                io.Custom("PACK_THING").Output(display_name="thing"),
            ],
            is_deprecated=True,
            is_dev_only=True,
            essentials_category="Basics",
            price_badge=io.PriceBadge('{"usd": 1}', io.PriceBadgeDepends(widgets=["seed"])),
        )

    @classmethod
    def execute(cls, **inputs) -> io.NodeOutput:
        return io.NodeOutput(inputs, None)


class V3Pick(io.ComfyNode):
    """Offers files of a model folder."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Pick",
            category="v3_pack/values",
            inputs=[
                io.Combo.Input("name", options=["none"] + folder_paths.get_filename_list("loras"))
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, name) -> io.NodeOutput:
        return io.NodeOutput(name)


class V3Cloud(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="V3Cloud", outputs=[io.AnyType.Output()], is_api_node=True)

    @classmethod
    async def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(cls.hidden.api_key_comfy_org)


class V3Checked(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Checked",
            category="v3_pack/values",
            inputs=[io.Int.Input("a", max=5), io.Int.Input("b", max=5, optional=True)],
            outputs=[io.Int.Output()],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    async def validate_inputs(cls, a):
        return True if a != 13 else f"node {cls.hidden.unique_id} does not like 13"

    @classmethod
    def execute(cls, a, b=0) -> io.NodeOutput:
        return io.NodeOutput(a + b)


class V3Never(io.ComfyNode):
    """Refuses every prompt."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Never",
            category="v3_pack/values",
            inputs=[io.Int.Input("a")],
            outputs=[io.Int.Output()],
        )

    @classmethod
    def validate_inputs(cls):
        return "not today"

    @classmethod
    def execute(cls, a) -> io.NodeOutput:
        return io.NodeOutput(a)


class V3Stamp(io.ComfyNode):
    """Runs again when the stamp has changed."""

    stamp = [0]

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Stamp",
            category="v3_pack/values",
            inputs=[io.Int.Input("value"), io.Int.Input("other", optional=True)],
            outputs=[io.Int.Output()],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(cls, value, other=None):
        fingerprints.append((cls.hidden.unique_id, value, other))
        return cls.stamp[0]

    @classmethod
    def execute(cls, value, other=None) -> io.NodeOutput:
        return io.NodeOutput(value + cls.stamp[0])


@io.comfytype(io_type="PACK_PAIR")
class Pair(io.ComfyTypeIO):
    Type = tuple


class V3Pair(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Pair",
            category="v3_pack/values",
            inputs=[Pair.Input("pair", optional=True)],
            outputs=[Pair.Output()],
        )

    @classmethod
    def execute(cls, pair=(0, 0)) -> io.NodeOutput:
        return io.NodeOutput((pair[1], pair[0] + 1))


VALUE_NODES = [V3Widgets, V3Pick, V3Cloud, V3Checked, V3Never, V3Stamp, V3Pair]
