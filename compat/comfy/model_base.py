"""Denoisers by family."""

from comfy.not_yet import absent

from models.protocol.base_model import BaseModel as BaseModel
from models.protocol.base_model import ModelType as ModelType
from models.protocol.base_model import model_sampling as model_sampling
from models.protocol.class_vectors import SDXL as SDXL
from models.protocol.class_vectors import SDXLRefiner as SDXLRefiner
from models.protocol.flux_model import Flux as Flux
from models.protocol.mmdit import SD3 as SD3

__getattr__ = absent(
    __name__,
    base=BaseModel,
    classes=(
        "SD21UNCLIP SVD_img2vid SV3D_u SV3D_p Stable_Zero123 "
        "SD_X4Upscaler IP2P SD15_instructpix2pix SDXL_instructpix2pix StableCascade_B "
        "StableCascade_C StableAudio1 AuraFlow HunyuanDiT PixArt Flux2 "
        "LongCatImage GenmoMochi LTXV LTXAV HunyuanVideo HunyuanVideoI2V "
        "HunyuanVideoSkyreelsI2V HunyuanVideo15 CosmosVideo CosmosPredict2 Anima Lumina2 "
        "WAN21 WAN21_Vace WAN21_Camera WAN21_HuMo WAN22 WAN22_S2V WAN22_Animate "
        "Hunyuan3Dv2 HiDream Chroma ChromaRadiance ACEStep Omnigen2 QwenImage "
        "HunyuanImage21 Kandinsky5 Lotus"
    ),
)
