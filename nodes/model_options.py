"""Nodes that tell a model more than the prompt: guidance, pictures to refer to, times.

They give CONDITIONING an option; models that know it read it, others do not.
"""

from __future__ import annotations

from typing import ClassVar

from models.conditioning import Conditioning, appended, with_options
from nodes.base import inputs
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent


class ReferenceLatent(SchemaNode):
    """Gives an editing model a picture to refer to; several in a row add up."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_edit_model"
    CATEGORY = "advanced/conditioning/edit_models"
    REQUIRED = inputs(conditioning=("CONDITIONING", {}))
    OPTIONAL = inputs(latent=("LATENT", {}))
    RETURN_TYPES = ("CONDITIONING",)

    def run(self, conditioning: Conditioning, latent: Latent | None = None) -> tuple[Conditioning]:
        """Without a latent nothing changes."""
        if latent is None:
            return (conditioning,)
        return (appended(conditioning, "reference_latents", [latent["samples"]]),)


class _FluxNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_flux"
    CATEGORY = "advanced/conditioning/flux"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING",)


class FluxGuidance(_FluxNode):
    """Says how closely a distilled model follows the prompt."""

    REQUIRED = inputs(
        conditioning=("CONDITIONING", {}),
        guidance=("FLOAT", {"default": 3.5, "min": 0.0, "max": 100.0, "step": 0.1}),
    )

    def run(self, conditioning: Conditioning, guidance: float) -> tuple[Conditioning]:
        """The scale that the model was distilled with as an input."""
        return (with_options(conditioning, {"guidance": guidance}),)


class FluxDisableGuidance(_FluxNode):
    """Has a distilled model run without its input for guidance."""

    REQUIRED = inputs(conditioning=("CONDITIONING", {}))

    def run(self, conditioning: Conditioning) -> tuple[Conditioning]:
        """Not the same as 0, nor as the scale that is taken where none is said."""
        return (with_options(conditioning, {"guidance": None}),)


class FluxKontextMultiReferenceLatentMethod(_FluxNode):
    """Chooses how an editing model places the pictures that it refers to."""

    DISPLAY_NAME = "Edit Model Reference Method"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        conditioning=("CONDITIONING", {}),
        reference_latents_method=(
            [
                "offset",
                "index",
                "uxo/uno",
                "index_timestep_zero",
                "index_timestep_zero_isolated",
                "index_timestep_zero_text_start",
            ],
        ),
    )

    def run(self, conditioning: Conditioning, reference_latents_method: str) -> tuple[Conditioning]:
        """One method for all of them."""
        return (with_options(conditioning, {"reference_latents_method": reference_latents_method}),)


class LTXVConditioning(SchemaNode):
    """Says how many frames a second a film has."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_lt"
    CATEGORY = "conditioning/video_models"
    REQUIRED = inputs(
        positive=("CONDITIONING", {}),
        negative=("CONDITIONING", {}),
        frame_rate=("FLOAT", {"default": 25.0, "min": 0.0, "max": 1000.0, "step": 0.01}),
    )
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")

    def run(
        self, positive: Conditioning, negative: Conditioning, frame_rate: float
    ) -> tuple[Conditioning, Conditioning]:
        """Both sides of the run get it."""
        said = {"frame_rate": frame_rate}
        return with_options(positive, said), with_options(negative, said)


_SECONDS = {"min": 0.0, "max": 1000.0, "step": 0.1}


class ConditioningStableAudio(SchemaNode):
    """Says where in a piece of music a sound begins, and how long the piece is."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_audio"
    CATEGORY = "conditioning"
    REQUIRED = inputs(
        positive=("CONDITIONING", {}),
        negative=("CONDITIONING", {}),
        seconds_start=("FLOAT", {"default": 0.0, **_SECONDS}),
        seconds_total=("FLOAT", {"default": 47.0, **_SECONDS}),
    )
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        seconds_start: float,
        seconds_total: float,
    ) -> tuple[Conditioning, Conditioning]:
        """Both sides of the run get them."""
        said = {"seconds_start": seconds_start, "seconds_total": seconds_total}
        return with_options(positive, said), with_options(negative, said)


class PiDConditioning(SchemaNode):
    """Gives PiD's decoder the latent that it makes a picture of."""

    DISPLAY_NAME = "PiD Conditioning"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_pid"
    CATEGORY = "advanced/conditioning"
    REQUIRED = inputs(
        positive=("CONDITIONING",),
        latent=("LATENT",),
        latent_format=(["flux", "sd3", "sdxl", "qwenimage"], {"default": "flux"}),
        degrade_sigma=("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.01}),
    )
    RETURN_TYPES = ("CONDITIONING",)

    def run(
        self, positive: Conditioning, latent: Latent, latent_format: str, degrade_sigma: float
    ) -> tuple[Conditioning]:
        """The options `pid_latent`, `pid_latent_format` and `pid_degrade_sigma`."""
        options = {
            "pid_latent": latent["samples"],
            "pid_latent_format": latent_format,
            "pid_degrade_sigma": degrade_sigma,
        }
        return (with_options(positive, options),)
