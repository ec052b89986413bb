"""The text encoders of wan."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="WanT5Tokenizer",
    layers="WanT5Model",
    functions="te",
)
