"""Control networks."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes=(
        "ControlBase ControlNet ControlLora T2IAdapter ControlNetSD35 QwenFunControlNet "
        "StrengthType"
    ),
    layers="ControlLoraOps",
    functions=(
        "load_controlnet load_controlnet_state_dict load_t2i_adapter broadcast_image_to "
        "controlnet_config controlnet_load_state_dict load_controlnet_mmdit "
        "load_controlnet_hunyuandit load_controlnet_flux_xlabs_mistoline "
        "load_controlnet_flux_instantx convert_mistoline load_controlnet_sd35 "
        "load_controlnet_qwen_instantx"
    ),
)
