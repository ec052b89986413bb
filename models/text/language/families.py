"""Which model families ask which language models, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from models.families.language import KINDS
from models.families.language.qwen_pictures import IMAGE_FRAME
from models.text.families import Combination, Use
from models.text.joining import pooled_by_clip, tokens_alone
from models.text.language.prompting import Prompting
from models.text.language.speech import SPEECHES

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
_QWEN_IMAGE21: Final = "<|im_start|>system\nComprehend and analyze the provided prompt.<|im_end|>\n"
QWEN_EDIT: Final = _QWEN_EDIT + _QWEN_TURN
QWEN_EDIT_ONE: Final = _QWEN_EDIT + _QWEN_TURN.replace("{}", IMAGE_FRAME + "{}")


# What checkpoints with all parts call the models of a kind.
_IN_CHECKPOINTS: Final = {
    "qwen2_5_vl": ("qwen25_7b", "qwen25_3b"),
    "qwen3": ("qwen3_4b", "qwen3_8b", "qwen3_2b", "qwen3_06b"),
    "gemma2": ("gemma2_2b",),
    "gemma3": ("gemma3_12b", "gemma3_4b"),
}


def _prefixes(kind: str) -> tuple[str, ...]:
    names = _IN_CHECKPOINTS.get(kind, (kind,))
    return tuple(f"text_encoders.{name}.transformer." for name in names)


def asking(name: str, kind: str, prompting: Prompting) -> Combination:
    """A family whose only text encoder is a language model of a kind."""
    return Combination(
        name=name,
        uses={kind: Use(prefixes=_prefixes(kind), prompting=prompting)},
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
    Prompting(template=_QWEN_IMAGE + _QWEN_TURN, after=_QWEN_USER),
)

_OVIS: Final = (
    "Describe the image by detailing the color, quantity, text, shape, size, texture, spatial "
    "relationships of the objects and background: "
)
OVIS: Final = asking(
    "ovis",
    "qwen3",
    Prompting(
        template=_QWEN_TURN.replace("{}", f"{_OVIS}{{}}") + _NO_THOUGHTS,
        after=f"<|im_start|>user\n{_OVIS.rstrip(': ')}",
    ),
)


def _kandinsky5(name: str, instructions: str) -> Combination:
    """What Qwen2.5-VL says of the prompt, and what CLIP-L pools of it."""
    system = f"<|im_start|>system\nYou are a prompt engineer. {instructions}<|im_end|>\n"
    turn = "<|im_start|>user\n{}<|im_end|>"
    return Combination(
        name=name,
        uses={
            "qwen2_5_vl": Use(
                prefixes=_prefixes("qwen2_5_vl"),
                prompting=Prompting(template=system + turn, after=_QWEN_USER),
            ),
            "l": Use(prefixes=("text_encoders.clip_l.transformer.",)),
        },
        join=pooled_by_clip,
    )


KANDINSKY5: Final = _kandinsky5(
    "kandinsky5",
    "Describe the video in detail.\n"
    "Describe how the camera moves or shakes, describe the zoom and view angle, whether it follows "
    "the objects.\n"
    "Describe the location of the video, main characters or objects and their action.\n"
    "Describe the dynamism of the video and presented actions.\n"
    "Name the visual style of the video: whether it is a professional footage, user generated "
    "content, some kind of animation, video game or scren content.\n"
    "Describe the visual effects, postprocessing and transitions if they are presented in the "
    "video.\n"
    "Pay attention to the order of key actions shown in the scene.",
)
KANDINSKY5_IMAGE: Final = _kandinsky5(
    "kandinsky5_image",
    "Describe the image by detailing the color, shape, size, texture, quantity, text, spatial "
    "relationships of the objects and background:",
)

# Its layers are taken before the norm that ends them.
QWEN_IMAGE21: Final = asking(
    "qwen_image_2_1",
    "qwen3_vl",
    Prompting(template=_QWEN_IMAGE21 + _QWEN_TURN, after="<|im_end|>\n", is_normed=False),
)

# Pictures and what they are called come before the prompt: see models.text.minimax_h3.
MINIMAX_H3: Final = asking("minimax_h3", "qwen3_vl", Prompting(layers=(50,), is_normed=False))

# What loaders call a kind of model -> the families that are so called.
LANGUAGE_KINDS: Final[Mapping[str, tuple[Combination, ...]]] = {
    "lumina2": (LUMINA2, Z_IMAGE),
    "flux2": (FLUX2_KLEIN,),
    "qwen_image": (QWEN_IMAGE, QWEN_IMAGE21),
    "ovis": (OVIS,),
    "minimax": (MINIMAX_H3,),
    "kandinsky5": (KANDINSKY5,),
    "kandinsky5_image": (KANDINSKY5_IMAGE,),
}

# Any language model alone, whatever the type: to write texts with, or for packs to encode with.
ALONE: Final[Mapping[str, Combination]] = {
    kind.name: asking("language", kind.name, Prompting(template=SPEECHES[kind.name].start + "{}"))
    for kind in KINDS
}
