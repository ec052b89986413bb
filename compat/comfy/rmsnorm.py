"""ComfyUI's `comfy.rmsnorm` over torch's own."""

from __future__ import annotations

from torch import Tensor, nn

RMSNorm = nn.RMSNorm


def rms_norm(x: Tensor, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """Divide by the root of the mean square along the last axis, then scale."""
    if weight is None:
        return nn.functional.rms_norm(x, (x.shape[-1],), eps=eps)
    return nn.functional.rms_norm(x, weight.shape, weight.to(x.dtype).to(x.device), eps)
