"""What the weights of a prompt do to encoder output, against the reference, on a toy encoder."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from models.text.chunks import CLIP_G, CLIP_L, T5, Token
from models.text.weighting import encode_weighted
from tests.parity import loader
from tests.parity.report import ParityReport

FORMATS = {"clip_l": CLIP_L, "clip_g": CLIP_G, "t5xxl": T5}


class ToyEncoder:
    """The encoder that the area's facts describe; it remembers the rows it was given."""

    def __init__(self) -> None:
        self.rows: list[list[int]] = []

    def __call__(self, rows: Sequence[Sequence[Token]]) -> tuple[Tensor, Tensor]:
        self.rows = [[int(token.value) for token in row] for row in rows]
        t = torch.tensor(self.rows, dtype=torch.float32)[..., None]
        j = torch.arange(t.shape[1], dtype=torch.float32)[:, None]
        d = torch.arange(6, dtype=torch.float32)
        out = torch.sin(0.001 * t + 0.1 * j + 0.7 * d) + 0.05 * torch.cos(0.01 * t * (d + 1))
        return out, (0.01 * out).sum(dim=1)


@pytest.mark.parametrize("case", loader.cases("token_weighting"), ids=lambda case: case["id"])
def test_weighted_output_is_the_reference_output(
    case: loader.Case, parity_report: ParityReport
) -> None:
    chunks = [
        [Token(int(number), float(weight)) for number, weight in zip(ids, weights, strict=True)]
        for ids, weights in zip(case["ids"], case["weights"], strict=True)
    ]
    encoder = ToyEncoder()
    with parity_report.case("token_weighting", case) as check:
        output, pooled = encode_weighted(chunks, FORMATS[case["encoder"]], encoder)
        assert len(encoder.rows) == case["rows_encoded"]
        if case["empty_row"] is not None:
            assert encoder.rows[-1] == case["empty_row"].ravel().astype(int).tolist()
        assert pooled is not None
        check(output, case["output"].reshape(output.shape))
        check(pooled, case["pooled"].reshape(pooled.shape))
