"""Text encoders of SDXL."""

from comfy.not_yet import absent

from models.protocol.text import SDXLClipModel as SDXLClipModel
from models.protocol.text import SDXLRefinerClipModel as SDXLRefinerClipModel

__getattr__ = absent(
    __name__,
    classes="SDXLTokenizer SDXLClipGTokenizer StableCascadeClipTokenizer",
    layers="SDXLClipG StableCascadeClipModel StableCascadeClipG",
)
