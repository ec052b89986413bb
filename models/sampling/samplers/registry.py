"""The samplers by name, in the order that clients list them."""

from __future__ import annotations

from collections.abc import Mapping

from models.sampling.samplers import dpm2, dpmpp, dpmpp_sde, euler, heun
from models.sampling.samplers.sampler import NoiseKind, Sampler

_HEUN = {"solver_type": "heun"}
_STEPS, _PATH, _PATH_HERE = NoiseKind.STEPS, NoiseKind.BROWNIAN, NoiseKind.BROWNIAN_ON_DEVICE

SAMPLERS: Mapping[str, Sampler] = {
    "euler": Sampler(euler.sample_euler),
    "euler_ancestral": Sampler(euler.sample_euler_ancestral, _STEPS),
    "heun": Sampler(heun.sample_heun),
    "heunpp2": Sampler(heun.sample_heunpp2),
    "dpm_2": Sampler(dpm2.sample_dpm_2),
    "dpm_2_ancestral": Sampler(dpm2.sample_dpm_2_ancestral, _STEPS),
    "dpmpp_2s_ancestral": Sampler(dpmpp.sample_dpmpp_2s_ancestral, _STEPS),
    "dpmpp_sde": Sampler(dpmpp_sde.sample_dpmpp_sde, _PATH),
    "dpmpp_sde_gpu": Sampler(dpmpp_sde.sample_dpmpp_sde, _PATH_HERE),
    "dpmpp_2m": Sampler(dpmpp.sample_dpmpp_2m),
    "dpmpp_2m_sde": Sampler(dpmpp_sde.sample_dpmpp_2m_sde, _PATH),
    "dpmpp_2m_sde_gpu": Sampler(dpmpp_sde.sample_dpmpp_2m_sde, _PATH_HERE),
    "dpmpp_2m_sde_heun": Sampler(dpmpp_sde.sample_dpmpp_2m_sde, _PATH, _HEUN),
    "dpmpp_2m_sde_heun_gpu": Sampler(dpmpp_sde.sample_dpmpp_2m_sde, _PATH_HERE, _HEUN),
    "dpmpp_3m_sde": Sampler(dpmpp_sde.sample_dpmpp_3m_sde, _PATH),
    "dpmpp_3m_sde_gpu": Sampler(dpmpp_sde.sample_dpmpp_3m_sde, _PATH_HERE),
    "ddim": Sampler(euler.sample_euler, draws_mask_noise=True),
}
