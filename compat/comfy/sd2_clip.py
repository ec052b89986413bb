"""Text encoders of SD 2."""

from comfy.not_yet import absent

from models.protocol.text import SD2ClipModel as SD2ClipModel

__getattr__ = absent(
    __name__,
    classes="SD2Tokenizer SD2ClipHTokenizer",
    layers="SD2ClipHModel",
)
