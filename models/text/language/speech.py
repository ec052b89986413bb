"""How language models are talked to: the marks of turns, thoughts and ends, kind by kind.

The templates are those that the models were published with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Speech:
    """A kind's chat template, for one question."""

    turn: str  # the user's, with `{}` for what is said, and the begin of the answer
    system: str  # with `{}` for instructions; an empty one stands for none
    default_system: str = ""
    start: str = ""  # of every text, in a chat or not
    ends: tuple[str, ...]  # marks of which any ends an answer
    thinking: str = ""  # how an answer begins that is to be thought about
    unthinking: str = ""  # and one that is not

    def chat(self, prompt: str, system: str | None = None, *, thinks: bool = False) -> str:
        """A question in the template. Pictures' marks are part of the prompt."""
        instructions = self.default_system if system is None else system
        before = _filled(self.system, instructions) if instructions else ""
        turn = _filled(self.turn, before + prompt if self.is_one_turn else prompt)
        opening = self.thinking if thinks else self.unthinking
        return self.start + ("" if self.is_one_turn else before) + turn + opening

    @property
    def is_one_turn(self) -> bool:
        """Whether instructions are part of the user's turn, as there is none of their own."""
        return not self.system.startswith(("<|", "["))

    def plain(self, prompt: str) -> str:
        """A text without template."""
        return prompt if prompt.startswith(self.start) else self.start + prompt


def _filled(template: str, text: str) -> str:
    return template.replace("{}", text, 1)


_QWEN: Final = {
    "turn": "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    "system": "<|im_start|>system\n{}<|im_end|>\n",
}
_QWEN_ENDS: Final = ("<|im_end|>", "<|endoftext|>")
_GEMMA: Final = Speech(
    turn="<start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n",
    system="{}\n\n",
    start="<bos>",
    ends=("<end_of_turn>", "<eos>"),
)

_MISTRAL: Final = Speech(
    turn="[INST]{}[/INST]",
    system="[SYSTEM_PROMPT]{}[/SYSTEM_PROMPT]",
    start="<s>",
    ends=("</s>",),
)

SPEECHES: Final[Mapping[str, Speech]] = {
    "qwen2_5_vl": Speech(**_QWEN, ends=_QWEN_ENDS, default_system="You are a helpful assistant."),
    "qwen3": Speech(**_QWEN, ends=_QWEN_ENDS, unthinking="<think>\n\n</think>\n\n"),
    "qwen3_vl": Speech(**_QWEN, ends=_QWEN_ENDS, thinking="<think>\n"),
    "qwen3_5": Speech(
        **_QWEN, ends=_QWEN_ENDS, thinking="<think>\n", unthinking="<think>\n\n</think>\n\n"
    ),
    "gemma2": _GEMMA,
    "gemma3": _GEMMA,
    "mistral3": _MISTRAL,
    "ministral3": _MISTRAL,
}

_THOUGHTS: Final = re.compile(r"\s*(?:<think>)?(.*?)</think>(.*)", re.DOTALL)


def without_thoughts(text: str, *, begun: bool = False) -> tuple[str, str]:
    """(answer, thoughts) of what a model wrote, both without white space around them.

    `begun` says that the template has opened the thoughts. Thoughts without an end are all of it.
    """
    match = _THOUGHTS.fullmatch(text)
    if match is not None:
        thoughts, answer = match.groups()
        return answer.strip(), thoughts.strip()
    opened = text.lstrip()
    if begun or opened.startswith("<think>"):
        return "", opened.removeprefix("<think>").strip()
    return text.strip(), ""
