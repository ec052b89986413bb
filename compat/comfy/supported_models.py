"""The families by name."""

from typing import Any

from comfy import supported_models_base
from comfy.not_yet import absent

from models.protocol import latent_formats


class SD15(supported_models_base.BASE):
    """Stable Diffusion 1."""

    unet_config = {  # noqa: RUF012
        "context_dim": 768,
        "model_channels": 320,
        "use_linear_in_transformer": False,
        "adm_in_channels": None,
        "use_temporal_attention": False,
    }
    unet_extra_config = {"num_heads": 8, "num_head_channels": -1}  # noqa: RUF012
    latent_format = latent_formats.SD15
    memory_usage_factor = 1.0


class SD20(supported_models_base.BASE):
    """Stable Diffusion 2."""

    unet_config = {  # noqa: RUF012
        "context_dim": 1024,
        "model_channels": 320,
        "use_linear_in_transformer": True,
        "adm_in_channels": None,
        "use_temporal_attention": False,
    }
    latent_format = latent_formats.SD15
    memory_usage_factor = 1.0


class SDXL(supported_models_base.BASE):
    """Stable Diffusion XL."""

    unet_config = {  # noqa: RUF012
        "context_dim": 2048,
        "model_channels": 320,
        "use_linear_in_transformer": True,
        "adm_in_channels": 2816,
        "use_temporal_attention": False,
    }
    latent_format = latent_formats.SDXL


class SDXLRefiner(supported_models_base.BASE):
    """The refiner of Stable Diffusion XL."""

    unet_config = {  # noqa: RUF012
        "context_dim": 1280,
        "model_channels": 384,
        "use_linear_in_transformer": True,
        "adm_in_channels": 2560,
        "use_temporal_attention": False,
    }
    latent_format = latent_formats.SDXL


class Flux(supported_models_base.BASE):
    """Flux.1 dev."""

    unet_config = {"image_model": "flux", "guidance_embed": True}  # noqa: RUF012
    sampling_settings = {"shift": 1.15}  # noqa: RUF012
    latent_format = latent_formats.Flux


class FluxSchnell(Flux):
    """Flux.1 schnell, which takes no guidance."""

    unet_config = {"image_model": "flux", "guidance_embed": False}  # noqa: RUF012
    sampling_settings = {"multiplier": 1.0, "shift": 1.0}  # noqa: RUF012


class FluxInpaint(Flux):
    """Flux.1 Fill."""

    unet_config = {"image_model": "flux", "guidance_embed": True, "in_channels": 96}  # noqa: RUF012


models: list[Any] = [SD15, SD20, SDXLRefiner, SDXL, FluxInpaint, Flux, FluxSchnell]

__getattr__ = absent(
    __name__,
    base=supported_models_base.BASE,
    classes=(
        "SD21UnclipL SD21UnclipH SSD1B Segmind_Vega KOALA_700M "
        "KOALA_1B SVD_img2vid SV3D_u SV3D_p Stable_Zero123 SD_X4Upscaler "
        "Stable_Cascade_C Stable_Cascade_B SD15_instructpix2pix SDXL_instructpix2pix SD3 "
        "StableAudio AuraFlow PixArtAlpha PixArtSigma HunyuanDiT HunyuanDiT1 "
        "Flux2 GenmoMochi LTXV LTXAV HunyuanVideo "
        "HunyuanVideoI2V HunyuanVideo15 CosmosT2V CosmosI2V CosmosT2IPredict2 Lumina2 "
        "ZImage WAN21_T2V WAN21_I2V WAN21_FunControl2V WAN21_Vace WAN21_Camera WAN22_S2V "
        "WAN22_T2V WAN22_Animate Hunyuan3Dv2 HiDream Chroma ChromaRadiance ACEStep "
        "Omnigen2 QwenImage HunyuanImage21 LotusD Kandinsky5"
    ),
)
