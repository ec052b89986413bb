"""Nodes that put the latents of a film and of its sound together, and take them apart."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.joint_latent import JointLatent
from nodes.base import inputs
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent

_SOUND: Final = "audio_options"  # what else the latent of the sound has


class _JointNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_lt"
    CATEGORY = "latent/video/ltxv"


class LTXVConcatAVLatent(_JointNode):
    """Puts the latents of a film and of its sound together, for a model that makes both."""

    REQUIRED = inputs(video_latent=("LATENT", {}), audio_latent=("LATENT", {}))
    RETURN_TYPES = ("LATENT",)
    RETURN_NAMES = ("latent",)

    def run(self, video_latent: Latent, audio_latent: Latent) -> tuple[Latent]:
        """Where one has a noise mask, the other is to be made wholly."""
        both = (video_latent, audio_latent)
        if any(isinstance(latent["samples"], JointLatent) for latent in both):
            raise InvalidInput("one of these latents holds a film and its sound already")
        joint: dict[str, Any] = {
            **video_latent,
            "samples": JointLatent(tuple(latent["samples"] for latent in both)),
            _SOUND: _others(audio_latent),
        }
        if any("noise_mask" in latent for latent in both):
            joint["noise_mask"] = JointLatent(tuple(_mask(latent) for latent in both))
        return (joint,)


class LTXVSeparateAVLatent(_JointNode):
    """Takes the latents of a film and of its sound apart."""

    REQUIRED = inputs(av_latent=("LATENT", {}))
    RETURN_TYPES = ("LATENT", "LATENT")
    RETURN_NAMES = ("video_latent", "audio_latent")

    def run(self, av_latent: Latent) -> tuple[Latent, Latent]:
        """Raises InvalidInput for a latent of a film or a sound alone."""
        samples = av_latent["samples"]
        if not isinstance(samples, JointLatent):
            raise InvalidInput("this latent does not hold a film and its sound: there is one part")
        film: dict[str, Any] = _others(av_latent)
        sound: dict[str, Any] = dict(film.pop(_SOUND, {}))
        masks = av_latent.get("noise_mask")
        for place, latent in enumerate((film, sound)):
            latent["samples"] = samples.parts[place]
            if isinstance(masks, JointLatent):
                latent["noise_mask"] = masks.parts[place]
        return film, sound


def _others(latent: Latent) -> dict[str, Any]:
    return {k: v for k, v in latent.items() if k not in ("samples", "noise_mask")}


def _mask(latent: Latent) -> Tensor:
    mask: Tensor | None = latent.get("noise_mask")
    samples: Tensor = latent["samples"]
    return torch.ones_like(samples[:, :1]) if mask is None else mask
