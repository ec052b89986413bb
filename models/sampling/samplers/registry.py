"""The samplers by name, in the order that clients list them."""

from __future__ import annotations

from collections.abc import Mapping

from models.sampling.samplers import (
    adams,
    cfg_pp,
    dpm2,
    dpm_solver,
    dpmpp,
    dpmpp_sde,
    er_sde,
    euler,
    gradient,
    heun,
    lcm,
    res,
    sa_solver,
    seeds,
    unipc,
)
from models.sampling.samplers.sampler import NoiseKind, Sampler

_HEUN = {"solver_type": "heun"}
_EXP_HEUN = {"solver_type": "phi_2", "r": 1.0}
_CFG_PP = {"cfg_pp": True}
_STEPS, _PATH, _PATH_HERE = NoiseKind.STEPS, NoiseKind.BROWNIAN, NoiseKind.BROWNIAN_ON_DEVICE
_NONE, _MORE = NoiseKind.NONE, NoiseKind.CONTINUED

SAMPLERS: Mapping[str, Sampler] = {
    "euler": Sampler(euler.sample_euler, _MORE),
    "euler_cfg_pp": Sampler(cfg_pp.sample_euler_ancestral_cfg_pp, _NONE, {"eta": 0.0}),
    "euler_ancestral": Sampler(euler.sample_euler_ancestral, _STEPS),
    "euler_ancestral_cfg_pp": Sampler(cfg_pp.sample_euler_ancestral_cfg_pp, _STEPS),
    "heun": Sampler(heun.sample_heun, _MORE),
    "heunpp2": Sampler(heun.sample_heunpp2),
    "exp_heun_2_x0": Sampler(seeds.sample_seeds_2, _NONE, _EXP_HEUN | {"eta": 0.0}),
    "exp_heun_2_x0_sde": Sampler(seeds.sample_seeds_2, _STEPS, _EXP_HEUN),
    "dpm_2": Sampler(dpm2.sample_dpm_2, _MORE),
    "dpm_2_ancestral": Sampler(dpm2.sample_dpm_2_ancestral, _STEPS),
    "lms": Sampler(adams.sample_lms),
    "dpm_fast": Sampler(dpm_solver.sample_dpm_fast),
    "dpm_adaptive": Sampler(dpm_solver.sample_dpm_adaptive, _STEPS),
    "dpmpp_2s_ancestral": Sampler(dpmpp.sample_dpmpp_2s_ancestral, _STEPS),
    "dpmpp_2s_ancestral_cfg_pp": Sampler(cfg_pp.sample_dpmpp_2s_ancestral_cfg_pp, _STEPS),
    "dpmpp_sde": Sampler(dpmpp_sde.sample_dpmpp_sde, _PATH),
    "dpmpp_sde_gpu": Sampler(dpmpp_sde.sample_dpmpp_sde, _PATH_HERE),
    "dpmpp_2m": Sampler(dpmpp.sample_dpmpp_2m),
    "dpmpp_2m_cfg_pp": Sampler(cfg_pp.sample_dpmpp_2m_cfg_pp),
    "dpmpp_2m_sde": Sampler(dpmpp_sde.sample_dpmpp_2m_sde, _PATH),
    "dpmpp_2m_sde_gpu": Sampler(dpmpp_sde.sample_dpmpp_2m_sde, _PATH_HERE),
    "dpmpp_2m_sde_heun": Sampler(dpmpp_sde.sample_dpmpp_2m_sde, _PATH, _HEUN),
    "dpmpp_2m_sde_heun_gpu": Sampler(dpmpp_sde.sample_dpmpp_2m_sde, _PATH_HERE, _HEUN),
    "dpmpp_3m_sde": Sampler(dpmpp_sde.sample_dpmpp_3m_sde, _PATH),
    "dpmpp_3m_sde_gpu": Sampler(dpmpp_sde.sample_dpmpp_3m_sde, _PATH_HERE),
    "ddpm": Sampler(euler.sample_ddpm, _STEPS),
    "lcm": Sampler(lcm.sample_lcm, _STEPS),
    "ipndm": Sampler(adams.sample_ipndm),
    "ipndm_v": Sampler(adams.sample_ipndm_v),
    "deis": Sampler(adams.sample_deis),
    "res_multistep": Sampler(res.sample_res_multistep),
    "res_multistep_cfg_pp": Sampler(res.sample_res_multistep, _NONE, _CFG_PP),
    "res_multistep_ancestral": Sampler(res.sample_res_multistep, _STEPS, {"eta": 1.0}),
    "res_multistep_ancestral_cfg_pp": Sampler(
        res.sample_res_multistep, _STEPS, _CFG_PP | {"eta": 1.0}
    ),
    "gradient_estimation": Sampler(gradient.sample_gradient_estimation),
    "gradient_estimation_cfg_pp": Sampler(gradient.sample_gradient_estimation, _NONE, _CFG_PP),
    "er_sde": Sampler(er_sde.sample_er_sde, _STEPS),
    "seeds_2": Sampler(seeds.sample_seeds_2, _STEPS),
    "seeds_3": Sampler(seeds.sample_seeds_3, _STEPS),
    "sa_solver": Sampler(sa_solver.sample_sa_solver, _STEPS),
    "sa_solver_pece": Sampler(sa_solver.sample_sa_solver, _STEPS, {"use_pece": True}),
    "ddim": Sampler(euler.sample_euler, _MORE, draws_mask_noise=True),
    "uni_pc": Sampler(unipc.sample_uni_pc, _NONE, {"variant": "bh1"}, last_sigma=0.001),
    "uni_pc_bh2": Sampler(unipc.sample_uni_pc, _NONE, {"variant": "bh2"}, last_sigma=0.001),
}

# Further algorithms, which nodes of their own offer.
EULER_CFG_PP_ALTERNATIVE = Sampler(cfg_pp.sample_euler_cfg_pp_alternative)
LCM_UPSCALE = Sampler(lcm.sample_lcm_upscale, _MORE)
