"""The text encoders of genmo."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="MochiT5Tokenizer",
    layers="MochiT5XXL",
    functions="mochi_te",
)
