"""Which model families ask which language models, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from models.families.language import KINDS
from models.families.language.qwen_pictures import IMAGE_FRAME
from models.text.families import Combination, Use
from models.text.joining import tokens_alone
from models.text.language.prompting import Prompting

_QWEN_TURN: Final = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
_NO_THOUGHTS: Final = "<think>\n\n</think>\n\n"
_QWEN_USER: Final = "<|im_start|>user\n"
_QWEN_IMAGE: Final = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, "
    "quantity, text, spatial relationships of the objects and background:<|im_end|>\n"
)
_QWEN_EDIT: Final = (
    "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, "
    "texture, objects, background), then explain how the user's text instruction should alter or "
    "modify the image. Generate a new image that meets the user's requirements while maintaining "
    "consistency with the original input where appropriate.<|im_end|>\n"
)
QWEN_EDIT: Final = _QWEN_EDIT + _QWEN_TURN
QWEN_EDIT_ONE: Final = _QWEN_EDIT + _QWEN_TURN.replace("{}", IMAGE_FRAME + "{}")


def asking(name: str, kind: str, prompting: Prompting) -> Combination:
    """A family whose only text encoder is a language model of a kind."""
    prefix = f"text_encoders.{kind}.transformer."
    return Combination(
        name=name,
        uses={kind: Use(prefixes=(prefix,), prompting=prompting)},
        join=tokens_alone,
    )


# diffusers' pipelines of these names say what the templates and layers are.
LUMINA2: Final = asking("lumina2", "gemma2", Prompting(template="<bos>{}", layers=(-2,)))
Z_IMAGE: Final = asking("z_image", "qwen3", Prompting(template=_QWEN_TURN, layers=(-2,)))
FLUX2_KLEIN: Final = asking(
    "flux2_klein",
    "qwen3",
    Prompting(template=_QWEN_TURN + _NO_THOUGHTS, layers=(9, 18, 27), minimum=512),
)
QWEN_IMAGE: Final = asking(
    "qwen_image",
    "qwen2_5_vl",
    Prompting(template=_QWEN_IMAGE + _QWEN_TURN, after="<|im_start|>user\n"),
)

# What loaders call a kind of model -> the families that are so called.
LANGUAGE_KINDS: Final[Mapping[str, tuple[Combination, ...]]] = {
    "lumina2": (LUMINA2, Z_IMAGE),
    "flux2": (FLUX2_KLEIN,),
    "qwen_image": (QWEN_IMAGE,),
}

# Any language model alone, whatever the type: to write texts with, or for packs to encode with.
ALONE: Final[Mapping[str, Combination]] = {
    kind.name: asking(
        "language", kind.name, Prompting(template="<bos>{}" if "gemma" in kind.name else "{}")
    )
    for kind in KINDS
}
