"""Chat templates, and thoughts that are not part of answers."""

from __future__ import annotations

import pytest

from models.text.language.speech import SPEECHES, without_thoughts


@pytest.mark.parametrize(
    ("kind", "system", "thinks", "expected"),
    [
        (
            "qwen3",
            None,
            False,
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        ),
        ("qwen3", None, True, "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"),
        (
            "qwen2_5_vl",
            None,
            False,
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            "qwen2_5_vl",
            "Be brief.",
            False,
            "<|im_start|>system\nBe brief.<|im_end|>\n"
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
        ),
        ("mistral3", None, False, "<s>[INST]hi[/INST]"),
        (
            "ministral3",
            "Be brief.",
            False,
            "<s>[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST]hi[/INST]",
        ),
        (
            "qwen3_5",
            None,
            True,
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n",
        ),
        (
            "qwen3_5",
            None,
            False,
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        ),
        (
            "qwen3_vl",
            None,
            True,
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n",
        ),
        (
            "gemma3",
            None,
            False,
            "<bos><start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n",
        ),
        (
            "gemma3",
            "Be {brief}.",
            False,
            "<bos><start_of_turn>user\nBe {brief}.\n\nhi<end_of_turn>\n<start_of_turn>model\n",
        ),
    ],
)
def test_templates_are_those_that_models_were_published_with(
    kind: str, system: str | None, thinks: bool, expected: str
) -> None:
    assert SPEECHES[kind].chat("hi", system, thinks=thinks) == expected


def test_braces_of_a_prompt_are_text() -> None:
    assert "{} and {x}<|im_end|>" in SPEECHES["qwen3"].chat("{} and {x}", "{}")


@pytest.mark.parametrize(
    ("text", "begun", "answer", "thoughts"),
    [
        ("yes", False, "yes", ""),
        ("<think>\nhm\n</think>\n\nyes", False, "yes", "hm"),
        ("hm\n</think>\n\nyes", True, "yes", "hm"),
        ("<think>\n\n</think>\n\nyes", False, "yes", ""),
        ("<think>\nhm, not yet", False, "", "hm, not yet"),
        ("hm, not yet", True, "", "hm, not yet"),
        ("a <think> in the middle", False, "a <think> in the middle", ""),
    ],
)
def test_thoughts_are_told_apart(text: str, begun: bool, answer: str, thoughts: str) -> None:
    assert without_thoughts(text, begun=begun) == (answer, thoughts)
