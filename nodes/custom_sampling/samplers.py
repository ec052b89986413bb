"""Nodes that choose a sampler and its options."""

from __future__ import annotations

from models.handle import ModelHandle
from models.protocol.ddim import VarianceKeepingDDIM
from models.protocol.k_samplers import KSAMPLER, configured, ksampler, sampler_object
from models.protocol.object_schedule import ObjectSchedule
from models.protocol.replaced import current
from models.protocol.sampling import SAMPLER_NAMES
from models.sampling.samplers.er_sde import reverse_time_scaler
from models.sampling.samplers.registry import EULER_CFG_PP_ALTERNATIVE, LCM_UPSCALE
from models.sampling.samplers.sa_solver import tau_between
from nodes.base import inputs
from nodes.custom_sampling.base import CustomSamplingNode, exact, number

_ETA = exact(1.0, 0.0, 100.0)
_S_NOISE = exact(1.0, 0.0, 100.0)
_NOISE_DEVICE = (["gpu", "cpu"],)


def _drawn_on(name: str, noise_device: str) -> str:
    return name if noise_device == "cpu" else f"{name}_gpu"


class _SamplerNode(CustomSamplingNode):
    """A node that makes a sampler."""

    CATEGORY = "sampling/custom_sampling/samplers"
    RETURN_TYPES = ("SAMPLER",)


class KSamplerSelect(_SamplerNode):
    """A sampler by its name."""

    REQUIRED = inputs(sampler_name=(SAMPLER_NAMES,))

    def run(self, sampler_name: str) -> tuple[KSAMPLER]:
        """As KSampler has it."""
        return (current("comfy.samplers.sampler_object", sampler_object)(sampler_name),)


class SamplerLCM(_SamplerNode):
    """LCM with noise that is scaled and limited."""

    REQUIRED = inputs(
        s_noise=number(1.0, 0.0, 64.0),
        s_noise_end=number(1.0, 0.0, 64.0),
        noise_clip_std=number(0.0, 0.0, 10.0),
    )

    def run(self, s_noise: float, s_noise_end: float, noise_clip_std: float) -> tuple[KSAMPLER]:
        """From `s_noise` at the first step to `s_noise_end` at the last that adds noise."""
        options = {
            "s_noise": s_noise, "s_noise_end": s_noise_end, "noise_clip_std": noise_clip_std,
        }  # fmt: skip
        return (ksampler("lcm", options),)


class VOIDSampler(_SamplerNode):
    """DDIM that starts from the noise as it is given."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_void"

    def run(self) -> tuple[VarianceKeepingDDIM]:
        """For noise that goes along with a film: see VOIDWarpedNoiseSource."""
        return (VarianceKeepingDDIM(),)


class SamplerDPMPP_3M_SDE(_SamplerNode):
    """SDE-DPM-Solver++ of third order."""

    REQUIRED = inputs(eta=_ETA, s_noise=_S_NOISE, noise_device=_NOISE_DEVICE)

    def run(self, eta: float, s_noise: float, noise_device: str) -> tuple[KSAMPLER]:
        """Noise drawn on the CPU is the same for all devices."""
        name = _drawn_on("dpmpp_3m_sde", noise_device)
        return (ksampler(name, {"eta": eta, "s_noise": s_noise}),)


class SamplerDPMPP_2M_SDE(_SamplerNode):
    """SDE-DPM-Solver++ of second order."""

    REQUIRED = inputs(
        solver_type=(["midpoint", "heun"],), eta=_ETA, s_noise=_S_NOISE, noise_device=_NOISE_DEVICE
    )

    def run(
        self, solver_type: str, eta: float, s_noise: float, noise_device: str
    ) -> tuple[KSAMPLER]:
        """Noise drawn on the CPU is the same for all devices."""
        name = _drawn_on("dpmpp_2m_sde", noise_device)
        options = {"eta": eta, "s_noise": s_noise, "solver_type": solver_type}
        return (ksampler(name, options),)


class SamplerDPMPP_SDE(_SamplerNode):
    """DPM-Solver++(2S) with noise after each of its stages."""

    REQUIRED = inputs(
        eta=_ETA, s_noise=_S_NOISE, r=exact(0.5, 0.0, 100.0), noise_device=_NOISE_DEVICE
    )

    def run(self, eta: float, s_noise: float, r: float, noise_device: str) -> tuple[KSAMPLER]:
        """`r` is where in a step its inner stage is."""
        name = _drawn_on("dpmpp_sde", noise_device)
        return (ksampler(name, {"eta": eta, "s_noise": s_noise, "r": r}),)


class SamplerDPMPP_2S_Ancestral(_SamplerNode):
    """DPM-Solver++(2S) with ancestral noise."""

    REQUIRED = inputs(eta=_ETA, s_noise=_S_NOISE)

    def run(self, eta: float, s_noise: float) -> tuple[KSAMPLER]:
        """`eta` is the share of noise, `s_noise` its scale."""
        return (ksampler("dpmpp_2s_ancestral", {"eta": eta, "s_noise": s_noise}),)


class SamplerEulerAncestral(_SamplerNode):
    """Euler's method with ancestral noise."""

    REQUIRED = inputs(eta=_ETA, s_noise=_S_NOISE)

    def run(self, eta: float, s_noise: float) -> tuple[KSAMPLER]:
        """`eta` is the share of noise, `s_noise` its scale."""
        return (ksampler("euler_ancestral", {"eta": eta, "s_noise": s_noise}),)


class SamplerEulerAncestralCFGPP(_SamplerNode):
    """Euler's method with ancestral noise and CFG++."""

    DISPLAY_NAME = "SamplerEulerAncestralCFG++"
    REQUIRED = inputs(eta=exact(1.0, 0.0, 1.0), s_noise=exact(1.0, 0.0, 10.0))

    def run(self, eta: float, s_noise: float) -> tuple[KSAMPLER]:
        """`eta` is the share of noise, `s_noise` its scale."""
        return (ksampler("euler_ancestral_cfg_pp", {"eta": eta, "s_noise": s_noise}),)


class SamplerEulerCFGpp(_SamplerNode):
    """Euler's method with CFG++, in two versions."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_advanced_samplers"
    DISPLAY_NAME = "SamplerEulerCFG++"
    CATEGORY = "_for_testing"
    EXPERIMENTAL = True
    REQUIRED = inputs(version=(["regular", "alternative"],))

    def run(self, version: str) -> tuple[KSAMPLER]:
        """The regular one is that of the paper."""
        if version == "regular":
            return (ksampler("euler_cfg_pp"),)
        return (configured(EULER_CFG_PP_ALTERNATIVE),)


class SamplerLMS(_SamplerNode):
    """The linear multistep method."""

    REQUIRED = inputs(order=("INT", {"default": 4, "min": 1, "max": 100}))

    def run(self, order: int) -> tuple[KSAMPLER]:
        """`order` is the number of steps that it looks back."""
        return (ksampler("lms", {"order": order}),)


class SamplerDPMAdaptative(_SamplerNode):
    """DPM-Solver with a step size of its own choice."""

    REQUIRED = inputs(
        order=("INT", {"default": 3, "min": 2, "max": 3}),
        rtol=exact(0.05, 0.0, 100.0),
        atol=exact(0.0078, 0.0, 100.0),
        h_init=exact(0.05, 0.0, 100.0),
        pcoeff=exact(0.0, 0.0, 100.0),
        icoeff=exact(1.0, 0.0, 100.0),
        dcoeff=exact(0.0, 0.0, 100.0),
        accept_safety=exact(0.81, 0.0, 100.0),
        eta=exact(0.0, 0.0, 100.0),
        s_noise=_S_NOISE,
    )

    def run(
        self,
        order: int,
        rtol: float,
        atol: float,
        h_init: float,
        pcoeff: float,
        icoeff: float,
        dcoeff: float,
        accept_safety: float,
        eta: float,
        s_noise: float,
    ) -> tuple[KSAMPLER]:
        """Tolerances, the first step, and the three coefficients of its controller."""
        options = {
            "order": order,
            "rtol": rtol,
            "atol": atol,
            "h_init": h_init,
            "pcoeff": pcoeff,
            "icoeff": icoeff,
            "dcoeff": dcoeff,
            "accept_safety": accept_safety,
            "eta": eta,
            "s_noise": s_noise,
        }
        return (ksampler("dpm_adaptive", options),)


class SamplerER_SDE(_SamplerNode):
    """The extended reverse-time SDE solver."""

    REQUIRED = inputs(
        solver_type=(["ER-SDE", "Reverse-time SDE", "ODE"],),
        max_stage=("INT", {"default": 3, "min": 1, "max": 3}),
        eta=_ETA,
        s_noise=_S_NOISE,
    )

    def run(self, solver_type: str, max_stage: int, eta: float, s_noise: float) -> tuple[KSAMPLER]:
        """`eta` is how stochastic the reverse-time SDE is; the others do not have it."""
        options = {"max_stage": max_stage, "s_noise": s_noise}
        if solver_type == "ER-SDE":
            return (ksampler("er_sde", options),)
        scaler = reverse_time_scaler(0.0 if solver_type == "ODE" else eta)
        return (ksampler("er_sde", options | {"noise_scaler": scaler}),)


class SamplerSEEDS2(_SamplerNode):
    """The exponential SDE solver with two stages."""

    REQUIRED = inputs(
        solver_type=(["phi_1", "phi_2"],),
        eta=_ETA,
        s_noise=_S_NOISE,
        r=exact(0.5, 0.01, 1.0),
    )

    def run(self, solver_type: str, eta: float, s_noise: float, r: float) -> tuple[KSAMPLER]:
        """`r` is where in a step its inner stage is."""
        options = {"solver_type": solver_type, "eta": eta, "s_noise": s_noise, "r": r}
        return (ksampler("seeds_2", options),)


class SamplerSASolver(_SamplerNode):
    """The stochastic Adams solver."""

    REQUIRED = inputs(
        model=("MODEL",),
        eta=exact(1.0, 0.0, 10.0),
        sde_start_percent=number(0.2, 0.0, 1.0, 0.001),
        sde_end_percent=number(0.8, 0.0, 1.0, 0.001),
        s_noise=_S_NOISE,
        predictor_order=("INT", {"default": 3, "min": 1, "max": 6}),
        corrector_order=("INT", {"default": 4, "min": 0, "max": 6}),
        use_pece=("BOOLEAN",),
        simple_order_2=("BOOLEAN",),
    )

    def run(
        self,
        model: ModelHandle,
        eta: float,
        sde_start_percent: float,
        sde_end_percent: float,
        s_noise: float,
        predictor_order: int,
        corrector_order: int,
        use_pece: bool,
        simple_order_2: bool,
    ) -> tuple[KSAMPLER]:
        """Noise is added between the two fractions of the run only."""
        schedule = ObjectSchedule(model.get_model_object("model_sampling"))
        options = {
            "tau": tau_between(schedule, sde_start_percent, sde_end_percent, eta),
            "s_noise": s_noise,
            "predictor_order": predictor_order,
            "corrector_order": corrector_order,
            "use_pece": use_pece,
            "simple_order_2": simple_order_2,
        }
        return (ksampler("sa_solver", options),)


class SamplerLCMUpscale(_SamplerNode):
    """Consistency sampling that grows the picture on the way."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_advanced_samplers"
    REQUIRED = inputs(
        scale_ratio=number(1.0, 0.1, 20.0),
        scale_steps=("INT", {"default": -1, "min": -1, "max": 1000, "step": 1}),
        upscale_method=(["bislerp", "nearest-exact", "bilinear", "area", "bicubic"],),
    )

    def run(self, scale_ratio: float, scale_steps: int, upscale_method: str) -> tuple[KSAMPLER]:
        """`scale_steps` is in how many steps it grows; -1 means half of them."""
        options = {
            "total_upscale": scale_ratio,
            "upscale_steps": None if scale_steps < 0 else scale_steps,
            "upscale_method": upscale_method,
        }
        return (configured(LCM_UPSCALE, options),)
