"""Names of diffusers."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    functions=(
        "convert_vae_state_dict convert_text_enc_state_dict "
        "convert_text_enc_state_dict_v20 reshape_weight_for_sd"
    ),
)
