"""Noise augmentation."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers="ImageConcatWithNoiseAugmentation AbstractLowScaleModel",
)
