"""Finds autoencoders of films in model files."""

from __future__ import annotations

from typing import Final

from models.families.ltx2_video_vae import build_ltx2_video_vae
from models.families.minimax_h3_video_vae import build_minimax_h3_video_vae
from models.families.wan_vae import build_wan_vae
from models.film.vae import FilmVaeHandle
from models.memory import Policy
from models.weights import Weights

_BUILDERS: Final = (build_wan_vae, build_ltx2_video_vae, build_minimax_h3_video_vae)


def film_vae_of(weights: Weights, policy: Policy) -> FilmVaeHandle | None:
    """The autoencoder of films in an opened file; None if there is none."""
    for build in _BUILDERS:
        built = build(weights, policy.vae_dtype)
        if built is not None:
            network, layout = built
            return FilmVaeHandle(network=network, layout=layout, policy=policy)
    return None
