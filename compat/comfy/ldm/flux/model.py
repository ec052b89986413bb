"""Flux networks."""

from comfy.not_yet import absent

from models.protocol.flux import FluxTransformer as Flux

__all__ = ["Flux"]

__getattr__ = absent(
    __name__,
    layers="FluxParams",
)
