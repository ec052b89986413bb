"""Nodes that make, show and save pictures."""

import torch

from comfy_api.latest import io, ui


class V3Gradient(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Gradient",
            display_name="Gradient (V3)",
            category="v3_pack/image",
            description="A grey ramp from left to right.",
            inputs=[
                io.Int.Input("width", default=64, min=8, max=1024, step=8),
                io.Int.Input("height", default=64, min=8, max=1024, step=8),
                io.Int.Input("count", default=1, min=1, max=16, optional=True),
            ],
            outputs=[io.Image.Output(), io.Mask.Output(display_name="ramp", tooltip="The ramp")],
        )

    @classmethod
    def execute(cls, width, height, count=1) -> io.NodeOutput:
        ramp = torch.linspace(0, 1, width).expand(count, height, width)
        return io.NodeOutput(ramp.unsqueeze(-1).expand(-1, -1, -1, 3), ramp)


class V3Blend(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Blend",
            category="v3_pack/image",
            inputs=[
                io.Image.Input("first"),
                io.Image.Input("second"),
                io.Float.Input("factor", default=0.5, min=0.0, max=1.0, step=0.01, round=0.001),
                io.Combo.Input("mode", options=["normal", "multiply"], default="normal"),
                io.MultiCombo.Input("channels", options=["r", "g", "b"], optional=True),
            ],
            outputs=[io.Image.Output("image")],
            search_aliases=["mix"],
            some_later_argument={"kept": True},
        )

    @classmethod
    def execute(cls, first, second, factor, mode, channels=("r", "g", "b")) -> io.NodeOutput:
        top = second if mode == "normal" else first * second
        blended = first.clone()
        for index, name in enumerate("rgb"):
            if name in channels:
                mixed = torch.lerp(first[..., index], top[..., index], factor)
                blended[..., index] = mixed
        return io.NodeOutput(blended, ui=ui.PreviewImage(blended, cls=cls))


class V3Save(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Save",
            display_name="Save (V3)",
            category="v3_pack/image",
            inputs=[
                io.Image.Input("images"),
                io.String.Input("filename_prefix", default="v3"),
                io.Combo.Input("kind", options=["png", "apng", "webp"]),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images, filename_prefix, kind) -> io.NodeOutput:
        helper = ui.ImageSaveHelper
        if kind == "png":
            return io.NodeOutput(ui=helper.get_save_images_ui(images, filename_prefix, cls=cls))
        if kind == "apng":
            return io.NodeOutput(
                ui=helper.get_save_animated_png_ui(
                    images, filename_prefix, cls=cls, fps=8.0, compress_level=4
                )
            )
        return io.NodeOutput(
            ui=helper.get_save_animated_webp_ui(
                images, filename_prefix, cls=cls, fps=8.0, lossless=True, quality=80, method="fastest"
            )
        )


class V3Show(io.ComfyNode):
    """Shows whatever it is given."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Show",
            category="v3_pack/image",
            inputs=[
                io.AnyType.Input("value"),
                io.Combo.Input("kind", options=["text", "image", "mask", "audio", "video", "3d"]),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, value, kind) -> io.NodeOutput:
        if kind == "image":
            return io.NodeOutput(ui=ui.PreviewImage(value, cls=cls))
        if kind == "mask":
            return io.NodeOutput(ui=ui.PreviewMask(value, cls=cls))
        if kind == "audio":
            return io.NodeOutput(ui=ui.PreviewAudio(value, cls=cls))
        if kind == "video":
            return io.NodeOutput(
                ui=ui.PreviewVideo([ui.SavedResult("a.mp4", "", io.FolderType.output)])
            )
        if kind == "3d":
            return io.NodeOutput(ui=ui.PreviewUI3D("model.glb", {"fov": 40}))
        return io.NodeOutput(ui=ui.PreviewText(str(value)))


class V3Crop(io.ComfyNode):
    """Shows what it has cut out, wherever it is in the graph."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Crop",
            category="v3_pack/image",
            inputs=[io.Image.Input("image"), io.Int.Input("size", default=8)],
            outputs=[io.Image.Output()],
            has_intermediate_output=True,
        )

    @classmethod
    def execute(cls, image, size) -> io.NodeOutput:
        cut = image[:, :size, :size]
        return io.NodeOutput(cut, ui=ui.PreviewImage(cut, cls=cls))


class V3Tone(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Tone",
            category="v3_pack/audio",
            inputs=[io.Float.Input("seconds", default=0.1), io.Int.Input("rate", default=44100)],
            outputs=[io.Audio.Output()],
        )

    @classmethod
    def execute(cls, seconds, rate) -> io.NodeOutput:
        time = torch.arange(int(seconds * rate)) / rate
        waveform = torch.sin(time * 440 * 2 * torch.pi).expand(1, 2, -1) * 0.5
        return io.NodeOutput({"waveform": waveform, "sample_rate": rate})


class V3SaveAudio(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3SaveAudio",
            category="v3_pack/audio",
            inputs=[
                io.Audio.Input("audio"),
                io.Combo.Input("format", options=["flac", "mp3", "opus"]),
                io.String.Input("quality", default="128k"),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, audio, format, quality) -> io.NodeOutput:
        return io.NodeOutput(
            ui=ui.AudioSaveHelper.get_save_audio_ui(
                audio, "audio/v3", cls=cls, format=format, quality=quality
            )
        )


PICTURE_NODES = [V3Gradient, V3Blend, V3Crop, V3Save, V3Show, V3Tone, V3SaveAudio]
