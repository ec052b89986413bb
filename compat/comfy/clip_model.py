"""CLIP networks."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers=(
        "CLIPTextModel CLIPVision CLIPVisionModelProjection CLIPAttention CLIPMLP "
        "CLIPLayer CLIPEncoder CLIPTextModel_ CLIPEmbeddings"
    ),
)
