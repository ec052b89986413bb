"""Nodes that encode prompts for models with several text encoders, or with more than a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from models.text.handle import Conditioning, TextHandle
from nodes.base import MAX_RESOLUTION, Declared, inputs
from nodes.missing_parts import need_text_encoder
from nodes.schema import SchemaNode

_TEXT: Final[Declared] = ("STRING", {"multiline": True, "dynamicPrompts": True})
_CLIP: Final[Declared] = ("CLIP", {})


def _pixels(default: int) -> Declared:
    return ("INT", {"default": default, "min": 0, "max": MAX_RESOLUTION})


class _TextEncode(SchemaNode):
    CATEGORY = "advanced/conditioning"
    RETURN_TYPES = ("CONDITIONING",)


class CLIPTextEncodeSDXL(_TextEncode):
    """Encodes a prompt for each of SDXL's encoders, and says how large the picture is."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_clip_sdxl"
    REQUIRED = inputs(
        clip=_CLIP,
        width=_pixels(1024),
        height=_pixels(1024),
        crop_w=_pixels(0),
        crop_h=_pixels(0),
        target_width=_pixels(1024),
        target_height=_pixels(1024),
        text_g=_TEXT,
        text_l=_TEXT,
    )

    def run(
        self, clip: TextHandle | None, text_g: str, text_l: str, **sizes: int
    ) -> tuple[Conditioning]:
        """The size before cropping, the corner of the crop, and the size to paint, in pixels."""
        handle = need_text_encoder(clip)
        chunks = handle.chunks_of({"g": text_g, "l": text_l})
        return (handle.conditioning(chunks, sizes),)


class CLIPTextEncodeSDXLRefiner(_TextEncode):
    """Encodes a prompt for SDXL's refiner, and says how large and how good the picture is."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_clip_sdxl"
    REQUIRED = inputs(
        ascore=("FLOAT", {"default": 6.0, "min": 0.0, "max": 1000.0, "step": 0.01}),
        width=_pixels(1024),
        height=_pixels(1024),
        text=_TEXT,
        clip=_CLIP,
    )

    def run(
        self, clip: TextHandle | None, text: str, ascore: float, width: int, height: int
    ) -> tuple[Conditioning]:
        """The aesthetic score is that of the pictures it was trained on: about 1 to 10."""
        options = {"aesthetic_score": ascore, "width": width, "height": height}
        return (need_text_encoder(clip).encode_text(text, options),)


class CLIPTextEncodeSD3(_TextEncode):
    """Encodes a prompt for each of SD 3's encoders."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_sd3"
    REQUIRED = inputs(
        clip=_CLIP,
        clip_l=_TEXT,
        clip_g=_TEXT,
        t5xxl=_TEXT,
        empty_padding=(["none", "empty_prompt"],),
    )

    def run(
        self, clip: TextHandle | None, clip_l: str, clip_g: str, t5xxl: str, empty_padding: str
    ) -> tuple[Conditioning]:
        """Without padding, zeros or nothing stand for an encoder whose prompt is empty."""
        handle = need_text_encoder(clip)
        texts = {"l": clip_l, "g": clip_g, "t5xxl": t5xxl}
        if empty_padding == "none":
            texts = {key: text for key, text in texts.items() if text}
        return (handle.conditioning(handle.chunks_of(texts)),)


class CLIPTextEncodeFlux(_TextEncode):
    """Encodes a prompt for each of Flux's encoders, and says how strongly it guides."""

    CATEGORY = "advanced/conditioning/flux"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_flux"
    REQUIRED = inputs(
        clip=_CLIP,
        clip_l=_TEXT,
        t5xxl=_TEXT,
        guidance=("FLOAT", {"default": 3.5, "min": 0.0, "max": 100.0, "step": 0.1}),
    )

    def run(
        self, clip: TextHandle | None, clip_l: str, t5xxl: str, guidance: float
    ) -> tuple[Conditioning]:
        """The guidance is an input of the network, which is not evaluated twice for it."""
        handle = need_text_encoder(clip)
        chunks = handle.chunks_of({"l": clip_l, "t5xxl": t5xxl})
        return (handle.conditioning(chunks, {"guidance": guidance}),)


class CLIPTextEncodePixArtAlpha(_TextEncode):
    """Encodes a prompt for PixArt-alpha, and says how large the picture is."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_pixart"
    REQUIRED = inputs(width=_pixels(1024), height=_pixels(1024), text=_TEXT, clip=_CLIP)

    def run(
        self, clip: TextHandle | None, width: int, height: int, text: str
    ) -> tuple[Conditioning]:
        """The size is an input of the network, as in diffusers' PixArtAlphaPipeline."""
        options = {"width": width, "height": height}
        return (need_text_encoder(clip).encode_text(text, options),)


# What Lumina-Image 2.0 is told before the prompt (Qin et al. 2025, arXiv:2503.21758, and its
# authors' guide); the first is that of diffusers' Lumina2Pipeline.
_SYSTEM_PROMPTS: Final = {
    "superior": (
        "You are an assistant designed to generate superior images with the superior degree of "
        "image-text alignment based on textual prompts or user prompts."
    ),
    "alignment": (
        "You are an assistant designed to generate high-quality images with the highest degree of "
        "image-text alignment based on textual prompts."
    ),
}


class CLIPTextEncodeLumina2(_TextEncode):
    """Encodes a prompt for Lumina-Image 2.0 after what the model is told to be."""

    DISPLAY_NAME = "CLIP Text Encode for Lumina2"
    CATEGORY = "conditioning"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_lumina2"
    REQUIRED = inputs(system_prompt=(list(_SYSTEM_PROMPTS),), user_prompt=_TEXT, clip=_CLIP)

    def run(
        self, clip: TextHandle | None, user_prompt: str, system_prompt: str
    ) -> tuple[Conditioning]:
        """`superior` is for pictures that please, `alignment` for those that obey."""
        text = f"{_SYSTEM_PROMPTS[system_prompt]} <Prompt Start> {user_prompt}"
        return (need_text_encoder(clip).encode_text(text),)


class _TextEncodeEach(_TextEncode):
    """A prompt of its own for each encoder of a model."""

    ENCODERS: ClassVar[Mapping[str, str]]  # by input, as models.text names them

    def run(self, clip: TextHandle | None, **texts: str) -> tuple[Conditioning]:
        """Raises InvalidInput for text encoders of another model."""
        handle = need_text_encoder(clip)
        chunks = handle.chunks_of({self.ENCODERS[name]: text for name, text in texts.items()})
        return (handle.conditioning(chunks),)


class CLIPTextEncodeHunyuanDiT(_TextEncodeEach):
    """Encodes a prompt for each of Hunyuan-DiT's encoders."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_hunyuan"
    REQUIRED = inputs(clip=_CLIP, bert=_TEXT, mt5xl=_TEXT)
    ENCODERS: ClassVar[Mapping[str, str]] = {"bert": "bert", "mt5xl": "mt5xl"}


class CLIPTextEncodeHiDream(_TextEncodeEach):
    """Encodes a prompt for each of HiDream's encoders."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_hidream"
    REQUIRED = inputs(clip=_CLIP, clip_l=_TEXT, clip_g=_TEXT, t5xxl=_TEXT, llama=_TEXT)
    ENCODERS: ClassVar[Mapping[str, str]] = {
        "clip_l": "l", "clip_g": "g", "t5xxl": "t5xxl", "llama": "llama",
    }  # fmt: skip


class CLIPTextEncodeKandinsky5(_TextEncodeEach):
    """Encodes a prompt for each of Kandinsky 5's encoders."""

    CATEGORY = "advanced/conditioning/kandinsky5"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_kandinsky5"
    REQUIRED = inputs(clip=_CLIP, clip_l=_TEXT, qwen25_7b=_TEXT)
    ENCODERS: ClassVar[Mapping[str, str]] = {"clip_l": "l", "qwen25_7b": "qwen2_5_vl"}


class T5TokenizerOptions(SchemaNode):
    """Says how long prompts for T5 are at least."""

    CATEGORY = "_for_testing/conditioning"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_cond"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        clip=_CLIP,
        min_padding=("INT", {"default": 0, "min": 0, "max": 10000, "step": 1}),
        min_length=("INT", {"default": 0, "min": 0, "max": 10000, "step": 1}),
    )
    RETURN_TYPES = ("CLIP",)

    def run(self, clip: TextHandle | None, min_padding: int, min_length: int) -> tuple[TextHandle]:
        """In tokens: of pads after the end, and of all. Other encoders stay as they are."""
        made = need_text_encoder(clip).clone()
        for encoder in made.encoders.values():
            made.set_tokenizer_option(f"{encoder.name}_min_padding", min_padding)
            made.set_tokenizer_option(f"{encoder.name}_min_length", min_length)
        return (made,)
