"""Autoencoders."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers=(
        "AutoencoderKL AutoencodingEngine AutoencodingEngineLegacy AbstractAutoencoder "
        "DiagonalGaussianRegularizer"
    ),
)
