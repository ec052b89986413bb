"""Names of LoRA files."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    functions="convert_lora convert_lora_bfl_control convert_lora_wan_fun convert_uso_lora",
)
