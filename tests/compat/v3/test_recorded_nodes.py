"""Schemas written by hand give the recorded entries of GET /object_info, to the letter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from comfy_api.latest import io

from executor.worker.describe import describe

REFERENCE: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "reference" / "object_info.json").read_text(encoding="utf-8")
)


def _int(id: str) -> io.Input:
    return io.Int.Input(id, default=512, min=0, max=16384, step=1)


def _crop() -> io.Input:
    return io.Combo.Input("crop", options=["disabled", "center"], default="center")


def _noise_float(id: str) -> io.Input:
    return io.Float.Input(id, default=1.0, min=0.0, max=100.0, step=0.01, round=False)


def _resize() -> io.Schema:
    template = io.MatchType.Template("input_type", [io.Image, io.Mask])
    option = io.DynamicCombo.Option
    scale = io.Float.Input("multiplier", default=1.0, min=0.01, max=8.0, step=0.01)
    area = io.Float.Input("megapixels", default=1.0, min=0.01, max=16.0, step=0.01)
    return io.Schema(
        node_id="ResizeImageMaskNode",
        display_name="Resize Image/Mask",
        category="transform",
        inputs=[
            io.MatchType.Input("input", template=template),
            io.DynamicCombo.Input(
                "resize_type",
                options=[
                    option("scale by multiplier", [scale]),
                    option("scale dimensions", [_int("width"), _int("height"), _crop()]),
                    option("scale longer dimension", [_int("longer_size")]),
                    option("scale shorter dimension", [_int("shorter_size")]),
                    option("scale width", [_int("width")]),
                    option("scale height", [_int("height")]),
                    option("scale total pixels", [area]),
                    option(
                        "match size",
                        [io.MultiType.Input("match", [io.Image, io.Mask]), _crop()],
                    ),
                ],
            ),
            io.Combo.Input(
                "scale_method",
                options=["nearest-exact", "bilinear", "area", "bicubic", "lanczos"],
                default="area",
            ),
        ],
        outputs=[io.MatchType.Output(template=template, display_name="resized")],
    )


def _switch() -> io.Schema:
    template = io.MatchType.Template("switch")
    return io.Schema(
        node_id="ComfySwitchNode",
        display_name="Switch",
        category="logic",
        is_experimental=True,
        inputs=[
            io.Boolean.Input("switch"),
            io.MatchType.Input("on_false", template=template, lazy=True),
            io.MatchType.Input("on_true", template=template, lazy=True),
        ],
        outputs=[io.MatchType.Output(template=template, display_name="output")],
    )


SCHEMAS = [
    _resize(),
    _switch(),
    io.Schema(
        node_id="BatchImagesNode",
        display_name="Batch Images",
        category="image",
        inputs=[
            io.Autogrow.Input(
                "images",
                template=io.Autogrow.TemplatePrefix(
                    io.Image.Input("image"), prefix="image", min=2, max=50
                ),
            )
        ],
        outputs=[io.Image.Output()],
    ),
    io.Schema(
        node_id="SaveAudioMP3",
        display_name="Save Audio (MP3)",
        category="audio",
        inputs=[
            io.Audio.Input("audio"),
            io.String.Input("filename_prefix", default="audio/ComfyUI"),
            io.Combo.Input("quality", options=["V0", "128k", "320k"], default="V0"),
        ],
        is_output_node=True,
    ),
    io.Schema(
        node_id="LoadVideo",
        display_name="Load Video",
        category="image/video",
        inputs=[io.Combo.Input("file", options=[], upload=io.UploadType.video)],
        outputs=[io.Video.Output()],
    ),
    io.Schema(
        node_id="Hunyuan3Dv2ConditioningMultiView",
        category="conditioning/video_models",
        inputs=[
            io.ClipVisionOutput.Input(side, optional=True)
            for side in ("front", "left", "back", "right")
        ],
        outputs=[
            io.Conditioning.Output(display_name="positive"),
            io.Conditioning.Output(display_name="negative"),
        ],
    ),
    io.Schema(
        node_id="TextEncodeQwenImageEdit",
        category="advanced/conditioning",
        inputs=[
            io.Clip.Input("clip"),
            io.String.Input("prompt", multiline=True, dynamic_prompts=True),
            io.Vae.Input("vae", optional=True),
            io.Image.Input("image", optional=True),
        ],
        outputs=[io.Conditioning.Output()],
    ),
    io.Schema(
        node_id="SamplerEulerAncestral",
        category="sampling/custom_sampling/samplers",
        inputs=[_noise_float("eta"), _noise_float("s_noise")],
        outputs=[io.Sampler.Output()],
    ),
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.node_id)
def test_a_schema_gives_the_recorded_entry(schema: io.Schema) -> None:
    class Recorded(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return schema

    expected = REFERENCE[schema.node_id]
    Recorded.RELATIVE_PYTHON_MODULE = expected["python_module"]
    described = describe(schema.node_id, Recorded, "not used").info
    info = json.loads(msgspec.json.encode(described))
    # The record is without texts.
    assert info.pop("description") == ""
    assert info.pop("output_tooltips") == [None] * len(expected["output"])
    assert info == expected
    assert list(info["input"]["required"]) == expected["input_order"]["required"]


TYPES = {
    "Image": "IMAGE",
    "Mask": "MASK",
    "Latent": "LATENT",
    "Conditioning": "CONDITIONING",
    "Model": "MODEL",
    "Clip": "CLIP",
    "Vae": "VAE",
    "Sampler": "SAMPLER",
    "Sigmas": "SIGMAS",
    "Noise": "NOISE",
    "Guider": "GUIDER",
    "ControlNet": "CONTROL_NET",
    "ClipVision": "CLIP_VISION",
    "ClipVisionOutput": "CLIP_VISION_OUTPUT",
    "StyleModel": "STYLE_MODEL",
    "Gligen": "GLIGEN",
    "UpscaleModel": "UPSCALE_MODEL",
    "LatentUpscaleModel": "LATENT_UPSCALE_MODEL",
    "LatentOperation": "LATENT_OPERATION",
    "Audio": "AUDIO",
    "AudioEncoder": "AUDIO_ENCODER",
    "AudioEncoderOutput": "AUDIO_ENCODER_OUTPUT",
    "Video": "VIDEO",
    "SVG": "SVG",
    "Voxel": "VOXEL",
    "Mesh": "MESH",
    "Hooks": "HOOKS",
    "HookKeyframes": "HOOK_KEYFRAMES",
    "LoraModel": "LORA_MODEL",
    "LossMap": "LOSS_MAP",
    "Photomaker": "PHOTOMAKER",
    "Load3D": "LOAD_3D",
    "Load3DCamera": "LOAD3D_CAMERA",
    "AudioRecord": "AUDIO_RECORD",
    "WanCameraEmbedding": "WAN_CAMERA_EMBEDDING",
    "Tracks": "TRACKS",
}


@pytest.mark.parametrize("name", TYPES)
def test_a_simple_type_goes_by_its_recorded_name(name: str) -> None:
    used = json.dumps([REFERENCE[node]["input"] for node in REFERENCE]) + json.dumps(
        [REFERENCE[node]["output"] for node in REFERENCE]
    )
    kind = getattr(io, name)
    assert kind.Input("x").get_io_type() == kind.Output().get_io_type() == TYPES[name]
    assert kind.Input("x").as_dict() == {}
    assert f'"{TYPES[name]}' in used
    assert hasattr(kind, "Type")


@pytest.mark.parametrize(
    ("name", "io_type", "options"),
    [
        (
            "BoundingBox",
            "BOUNDING_BOX",
            {"default": {"x": 0, "y": 0, "width": 512, "height": 512}, "socketless": True},
        ),
        ("Color", "COLOR", {"default": "#ffffff", "socketless": True}),
        ("Range", "RANGE", {"default": {"min": 0, "max": 1}, "socketless": True}),
        (
            "Curve",
            "CURVE",
            {
                "default": {"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"},
                "socketless": True,
            },
        ),
        ("Webcam", "WEBCAM", {}),
    ],
)
def test_a_type_with_an_editor_has_its_default(
    name: str, io_type: str, options: dict[str, Any]
) -> None:
    declared = getattr(io, name).Input("x")
    assert declared.get_io_type() == io_type
    assert declared.as_dict() == options
    assert not declared.optional
    assert io.ResolutionPreview.Input("x").optional
    assert io.VideoEdit.Input("x", features=["trim"]).as_dict()["features"] == ["trim"]
