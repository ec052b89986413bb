"""Text encoders of SD 3."""

from comfy.not_yet import absent

from models.protocol.text import SD3ClipModel as SD3ClipModel

__getattr__ = absent(
    __name__,
    classes="SD3Tokenizer T5XXLTokenizer",
    layers="T5XXLModel",
    functions="sd3_clip t5_xxl_detect",
)
