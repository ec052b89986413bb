"""The text encoders of hidream."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="HiDreamTokenizer",
    layers="HiDreamTEModel",
    functions="hidream_clip",
)
