"""Names that node packs import from ComfyUI, over our own modules."""

from darkroom_compat.lazy import submodules

__getattr__ = submodules(__name__)
