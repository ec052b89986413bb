"""Image encoders."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="ClipVisionModel",
    functions="load load_clipvision_from_sd convert_to_transformers clip_vision_load image_size",
)
