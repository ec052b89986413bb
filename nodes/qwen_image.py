"""Nodes that ask Qwen-Image's models for changes of pictures.

Templates, sizes and the order of pictures are those of diffusers' pipelines of the same names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from models.conditioning import Conditioning, appended, with_options
from models.families.language.qwen_pictures import IMAGE_FRAME
from models.protocol.latent_formats import QwenImage21
from models.protocol.qwen_image21 import SLOTS
from models.text.chunks import Picture, Token
from models.text.handle import TextHandle
from models.text.language.asking import language_model_of
from models.text.language.encoder import LanguageEncoder
from models.text.language.families import QWEN_EDIT, QWEN_EDIT_ONE
from nodes.base import inputs
from nodes.missing_parts import need_text_encoder
from nodes.pixel_space import Vae
from nodes.schema import DynamicNode, SchemaNode, growing
from nodes.tensors.pictures import in_color, scaled

_TEXT: Final = ("STRING", {"multiline": True, "dynamicPrompts": True})
_MODULE: Final = "comfy_extras.nodes_qwen"
_CATEGORY: Final = "advanced/conditioning"
_STEP: Final = 32  # sides are multiples of
_WHOLE: Final = 1024 * 1024  # pixels of a picture to refer to
_RGB: Final = 3
_PIXELS: Final = 16  # along each side of a latent pixel of Qwen-Image 2.1
_DEFAULT: Final = 1024  # sides of a picture that nobody said anything of
_SMALL: Final = 384 * 384  # and as the language model sees it where there may be several


def fitted(image: Tensor, pixels: int) -> Tensor:
    """The first picture [1, H, W, 3] with about so many pixels, and its shape."""
    return resized(in_color(image[:1])[..., :_RGB], pixels)


def resized(picture: Tensor, pixels: int) -> Tensor:
    """A picture [1, H, W, C] with about so many pixels, and its shape."""
    ratio = picture.shape[2] / picture.shape[1]
    width = math.sqrt(pixels * ratio)
    width, height = (max(1, round(side / _STEP)) * _STEP for side in (width, width / ratio))
    return scaled(picture, width, height, "area")


def asked(
    clip: TextHandle, prompt: str, template: str | None, pictures: Sequence[Tensor]
) -> Conditioning:
    """The CONDITIONING of a prompt in a template, with pictures [1, H, W, 3] in their places."""
    encoder = language_model_of(clip)
    seen = [Picture(frames=picture) for picture in pictures]
    (chunk,) = encoder.tokenizer.tokenize(prompt, template=template, pictures=seen)
    return _encoded(clip, encoder, chunk)


def _encoded(clip: TextHandle, encoder: LanguageEncoder, chunk: Sequence[Token]) -> Conditioning:
    """The CONDITIONING of tokens of one of the text encoders."""
    keys = [key for key, found in clip.encoders.items() if found is encoder]
    conditioning: Conditioning = clip.conditioning({key: [chunk] for key in keys})
    return conditioning


def _referring(
    conditioning: Conditioning, vae: Vae | None, pictures: Sequence[Tensor]
) -> Conditioning:
    """The conditioning with the latents of pictures to refer to; without a VAE there are none."""
    if vae is None or not pictures:
        return conditioning
    latents = [vae.encode(fitted(picture, _WHOLE)) for picture in pictures]
    return appended(conditioning, "reference_latents", latents)


class TextEncodeQwenImageEdit(SchemaNode):
    """Encodes what is to be done to a picture, which the language model sees."""

    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = _CATEGORY
    REQUIRED = inputs(clip=("CLIP", {}), prompt=_TEXT)
    OPTIONAL = inputs(vae=("VAE", {}), image=("IMAGE", {}))
    RETURN_TYPES = ("CONDITIONING",)

    def run(
        self,
        clip: TextHandle | None,
        prompt: str,
        vae: Vae | None = None,
        image: Tensor | None = None,
    ) -> tuple[Conditioning]:
        """Without a picture the prompt is one of Qwen-Image; of a batch the first one counts."""
        encoder = need_text_encoder(clip)
        if image is None:
            return (asked(encoder, prompt, None, ()),)
        conditioning = asked(encoder, prompt, QWEN_EDIT_ONE, [fitted(image, _WHOLE)])
        return (_referring(conditioning, vae, [image]),)


class TextEncodeQwenImageEditPlus(SchemaNode):
    """Encodes what is to be done to up to three pictures, which the prompt can call by number."""

    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = _CATEGORY
    REQUIRED = inputs(clip=("CLIP", {}), prompt=_TEXT)
    OPTIONAL = inputs(
        vae=("VAE", {}), image1=("IMAGE", {}), image2=("IMAGE", {}), image3=("IMAGE", {})
    )
    RETURN_TYPES = ("CONDITIONING",)

    def run(
        self, clip: TextHandle | None, prompt: str, vae: Vae | None = None, **images: Any
    ) -> tuple[Conditioning]:
        """They are called Picture 1 and so on, without gaps; of a batch the first one counts."""
        encoder = need_text_encoder(clip)
        pictures = [images[name] for name in sorted(images) if images[name] is not None]
        places = [f"Picture {number}: {IMAGE_FRAME}" for number in range(1, len(pictures) + 1)]
        small = [fitted(picture, _SMALL) for picture in pictures]
        conditioning = asked(encoder, "".join(places) + prompt, QWEN_EDIT, small)
        return (_referring(conditioning, vae, pictures),)


class TextEncodeQwenImage21(DynamicNode):
    """Encodes prompts for Qwen-Image 2.1, with pictures that they can call by number."""

    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = _CATEGORY
    REQUIRED = inputs(
        clip=("CLIP",),
        prompt=_TEXT,
        negative_prompt=_TEXT,
        resolution=("INT", {"default": 1024, "min": 0, "max": 4096, "step": 32}),
    )
    OPTIONAL = inputs(
        vae=("VAE",),
        images=growing("image", ("IMAGE",), names=[f"image_{n}" for n in range(1, 17)], least=0),
    )
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "latent")

    def run(
        self,
        clip: TextHandle | None,
        prompt: str,
        negative_prompt: str = "",
        resolution: int = 1024,
        vae: Vae | None = None,
        images: Mapping[str, Tensor] | None = None,
    ) -> tuple[Conditioning, Conditioning, dict[str, Any]]:
        """The latent is empty, of the first picture's size or of `resolution` squared.

        Pictures are scaled to `resolution` squared pixels; 0 leaves their size. Of a batch the
        first one counts. They are called <image1> and so on, without gaps.
        """
        encoder = need_text_encoder(clip)
        area = resolution**2 or None
        given = [image[:1] for image in (images or {}).values() if image is not None]
        pictures = [whole(image, area) for image in given]
        latents = [] if vae is None else [vae.encode(picture) for picture in pictures]
        both = [
            _with_places(encoder, text or " ", pictures, latents)
            for text in (prompt, negative_prompt)
        ]
        sides = pictures[0].shape[1:3] if pictures else (resolution or _DEFAULT,) * 2
        height, width = (side // _PIXELS for side in sides)
        empty = torch.zeros(1, QwenImage21.latent_channels, 1, height, width)
        return both[0], both[1], {"samples": empty}


def whole(image: Tensor, pixels: int | None) -> Tensor:
    """A picture [1, H, W, 3 or 4] with about so many pixels (None: as it is), and its shape."""
    picture = in_color(image)
    return resized(picture, picture.shape[1] * picture.shape[2] if pixels is None else pixels)


def _with_places(
    clip: TextHandle, text: str, pictures: Sequence[Tensor], latents: Sequence[Tensor]
) -> Conditioning:
    """A prompt whose tokens of pictures are places for their latents, if there are any."""
    encoder = language_model_of(clip)
    marks = [f"<image{number}>{IMAGE_FRAME}" for number in range(1, len(pictures) + 1)]
    seen = [Picture(frames=on_white(picture)) for picture in pictures]
    (chunk,) = encoder.tokenizer.tokenize(" ".join(marks) + text, pictures=seen)
    conditioning = _encoded(clip, encoder, chunk)
    if not latents:
        return conditioning
    slots = [
        is_place
        for token in chunk[encoder.tokenizer.begin(chunk) :]
        for is_place in _places(token.picture)
    ]
    said = with_options(conditioning, {SLOTS: torch.tensor([slots])})
    return appended(said, "reference_latents", latents)


def _places(picture: Picture | None) -> list[bool]:
    """Whether the tokens that a token becomes are places of a picture."""
    if picture is None:
        return [False]
    height, width = picture.frames.shape[1:3]
    return [True] * (height // _STEP * (width // _STEP))


def on_white(picture: Tensor) -> Tensor:
    """A picture [1, H, W, 3 or 4], without transparency."""
    if picture.shape[-1] == _RGB:
        return picture
    alpha = picture[..., _RGB:]
    return picture[..., :_RGB] * alpha + 1 - alpha
