"""UniPC in the form of its paper."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="UniPC NoiseScheduleVP SigmaConvert",
    functions="sample_unipc sample_unipc_bh2 model_wrapper",
)
