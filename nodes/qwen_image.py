"""Nodes that ask Qwen-Image-Edit for changes of pictures.

Templates, sizes and the order of pictures are those of diffusers' pipelines of the same names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from torch import Tensor

from models.conditioning import Conditioning, appended
from models.errors import InvalidInput
from models.families.language.qwen_pictures import IMAGE_FRAME
from models.text.chunks import Picture
from models.text.handle import TextHandle
from models.text.language.asking import language_model_of
from models.text.language.families import QWEN_EDIT, QWEN_EDIT_ONE
from nodes.base import inputs
from nodes.missing_parts import need_text_encoder
from nodes.pixel_space import Vae
from nodes.schema import SchemaNode
from nodes.tensors.pictures import in_color, scaled

_TEXT: Final = ("STRING", {"multiline": True, "dynamicPrompts": True})
_MODULE: Final = "comfy_extras.nodes_qwen"
_CATEGORY: Final = "advanced/conditioning"
_STEP: Final = 32  # sides are multiples of
_WHOLE: Final = 1024 * 1024  # pixels of a picture to refer to
_SMALL: Final = 384 * 384  # and as the language model sees it where there may be several


def fitted(image: Tensor, pixels: int) -> Tensor:
    """The first picture [1, H, W, 3] with about so many pixels, and its shape."""
    picture = in_color(image[:1])[..., :3]
    ratio = picture.shape[2] / picture.shape[1]
    width = math.sqrt(pixels * ratio)
    width, height = (max(1, round(side / _STEP)) * _STEP for side in (width, width / ratio))
    return scaled(picture, width, height, "area")


def asked(
    clip: TextHandle, prompt: str, template: str | None, pictures: Sequence[Tensor]
) -> Conditioning:
    """The CONDITIONING of a prompt in a template, with pictures [1, H, W, 3] in their places."""
    encoder = language_model_of(clip)
    if pictures and encoder.kind.eyes is None:
        raise InvalidInput(f"'{encoder.kind.name}' takes no pictures: load Qwen2.5-VL")
    seen = [Picture(frames=picture) for picture in pictures]
    chunks = encoder.tokenizer.tokenize(prompt, template=template, pictures=seen)
    keys = [key for key, found in clip.encoders.items() if found is encoder]
    conditioning: Conditioning = clip.conditioning(dict.fromkeys(keys, chunks))
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
