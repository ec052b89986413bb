"""VAE networks."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers="Encoder Decoder ResnetBlock AttnBlock Upsample Downsample VideoConv3d Model",
    functions="vae_attention make_attn Normalize",
)
