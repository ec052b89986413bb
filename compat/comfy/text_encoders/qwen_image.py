"""The text encoders of qwen_image."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="QwenImageTokenizer",
    layers="QwenImageTEModel",
    functions="te",
)
