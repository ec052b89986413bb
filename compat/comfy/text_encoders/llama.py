"""Llama and Gemma."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers=(
        "Llama2 Llama2_ Gemma2_2B Gemma3_4B Gemma3_12B Qwen25_3B Qwen25_7BVLI BaseLlama "
        "RMSNorm Attention TransformerBlock"
    ),
    functions="apply_rope precompute_freqs_cis",
)
