"""T2I adapters."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers="Adapter Adapter_light StyleAdapter",
)
