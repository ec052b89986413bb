"""The text encoders of bert."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="BertTokenizer",
    layers="BertModel",
    functions="te",
)
