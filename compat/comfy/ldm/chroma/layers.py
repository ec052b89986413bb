"""Layers of Chroma."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers="DoubleStreamBlock SingleStreamBlock LastLayer Approximator",
)
