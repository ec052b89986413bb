"""Text encoders of SDXL."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="SDXLTokenizer SDXLClipGTokenizer StableCascadeClipTokenizer",
    layers="SDXLClipG SDXLClipModel SDXLRefinerClipModel StableCascadeClipModel StableCascadeClipG",
)
