"""The text encoders of hunyuan_video."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="HunyuanVideoTokenizer",
    layers="HunyuanVideoClipModel",
    functions="hunyuan_video_clip",
)
