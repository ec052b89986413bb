"""Text encoders of SD 2."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="SD2Tokenizer SD2ClipHTokenizer",
    layers="SD2ClipModel SD2ClipHModel",
)
