"""Attention in slices."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    functions="efficient_dot_product_attention",
)
