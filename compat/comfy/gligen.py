"""GLIGEN."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers="Gligen GatedSelfAttentionDense GatedCrossAttentionDense",
    functions="load_gligen",
)
