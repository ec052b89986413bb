"""Text encoders of LTX."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="LTXVT5Tokenizer T5XXLTokenizer Gemma3_12BTokenizer LTXAVGemmaTokenizer",
    layers="LTXAVTEModel Gemma3_12BModel",
    functions="ltxv_te ltxav_te",
)
