"""Control networks of Flux."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers="ControlNetFlux MistolineControlnetBlock",
)
