"""Nodes whose inputs bring further inputs along."""

from comfy_api.latest import io


class V3Merge(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = io.Autogrow.TemplatePrefix(io.AnyType.Input("item"), prefix="item", min=2, max=5)
        return io.Schema(
            node_id="V3Merge",
            category="v3_pack/groups",
            inputs=[io.Autogrow.Input("items", template=template)],
            outputs=[io.AnyType.Output()],
        )

    @classmethod
    def execute(cls, items: io.Autogrow.Type) -> io.NodeOutput:
        return io.NodeOutput(items)


class V3Weighed(io.ComfyNode):
    """Checks only one of its inputs, and has a fingerprint of only one."""

    @classmethod
    def define_schema(cls):
        template = io.Autogrow.TemplatePrefix(io.AnyType.Input("item"), prefix="item", min=0)
        return io.Schema(
            node_id="V3Weighed",
            category="v3_pack/groups",
            inputs=[io.Autogrow.Input("items", template=template), io.Int.Input("weight")],
            outputs=[io.AnyType.Output()],
        )

    @classmethod
    def validate_inputs(cls, weight):
        return weight > 0 or "too light"

    @classmethod
    def fingerprint_inputs(cls, weight):
        return weight

    @classmethod
    def execute(cls, items, weight) -> io.NodeOutput:
        return io.NodeOutput((len(items), weight))


class V3Named(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = io.Autogrow.TemplateNames(
            io.Float.Input("weight", optional=True), names=["left", "right"], min=1
        )
        return io.Schema(
            node_id="V3Named",
            category="v3_pack/groups",
            inputs=[io.Autogrow.Input("weights", template=template)],
            outputs=[io.AnyType.Output()],
        )

    @classmethod
    def execute(cls, weights: io.Autogrow.Type) -> io.NodeOutput:
        return io.NodeOutput(weights)


class V3Choice(io.ComfyNode):
    """A choice with inputs of its own, one of them a choice again."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Choice",
            category="v3_pack/groups",
            inputs=[
                io.DynamicCombo.Input(
                    "how",
                    options=[
                        io.DynamicCombo.Option("nothing", []),
                        io.DynamicCombo.Option(
                            "size",
                            [
                                io.Int.Input("width", min=1, max=100),
                                io.Float.Input("extra", optional=True, lazy=True),
                            ],
                        ),
                        io.DynamicCombo.Option(
                            "nested",
                            [
                                io.DynamicCombo.Input(
                                    "inner",
                                    options=[
                                        io.DynamicCombo.Option("text", [io.String.Input("s")]),
                                    ],
                                ),
                                io.Autogrow.Input(
                                    "more",
                                    template=io.Autogrow.TemplatePrefix(
                                        io.AnyType.Input("m"), prefix="m", min=0
                                    ),
                                ),
                            ],
                        ),
                    ],
                )
            ],
            outputs=[io.AnyType.Output()],
        )

    @classmethod
    def check_lazy_status(cls, how=None):
        return ["how.extra"] if how and how.get("width", 0) > 50 else []

    @classmethod
    def execute(cls, how: io.DynamicCombo.Type = None) -> io.NodeOutput:
        return io.NodeOutput(how)


class V3Slot(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Slot",
            category="v3_pack/groups",
            inputs=[
                io.DynamicSlot.Input(
                    io.MultiType.Input("slot", types=[io.Image, io.Int]),
                    inputs=[io.Int.Input("x", min=0)],
                )
            ],
            outputs=[io.AnyType.Output()],
        )

    @classmethod
    def execute(cls, slot: io.DynamicSlot.Type = None) -> io.NodeOutput:
        return io.NodeOutput(slot)


class V3Rows(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Rows",
            category="v3_pack/groups",
            inputs=[
                io.DynamicGroup.Input(
                    "rows",
                    inputs=[io.String.Input("name"), io.Int.Input("amount", optional=True, max=9)],
                    min=1,
                    max=3,
                )
            ],
            outputs=[io.AnyType.Output()],
        )

    @classmethod
    def execute(cls, rows) -> io.NodeOutput:
        return io.NodeOutput(rows)


class V3Everything(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Everything",
            category="v3_pack/groups",
            inputs=[io.Int.Input("declared")],
            outputs=[io.AnyType.Output()],
            accept_all_inputs=True,
        )

    @classmethod
    def execute(cls, declared, **more) -> io.NodeOutput:
        return io.NodeOutput({"declared": declared, **more})


class V3CheckedChoice(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3CheckedChoice",
            category="v3_pack/groups",
            inputs=[
                io.DynamicCombo.Input(
                    "how", options=[io.DynamicCombo.Option("size", [io.Int.Input("width")])]
                )
            ],
            outputs=[io.AnyType.Output()],
        )

    @classmethod
    def validate_inputs(cls, how):
        return True if how["width"] % 2 == 0 else "the width must be even"

    @classmethod
    def execute(cls, how) -> io.NodeOutput:
        return io.NodeOutput(how["width"])


GROUP_NODES = [V3Merge, V3Weighed, V3Named, V3Choice, V3Slot, V3Rows, V3Everything, V3CheckedChoice]
