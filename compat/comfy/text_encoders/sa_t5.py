"""The text encoders of sa_t5."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="SAT5Tokenizer",
    layers="SAT5Model",
    functions="te",
)
