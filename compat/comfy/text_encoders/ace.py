"""The text encoders of ace."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="AceT5Tokenizer",
    layers="AceT5Model",
    functions="te",
)
