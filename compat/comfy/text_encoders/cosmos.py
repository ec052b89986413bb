"""The text encoders of cosmos."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="CosmosT5Tokenizer",
    layers="CosmosT5XXL",
    functions="te",
)
