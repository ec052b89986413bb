"""LTX video networks."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers=(
        "LTXVModel LTXBaseModel BasicTransformerBlock CrossAttention TimestepEmbedding "
        "AdaLayerNormSingle PixArtAlphaTextProjection FeedForward GELU_approx Timesteps "
        "PixArtAlphaCombinedTimestepSizeEmbeddings"
    ),
    functions=(
        "apply_rotary_emb precompute_freqs_cis generate_freqs interleaved_freqs_cis "
        "split_freqs_cis get_timestep_embedding"
    ),
)
