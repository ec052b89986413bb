"""Control networks of SD3."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers="ControlNet",
)
