"""The node that has a diffusion model compiled."""

from __future__ import annotations

from models.compiling import check_backend
from models.handle import ModelHandle
from nodes.base import inputs
from nodes.schema import SchemaNode


class TorchCompileModel(SchemaNode):
    """Has a diffusion model compiled by torch.compile when it first computes."""

    CATEGORY = "_for_testing"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_torch_compile"
    EXPERIMENTAL = True
    REQUIRED = inputs(model=("MODEL", {}), backend=(["inductor", "cudagraphs"],))
    RETURN_TYPES = ("MODEL",)

    def run(self, model: ModelHandle, backend: str) -> tuple[ModelHandle]:
        """The first step of the first run takes minutes; other sizes may compile anew."""
        check_backend(backend, model.policy.device)
        return (model.clone(compiled_by=backend),)
