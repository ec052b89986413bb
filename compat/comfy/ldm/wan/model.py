"""Wan video networks."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers=(
        "WanModel VaceWanModel WanSelfAttention WanT2VCrossAttention "
        "WanI2VCrossAttention WanAttentionBlock Head MLPProj CameraWanModel WanModel_S2V"
    ),
    functions="sinusoidal_embedding_1d rope_params",
)
