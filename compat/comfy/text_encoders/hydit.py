"""The text encoders of hydit."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="HyditTokenizer",
    layers="HyditModel",
    functions="te",
)
