"""Token ids, weights and groups of prompts against the reference."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from models.text.chunks import CLIP_G, CLIP_L, T5, Token
from models.text.families import FLUX, SD3
from models.text.t5_vocabulary import from_file
from models.text.tokenizer import PromptTokenizer
from tests.parity import loader
from tests.parity.report import ParityReport

EMBEDDINGS = (loader.BUNDLED / "embeddings",)  # other folders of cases use these, too
TOKENIZERS: Final = {
    "l": PromptTokenizer(encoder="clip_l", chunk_format=CLIP_L, embedding_folders=EMBEDDINGS),
    "g": PromptTokenizer(encoder="clip_g", chunk_format=CLIP_G, embedding_folders=EMBEDDINGS),
    "h": PromptTokenizer(encoder="clip_h", chunk_format=CLIP_G, embedding_folders=EMBEDDINGS),
}


T5_USES: Final = {"sd3": SD3.uses["t5xxl"], "flux": FLUX.uses["t5xxl"]}
T5_IDS: Final = from_file(loader.BUNDLED / "t5_tokenizer.json")  # Darkroom ships none


def t5_tokenizer(case: loader.Case) -> PromptTokenizer:
    """The T5 side of a model family, with the options of the case."""
    tokenizer = PromptTokenizer(
        encoder="t5xxl",
        chunk_format=replace(T5, minimum=T5_USES[case["tokenizer"]].minimum),
        ids=T5_IDS,
        embedding_folders=EMBEDDINGS,
    )
    return tokenizer.with_options(case.get("options", {}).get("tokenizer_options", {}))


def split_cases() -> list[tuple[str, str, loader.Case]]:
    """(id, encoder, case) for each encoder of each case: each is a result of its own."""
    return [
        (f"{case['id']}/{name}", name, case)
        for case in loader.cases("tokens")
        for name in case["tokens"]
    ]


@pytest.mark.parametrize(
    ("encoder", "case"),
    [pytest.param(name, case, id=case_id) for case_id, name, case in split_cases()],
)
def test_tokens_are_the_reference_tokens(
    encoder: str, case: loader.Case, parity_report: ParityReport
) -> None:
    case_id = f"{case['id']}/{encoder}"
    tokenizer = t5_tokenizer(case) if encoder == "t5xxl" else TOKENIZERS[encoder]
    options = case.get("options", {})
    expected = case["tokens"][encoder]
    forms = [expected, *([expected["also_accept"]] if "also_accept" in expected else [])]
    passed, error = False, float("inf")
    try:
        use_weights = not options.get("disable_weights", False)
        chunks = tokenizer.tokenize(case["text"], use_weights)
        matching = [form for form in forms if has_ids(chunks, form)]
        if matching:
            error = weight_error(flat(chunks, "weight"), np.ravel(matching[0]["weights"]))
        same_groups = any(
            "word_ids" not in form or flat(chunks, "group") == list(np.ravel(form["word_ids"]))
            for form in matching
        )
        found = [[i, digest, list(shape)] for i, digest, shape in embedding_rows(chunks)]
        passed = error <= 1e-6 and same_groups and found == expected.get("embeddings", [])
    finally:
        parity_report.record("tokens", case_id, error, passed)
    assert passed, f"{case['text']!r}: {chunks}"


def weight_error(actual: list[float], expected: NDArray[Any]) -> float:
    """The largest difference; a prompt may ask for a weight of inf, which equals itself."""
    same = np.asarray(actual) == expected
    return loader.difference(np.where(same, 0.0, actual), np.where(same, 0.0, expected))


def flat(chunks: list[list[Token]], name: str) -> list[Any]:
    return [getattr(token, name) for chunk in chunks for token in chunk]


def has_ids(chunks: list[list[Token]], form: dict[str, Any]) -> bool:
    ids = [value if isinstance(value, int) else -1 for value in flat(chunks, "value")]
    return [len(chunk) for chunk in chunks] == form["lengths"] and ids == list(
        np.ravel(form["ids"])
    )


def embedding_rows(chunks: list[list[Token]]) -> list[tuple[int, str, tuple[int, ...]]]:
    return [
        (index, hashlib.sha1(value.numpy().tobytes()).hexdigest(), tuple(value.shape))
        for index, value in enumerate(flat(chunks, "value"))
        if not isinstance(value, int)
    ]
