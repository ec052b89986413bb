"""comfy.samplers and comfy.sample give what our KSampler node gives, and take packs' own parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from comfy import model_sampling, sample, samplers
from comfy.controlnet import ControlBase
from comfy.k_diffusion import sampling as k_diffusion
from comfy.k_diffusion.sa_solver import get_tau_interval_func
from comfy.k_diffusion.utils import FolderOfImages
from PIL import Image
from torch import Tensor

from models.handle import ModelHandle
from models.sampling.schedule import DiscreteSchedule
from nodes.sampling import KSampler as KSamplerNode
from tests.compat.comfy_models.runs import LATENT, NEGATIVE, POSITIVE, run


def noise(seed: int = 11) -> Tensor:
    return sample.prepare_noise(LATENT, seed)


def test_sample_is_what_the_node_does(model: ModelHandle) -> None:
    steps: list[tuple[int, int]] = []
    result = sample.sample(
        model, noise(), 3, 5.0, "dpmpp_2m_sde", "karras", POSITIVE, NEGATIVE, LATENT, seed=11,
        denoise=0.8, callback=lambda step, denoised, x, total: steps.append((step, total)),
    )  # fmt: skip
    wanted = run(model, sampler_name="dpmpp_2m_sde", scheduler="karras", denoise=0.8)
    assert torch.allclose(result, wanted, atol=1e-5)
    assert steps == [(0, 3), (1, 3), (2, 3)]


def test_sample_custom_runs_a_sampler_along_sigmas(model: ModelHandle) -> None:
    sigmas = samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", 3)
    result = sample.sample_custom(
        model, noise(), 5.0, samplers.sampler_object("euler"), sigmas, POSITIVE, NEGATIVE, LATENT,
        seed=11,
    )  # fmt: skip
    assert torch.allclose(result, run(model), atol=1e-5)


def test_an_empty_list_of_sigmas_gives_the_latent_back(model: ModelHandle) -> None:
    result = sample.sample_custom(
        model, noise(), 5.0, samplers.ksampler("euler"), torch.empty(0), POSITIVE, NEGATIVE, LATENT
    )
    assert torch.equal(result, LATENT)


def test_a_packs_sampler_function_runs_as_a_sampler(model: ModelHandle) -> None:
    seen: list[str] = []

    def my_euler(
        model: Any,
        x: Tensor,
        sigmas: Tensor,
        extra_args: dict[str, Any] | None = None,
        callback: Any = None,
        disable: Any = None,
        strength: float = 0.0,
    ) -> Tensor:
        for i in range(len(sigmas) - 1):
            denoised = model(x, sigmas[i] * x.new_ones([x.shape[0]]), **(extra_args or {}))
            callback({"x": x, "i": i, "sigma": sigmas[i], "denoised": denoised})
            d = k_diffusion.to_d(x, sigmas[i], denoised)
            x = x + d * (sigmas[i + 1] - sigmas[i])
        seen.append(f"{strength} {model.inner_model.inner_model.model_type.name}")
        return x

    sigmas = samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", 3)
    result = sample.sample_custom(
        model, noise(), 5.0, samplers.KSAMPLER(my_euler, {"strength": 2.0}), sigmas, POSITIVE,
        NEGATIVE, LATENT, seed=11,
    )  # fmt: skip
    assert torch.allclose(result, run(model), atol=1e-4)
    assert seen == ["2.0 EPS"]


def test_a_function_added_to_k_diffusion_is_a_sampler_by_name(
    model: ModelHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "packs_own"
    monkeypatch.setattr(
        k_diffusion, f"sample_{name}", samplers.ksampler("heun").sampler_function, raising=False
    )
    monkeypatch.setattr(samplers.KSampler, "SAMPLERS", [*samplers.KSampler.SAMPLERS, name])
    result = sample.sample(model, noise(), 3, 5.0, name, "normal", POSITIVE, NEGATIVE, LATENT)
    assert torch.allclose(result, run(model, sampler_name="heun"), atol=1e-5)


def test_names_that_packs_add_are_offered_by_our_nodes() -> None:
    samplers.KSampler.SAMPLERS.append("packs_own")
    samplers.KSampler.SCHEDULERS.append("packs_scheduler")
    try:
        required = KSamplerNode.INPUT_TYPES()["required"]
        assert "packs_own" in required["sampler_name"][0]
        assert "packs_scheduler" in required["scheduler"][0]
    finally:
        samplers.KSampler.SAMPLERS.remove("packs_own")
        samplers.KSampler.SCHEDULERS.remove("packs_scheduler")


def test_a_packs_scheduler_serves_our_ksampler(model: ModelHandle) -> None:
    def two(n: int, sigma_min: float, sigma_max: float) -> Tensor:
        return torch.tensor([sigma_max, 1.0, 0.0])

    samplers.SCHEDULER_HANDLERS["two"] = samplers.SchedulerHandler(two, use_ms=False)
    samplers.SCHEDULER_NAMES.append("two")
    try:
        steps: list[float] = []
        run(model, scheduler="two", callback=lambda i, n, d, x: steps.append(n))
        assert steps == [2, 2]
    finally:
        samplers.SCHEDULER_NAMES.remove("two")
        del samplers.SCHEDULER_HANDLERS["two"]


class Interpolated(samplers.CFGGuider):
    """Guides with the mean of the sides at its own third conditioning's word."""

    def set_conds(self, positive: Any, negative: Any) -> None:
        self.inner_set_conds({"positive": positive, "negative": negative, "third": positive})

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: Any = None, seed: int | None = None
    ) -> Tensor:
        conds = [self.conds[name] for name in ("negative", "positive", "third")]
        negative, positive, third = samplers.calc_cond_batch(
            self.inner_model, conds, x, timestep, model_options
        )
        assert torch.allclose(positive, third, atol=1e-4)
        return negative + (third - negative) * self.cfg


def test_a_guider_of_a_pack_guides(model: ModelHandle) -> None:
    guider = Interpolated(model)
    guider.set_conds(POSITIVE, NEGATIVE)
    guider.set_cfg(5.0)
    sigmas = samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", 3)
    result = guider.sample(noise(), LATENT, samplers.sampler_object("euler"), sigmas, seed=11)
    assert torch.allclose(result, run(model), rtol=1e-4, atol=1e-3)


class Half(model_sampling.ModelSamplingDiscrete, model_sampling.EPS):
    """Half of the noise."""


def test_another_model_sampling_changes_the_sigmas(model: ModelHandle) -> None:
    sampling = Half(model.model.model_config)
    sampling.set_sigmas(model.get_model_object("model_sampling").sigmas / 2)
    changed = model.clone()
    changed.add_object_patch("model_sampling", sampling)
    assert changed.get_model_object("model_sampling") is sampling
    before = samplers.calculate_sigmas(model.get_model_object("model_sampling"), "karras", 4)
    after = samplers.calculate_sigmas(sampling, "karras", 4)
    assert torch.allclose(after, before / 2)
    seen: list[float] = []

    def note(apply_model: Any, args: dict[str, Any]) -> Any:
        seen.append(float(args["timestep"][0]))
        return apply_model(args["input"], args["timestep"], **args["c"])

    changed.set_model_unet_function_wrapper(note)
    run(changed, scheduler="karras", steps=4)
    assert seen == pytest.approx(after[:-1].tolist(), rel=1e-5)
    assert type(model.model.model_sampling) is not Half


def test_a_shift_of_flow_changes_what_a_model_is_told(model: ModelHandle) -> None:
    class Flow(model_sampling.ModelSamplingDiscreteFlow, model_sampling.CONST):
        """Rectified flow."""

    sampling = Flow(model.model.model_config)
    sampling.set_parameters(shift=3.0, multiplier=1000)
    model.add_object_patch("model_sampling", sampling)
    assert model.schedule.is_flow and model.schedule.sigma_max == 1.0
    assert sampling.percent_to_sigma(0.5) == pytest.approx(0.75)
    assert torch.isfinite(run(model)).all()


def test_our_sampling_object_has_our_schedule(model: ModelHandle) -> None:
    sampling: Any = model.get_model_object("model_sampling")
    schedule = DiscreteSchedule()
    assert {model_sampling.EPS, model_sampling.ModelSamplingDiscrete} < set(type(sampling).mro())
    assert torch.equal(sampling.sigmas, schedule.sigmas)
    sigma = torch.tensor([0.03, 1.0, 14.0])
    assert torch.equal(sampling.timestep(sigma), schedule.timestep(sigma))
    assert sampling.percent_to_sigma(0.3) == schedule.percent_to_sigma(0.3)
    assert float(sampling.sigma_max) == schedule.sigma_max


def test_brownian_noise_is_that_of_our_samplers(model: ModelHandle) -> None:
    from models.sampling.noise import brownian_noise

    ours = brownian_noise(LATENT, [10.0, 1.0, 0.1], 5)
    theirs = k_diffusion.BrownianTreeNoiseSampler(LATENT, 0.1, 10.0, seed=5, cpu=True)
    assert torch.equal(theirs(torch.tensor(10.0), torch.tensor(1.0)), ours(10.0, 1.0))


def test_a_packs_interval_of_noise_goes_to_the_sa_solver(model: ModelHandle) -> None:
    none, some = (
        sample.sample_custom(
            model, noise(), 5.0,
            samplers.ksampler("sa_solver", {"tau_func": get_tau_interval_func(9.0, end, 1.0)}),
            torch.tensor([10.0, 5.0, 2.0, 0.0]), POSITIVE, NEGATIVE, LATENT, seed=1,
        )
        for end in (6.0, 1.0)
    )  # fmt: skip
    assert not torch.allclose(none, some, atol=1e-3)


def test_options_that_no_sampler_has_are_refused(model: ModelHandle) -> None:
    with pytest.raises(TypeError, match="no option 'unheard_of'"):
        sample.sample_custom(
            model, noise(), 5.0, samplers.ksampler("euler", {"unheard_of": 1}),
            torch.tensor([1.0, 0.0]), POSITIVE, NEGATIVE, LATENT, seed=1,
        )  # fmt: skip


class Constant(ControlBase):
    """Adds a constant in the middle."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value
        self.calls: list[tuple[float, ...]] = []

    def get_control(self, x_noisy: Tensor, t: Tensor, *args: Any) -> Any:
        before = None
        if self.previous_controlnet is not None:
            before = self.previous_controlnet.get_control(x_noisy, t, *args)
        sigma = float(t[0])
        self.calls.append((sigma, len(x_noisy)))
        if not self.is_active(sigma):
            return before
        middle = torch.full((1, 32, 4, 4), self.value)
        return self.control_merge({"middle": [middle]}, before, torch.float32)


def controlled(control: ControlBase) -> list[list[Any]]:
    return [[POSITIVE[0][0], {"control": control}]]


def test_a_packs_control_adds_to_the_network(model: ModelHandle) -> None:
    plain = run(model)
    control = Constant(0.5)
    changed = run(model, positive=controlled(control))
    assert not torch.allclose(changed, plain, atol=1e-3)
    assert len(control.calls) == 3 and control.timestep_range is None
    control.strength = 0.0
    assert torch.allclose(run(model, positive=controlled(control)), plain, rtol=1e-4, atol=1e-3)


def test_controls_that_hang_together_add_up(model: ModelHandle) -> None:
    both = Constant(0.2)
    both.set_previous_controlnet(Constant(0.3))
    together = run(model, positive=controlled(both))
    one = run(model, positive=controlled(Constant(0.5)))
    assert torch.allclose(together, one, rtol=1e-4, atol=1e-3)


def test_a_control_acts_in_its_part_of_the_run(model: ModelHandle) -> None:
    never = Constant(0.5)
    never.set_cond_hint(torch.zeros(1, 3, 8, 8), 1.0, (1.0, 1.0))
    assert torch.allclose(run(model, positive=controlled(never)), run(model), rtol=1e-4, atol=1e-3)


def test_a_folder_of_pictures_is_a_data_set(tmp_path: Path) -> None:
    for name in ("b.png", "sub/a.JPG", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    Image.new("L", (2, 3)).save(tmp_path / "b.png")
    found = FolderOfImages(tmp_path, transform=lambda image: (image.mode, image.size))
    assert len(found) == 2 and ".webp" in FolderOfImages.IMG_EXTENSIONS
    assert found[0] == (("RGB", (2, 3)),)
