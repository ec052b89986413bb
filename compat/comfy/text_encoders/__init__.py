"""Text encoders."""

from darkroom_compat.lazy import submodules

__getattr__ = submodules(__name__)
