"""Text encoders of SD 3."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="SD3Tokenizer T5XXLTokenizer",
    layers="SD3ClipModel T5XXLModel",
    functions="sd3_clip t5_xxl_detect",
)
