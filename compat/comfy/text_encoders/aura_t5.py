"""The text encoders of aura_t5."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="AuraT5Tokenizer",
    layers="AuraT5Model",
    functions="te",
)
