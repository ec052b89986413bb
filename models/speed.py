"""Switches of torch that make a process faster, or its results the same in every run."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from typing import Final

import torch

logger = logging.getLogger(__name__)


def _accumulate_in_fp16() -> None:
    """Sums of products of float16 matrices in float16: faster on recent GPUs, less exact."""
    matmul = torch.backends.cuda.matmul
    if hasattr(matmul, "allow_fp16_accumulation"):
        matmul.allow_fp16_accumulation = True
    else:
        logger.warning("this version of torch cannot accumulate in float16; it takes 2.7 or later")


def _tune_convolutions() -> None:
    """The fastest convolution for each shape, found by trying."""
    torch.backends.cudnn.benchmark = True


FEATURES: Final[dict[str, Callable[[], None]]] = {
    "fp16_accumulation": _accumulate_in_fp16,
    "autotune": _tune_convolutions,
}
# Other words that `--fast` takes, which name what Darkroom does not have.
WITHOUT_EFFECT: Final = ("fp8_matrix_mult", "cublas_ops")


def switch_on(features: Collection[str]) -> None:
    """Have the process be faster in these ways."""
    for name in features:
        if name in FEATURES:
            FEATURES[name]()
            logger.info("fast: %s is on", name)
        else:
            logger.warning("fast: %s has no effect here", name)


def be_deterministic() -> None:
    """Have the same results in every run, as far as torch knows how; it warns where it does not."""
    # What cuBLAS reads when it is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
