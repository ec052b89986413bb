"""SD3 networks."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers=(
        "MMDiT OpenAISignatureMMDITWrapper JointBlock DismantledBlock SelfAttention "
        "PatchEmbed TimestepEmbedder VectorEmbedder FinalLayer"
    ),
    functions="block_mixing modulate get_2d_sincos_pos_embed get_2d_sincos_pos_embed_torch",
)
