"""Nodes for networks that enlarge the latents of films."""

from __future__ import annotations

from models.errors import InvalidInput
from models.film.vae import FilmVaeHandle
from models.latent_upscale import LatentUpscaler, load_latent_upscaler
from nodes.base import FileOptions, Node, inputs
from nodes.missing_parts import need_vae
from nodes.pixel_space import Vae
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent, with_samples


class LatentUpscaleModelLoader(SchemaNode):
    """Loads a network that enlarges latents: of LTX-Video or LTX-2."""

    DISPLAY_NAME = "Load Latent Upscale Model"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_hunyuan"
    CATEGORY = "loaders"
    REQUIRED = inputs(model_name=(FileOptions("latent_upscale_models"), {}))
    RETURN_TYPES = ("LATENT_UPSCALE_MODEL",)

    def run(self, model_name: str) -> tuple[LatentUpscaler]:
        """Its sizes, and what it enlarges, are seen from its tensors."""
        path = self.context.folders.full_path("latent_upscale_models", model_name)
        return (load_latent_upscaler(path, self.context.policy),)


class LTXVLatentUpsampler(Node):
    """Enlarges the latent of a film of LTX-Video or LTX-2."""

    DISPLAY_NAME = "LTXVLatentUpsampler"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_lt_upsampler"
    CATEGORY = "latent/video"
    EXPERIMENTAL = True
    REQUIRED = inputs(samples=("LATENT",), upscale_model=("LATENT_UPSCALE_MODEL",), vae=("VAE",))
    RETURN_TYPES = ("LATENT",)

    def run(self, samples: Latent, upscale_model: LatentUpscaler, vae: Vae | None) -> tuple[Latent]:
        """As in diffusers' LTX2LatentUpsamplePipeline, without the noise mask, which would not fit.

        The VAE says of which mean and deviation latents are that the network takes.
        """
        film_vae = need_vae(vae)
        if not isinstance(film_vae, FilmVaeHandle):
            raise InvalidInput("this node needs the VAE of LTX-Video: this one is of pictures")
        enlarged = upscale_model.enlarge(film_vae.raw(samples["samples"]))
        made = with_samples(samples, film_vae.normalised(enlarged))
        made.pop("noise_mask", None)
        return (made,)
