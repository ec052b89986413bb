"""Nodes that have a language model write texts: the text encoder of many newer models is one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from torch import Tensor

from models.errors import InvalidInput
from models.text.chunks import Picture
from models.text.handle import TextHandle
from models.text.language.asking import Answer, Question, ask, language_model_of
from models.text.language.choosing import Sampling
from nodes.base import Declared, Inputs, inputs
from nodes.missing_parts import need_text_encoder
from nodes.schema import DynamicNode, opening

_SHORT_MTP: Final = ["auto", "off", "2", "3", "4", "5"]
_MTP: Final = [*_SHORT_MTP, "tree2s1", "tree2s2", "tree3s1", "tree4s1m8"]
_PICTURES: Final = re.compile(r"images\.image_?(\d+)")  # of releases with a group of pictures


def _number(default: float, least: float, most: float, step: float = 0.01) -> Declared:
    return ("FLOAT", {"default": default, "min": least, "max": most, "step": step})


_SAMPLING: Final = opening(
    {
        "on": inputs(
            temperature=_number(0.7, 0.01, 2.0),
            top_k=("INT", {"default": 64, "min": 0, "max": 1000}),
            top_p=_number(0.95, 0.0, 1.0),
            min_p=_number(0.05, 0.0, 1.0),
            repetition_penalty=_number(1.05, 0.0, 5.0),
            seed=("INT", {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF}),
        ),
        "off": inputs(),
    },
    optional={"on": inputs(presence_penalty=_number(0.0, 0.0, 5.0))},
)


def _optional(mtp: list[str]) -> Inputs:
    return inputs(
        image=("IMAGE",),
        video=("IMAGE",),
        audio=("AUDIO",),
        thinking=("BOOLEAN", {"default": False}),
        use_default_template=("BOOLEAN", {"default": True, "advanced": True}),
        mtp=(mtp, {"default": "auto"}),
        system_prompt=("STRING", {"forceInput": True}),
    )


class TextGenerate(DynamicNode):
    """Has a language model answer a prompt, about pictures too if it can see."""

    DISPLAY_NAME = "Generate Text"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_textgen"
    CATEGORY = "textgen"
    ACCEPT_ALL_INPUTS: ClassVar[bool] = True  # `images.image_0` and more of other releases
    REQUIRED = inputs(
        clip=("CLIP",),
        prompt=("STRING", {"default": "", "multiline": True, "dynamicPrompts": True}),
        max_length=("INT", {"default": 512, "min": 1, "max": 32768}),
        sampling_mode=_SAMPLING,
    )
    OPTIONAL = _optional(_MTP)
    RETURN_TYPES = ("STRING", "STRING")
    RETURN_NAMES = ("generated_text", "thinking")

    def run_flat(self, **flat: Any) -> tuple[str, str]:
        """Pictures come alone (`image`) or in a group (`images.image_0`, ...)."""
        numbers = {name: match for name in flat if (match := _PICTURES.fullmatch(name))}
        ordered = sorted(numbers, key=lambda name: int(numbers[name].group(1)))
        grouped = [flat.pop(name) for name in ordered]
        pictures = [flat.get("image"), *grouped]
        made: tuple[str, str] = super().run_flat(
            **flat | {"image": [picture for picture in pictures if picture is not None]}
        )
        return made

    def run(
        self,
        clip: TextHandle | None,
        prompt: str,
        max_length: int,
        sampling_mode: Mapping[str, Any],
        image: Tensor | list[Tensor] | None = None,
        video: Tensor | None = None,
        audio: Any = None,
        thinking: bool = False,
        use_default_template: bool = True,
        mtp: str = "auto",
        system_prompt: str | None = None,
    ) -> tuple[str, str]:
        """Every frame of `image` is a picture. `mtp` would change nothing but the speed."""
        if audio is not None:
            raise InvalidInput("none of the language models that are supported takes sound")
        handle = need_text_encoder(clip)
        question = Question(
            prompt=prompt,
            system=system_prompt,
            pictures=list(_pictures(image, video)),
            thinks=thinking,
            is_chat=use_default_template,
        )
        answer = self.answer(handle, question, max_length, _sampling(sampling_mode))
        return answer.text, answer.thoughts

    def answer(
        self, handle: TextHandle, question: Question, most: int, sampling: Sampling | None
    ) -> Answer:
        """What the model says, told token by token as progress."""
        report = self.context.report
        return ask(
            handle,
            question,
            most=most,
            sampling=sampling,
            on_token=lambda count: report(count, most),
        )


class TextGenerateLTX2Prompt(TextGenerate):
    """Has a language model write what LTX-2 was trained with, from a short prompt or a picture."""

    DISPLAY_NAME = "Generate LTX2 Prompt"
    OPTIONAL = _optional(_SHORT_MTP)

    def answer(
        self, handle: TextHandle, question: Question, most: int, sampling: Sampling | None
    ) -> Answer:
        """The instructions are LTX-2's, as diffusers publishes them; an empty answer is none."""
        from diffusers.pipelines.ltx2 import prompt_enhancement, utils

        language_model_of(handle)
        asked = f"user prompt: {question.prompt}"
        instructions = utils.T2V_DEFAULT_SYSTEM_PROMPT
        if question.pictures:
            asked = f"User Raw Input Prompt: {question.prompt}."
            instructions = utils.I2V_DEFAULT_SYSTEM_PROMPT
        system = instructions if question.system is None else question.system
        whole = replace(question, prompt=asked, system=system)
        answer = super().answer(handle, whole, most, sampling)
        text = prompt_enhancement.clean_response(answer.text).strip() or question.prompt
        return replace(answer, text=text)


def _pictures(image: Tensor | list[Tensor] | None, video: Tensor | None) -> Iterator[Picture]:
    batches = image if isinstance(image, list) else [] if image is None else [image]
    for batch in batches:
        yield from (Picture(frames=frame[None]) for frame in batch)
    if video is not None:
        yield Picture(frames=video, is_video=True)


def _sampling(mode: Mapping[str, Any]) -> Sampling | None:
    """What is said of sampling; None where the best tokens are wanted."""
    if mode["sampling_mode"] != "on":
        return None
    return Sampling(**{name: value for name, value in mode.items() if name != "sampling_mode"})
