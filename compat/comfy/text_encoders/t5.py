"""T5."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers="T5 T5Stack T5LayerNorm T5Attention",
)
