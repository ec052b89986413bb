"""Text encoders of Flux."""

from comfy.not_yet import absent

from models.protocol.text import FluxClipModel as FluxClipModel

__getattr__ = absent(
    __name__,
    classes="FluxTokenizer T5XXLTokenizer Mistral3Tokenizer Flux2Tokenizer",
    layers="Flux2TEModel Mistral3_24BModel",
    functions="flux_clip flux2_te",
)
