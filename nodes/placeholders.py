"""Nodes of older and later releases that have nothing to do here."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from nodes.base import Declared, inputs
from nodes.schema import SchemaNode, opening


class WanBlockSwap(SchemaNode):
    """Passes a model on: how much of it is in GPU memory is decided elsewhere."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_nop"
    NODE_NAME = "wanBlockSwap"
    CATEGORY = ""
    DEPRECATED = True
    REQUIRED = inputs(model=("MODEL",))
    RETURN_TYPES = ("MODEL",)

    def run(self, model: Any) -> tuple[Any]:
        """The model."""
        return (model,)


class _Unchanged(SchemaNode):
    """A node of later releases that changes how fast a model runs, never what it gives."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_nop"
    CATEGORY = "advanced/model"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("MODEL",)

    def run(self, model: Any, **choices: Any) -> tuple[Any]:
        """The model."""
        return (model,)


class ModelAttentionBackend(_Unchanged):
    """Passes a model on: its attention is always PyTorch's."""

    DISPLAY_NAME = "Model Attention Backend"
    REQUIRED = inputs(
        model=("MODEL",),
        attention=(
            ["pytorch attention", "comfy kitchen attention"],
            {"default": "pytorch attention"},
        ),
    )
    RETURN_NAMES = ("model",)


class TorchCompileModel(_Unchanged):
    """Passes a model on: its network is not compiled."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_torch_compile"
    CATEGORY = "_for_testing"
    EXPERIMENTAL = True
    REQUIRED = inputs(model=("MODEL", {}), backend=(["inductor", "cudagraphs"], {}))


class FluxKVCache(_Unchanged):
    """Passes a model on: keys and values of pictures it refers to are worked out in each step."""

    DISPLAY_NAME = "Flux KV Cache"
    REQUIRED = inputs(model=("MODEL",))


_KEPT: Final[Declared] = ("FLOAT", {"default": 10.0, "min": 0.5, "max": 95.0})
_CACHE_TYPE: Final[Declared] = (["default", "int8", "int4"], {"default": "default"})


class QwenImage21Cache(_Unchanged):
    """Passes a model on: what it reads of the prompt is worked out in each step."""

    DISPLAY_NAME = "Qwen-Image 2.1 Cache"
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_qwen"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        model=("MODEL",),
        device=(["auto", "gpu", "cpu", "off"], {"default": "auto"}),
        dtype=_CACHE_TYPE,
    )


class BlockSparseAttention(_Unchanged):
    """Passes a model on: its attention is never sparse."""

    DISPLAY_NAME = "Block Sparse Attention"
    RETURN_NAMES = ("model",)
    FUNCTION = "run_flat"
    REQUIRED = inputs(
        model=("MODEL",),
        selection=opening({
            "sol-attn": inputs(tau=("FLOAT", {"default": 1.3, "min": 0.0, "max": 4.0})),
            "sla": inputs(keep_percent=_KEPT),
            "vsa": inputs(keep_percent=_KEPT),
        }),
    )  # fmt: skip
    OPTIONAL = inputs(
        start_percent=("FLOAT", {"default": 0.2, "min": 0.0, "max": 1.0}),
        end_percent=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}),
        dense_blocks=("STRING", {"default": ""}),
        min_tokens=("INT", {"default": 12288, "min": 0, "max": 1048576, "step": 512}),
        extra_tokens=("INT", {"default": 256, "min": 0, "max": 256, "step": 64}),
        sink_conditioning=(
            ["exact_kv", "exact_kv_and_rows", "off"], {"default": "exact_kv_and_rows"},
        ),
        verbose=("BOOLEAN", {"default": False}),
    )  # fmt: skip

    def run_flat(self, model: Any, **choices: Any) -> tuple[Any]:
        """The model."""
        return (model,)


class WanAnimate2Cache(_Unchanged):
    """Passes a model on: what it reads of the pose is worked out in each step."""

    DISPLAY_NAME = "Wan Animate 2 Cache"
    REQUIRED = inputs(
        model=("MODEL",), device=(["cpu", "gpu"], {"default": "cpu"}), dtype=_CACHE_TYPE
    )


class ChromaRadianceOptions(_Unchanged):
    """Passes a model on: how many patches it makes pixels of at once is decided elsewhere."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_chroma_radiance"
    CATEGORY = "model_patches/chroma_radiance"
    REQUIRED = inputs(
        model=("MODEL", {}),
        preserve_wrapper=("BOOLEAN", {"default": True}),
        start_sigma=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}),
        end_sigma=("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0}),
        nerf_tile_size=("INT", {"default": -1, "min": -1}),
    )
