"""The text encoders of omnigen2."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="Omnigen2Tokenizer",
    layers="Omnigen2Model",
    functions="te",
)
