"""Qwen Image networks."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers="QwenImageTransformer2DModel QwenImageTransformerBlock Attention",
    functions="apply_rotary_emb",
)
