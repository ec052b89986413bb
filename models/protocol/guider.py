"""CFGGuider: carries conditionings and a model through a run; packs derive their own from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from models.joint_latent import JointLatent
from models.protocol.calculate import Cond, begin_calls, sampling_function
from models.protocol.extension import WrapperExecutor, WrappersMP, get_all_wrappers
from models.protocol.hooked import begin_run, weights_taking_turns
from models.protocol.joint import JointRow
from models.protocol.options import Options
from models.protocol.process import convert_cond, prepare_mask, process_conds
from models.protocol.replaced import current

Conds = Mapping[str, Sequence[Cond]]


def prepare_sampling(
    model: Any, noise_shape: Sequence[int], conds: Conds, model_options: Any = None, **kwargs: Any
) -> tuple[Any, Any, list[Any]]:
    """(model, conditionings, further models) of a run; networks move when they compute."""
    controls = [c["control"] for found in conds.values() for c in found if c.get("control")]
    models = [one for c in controls if hasattr(c, "get_models") for one in c.get_models()]
    return model.model, conds, [*models, *model.get_nested_additional_models()]


class CFGGuider:
    """Classifier-free guidance between "positive" and "negative".

    While it samples, `inner_model` is the model and `conds` are the processed conditionings.
    """

    def __init__(self, model_patcher: Any) -> None:
        self.model_patcher = model_patcher
        self.model_options: Options = model_patcher.model_options
        self.original_conds: dict[str, list[Cond]] = {}
        self.cfg = 1.0
        self.conds: dict[str, list[Cond]] = {}
        self.inner_model: Any = None
        self.loaded_models: list[Any] = []

    def set_conds(self, positive: Sequence[Any], negative: Sequence[Any]) -> None:
        """What to guide by."""
        self.inner_set_conds({"positive": positive, "negative": negative})

    def set_cfg(self, cfg: float) -> None:
        """How strongly to guide."""
        self.cfg = cfg

    def inner_set_conds(self, conds: Mapping[str, Sequence[Any]]) -> None:
        """CONDITIONING values under names of one's own."""
        for name, cond in conds.items():
            self.original_conds[name] = convert_cond(cond)

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """The guided prediction, as samplers ask for it."""
        return self.outer_predict_noise(*args, **kwargs)

    def outer_predict_noise(
        self,
        x: Tensor,
        timestep: Tensor,
        model_options: Options | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """`predict_noise` inside its wrappers."""
        options = model_options if model_options is not None else {}
        wrappers = get_all_wrappers(WrappersMP.PREDICT_NOISE, options, is_model_options=True)
        executor = WrapperExecutor.new_class_executor(self.predict_noise, self, wrappers)
        result: Tensor = executor.execute(x, timestep, options, seed)
        return result

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor,
        model_options: Options | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """The guided prediction of the clean latent; the name is older than what it says."""
        predict = current("comfy.samplers.sampling_function", sampling_function)
        result: Tensor = predict(
            self.inner_model,
            x,
            timestep,
            self.conds.get("negative"),
            self.conds.get("positive"),
            self.cfg,
            model_options=model_options,
            seed=seed,
        )
        return result

    def inner_sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        device: Any,
        sampler: Any,
        sigmas: Tensor,
        denoise_mask: Tensor | None,
        callback: Callable[..., Any] | None,
        disable_pbar: bool,
        seed: int | None,
        latent_shapes: Any = None,
    ) -> Tensor:
        """A run on the model's device, from raw latent to raw latent."""
        if latent_image is not None and latent_image.count_nonzero():
            # An empty latent stays empty: a shift would turn it into a grey picture.
            latent_image = self.inner_model.process_latent_in(latent_image)
        self.conds = process_conds(
            self.inner_model, noise, self.conds, device, latent_image, denoise_mask, seed
        )
        options = self.model_options
        options.setdefault("transformer_options", {})["sample_sigmas"] = sigmas
        begin_calls(self.inner_model, options)
        has_hooks = begin_run(options, self.conds, self.inner_model.model_sampling)
        wrappers = get_all_wrappers(WrappersMP.SAMPLER_SAMPLE, options, is_model_options=True)
        executor = WrapperExecutor.new_class_executor(sampler.sample, sampler, wrappers)
        with weights_taking_turns(self.inner_model) if has_hooks else nullcontext():
            samples = executor.execute(
                self,
                sigmas,
                {"model_options": options, "seed": seed},
                callback,
                noise,
                latent_image,
                denoise_mask,
                disable_pbar,
            )
        result: Tensor = self.inner_model.process_latent_out(samples.to(torch.float32))
        return result

    def outer_sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: Any,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        callback: Callable[..., Any] | None = None,
        disable_pbar: bool = False,
        seed: int | None = None,
        latent_shapes: Any = None,
    ) -> Tensor:
        """A run with the model prepared."""
        device = self.model_patcher.load_device
        wrappers = get_all_wrappers(
            WrappersMP.PREPARE_SAMPLING, self.model_options, is_model_options=True
        )
        prepare = WrapperExecutor.new_executor(prepare_sampling, wrappers)
        _, self.conds, self.loaded_models = prepare.execute(
            self.model_patcher, noise.shape, self.conds, self.model_options
        )
        if denoise_mask is not None:
            denoise_mask = prepare_mask(denoise_mask, noise.shape, device)
        with torch.no_grad(), self.model_patcher.running() as self.inner_model:
            self.model_patcher.pre_run()
            try:
                return self.inner_sample(
                    noise.to(device, torch.float32),
                    latent_image.to(device, torch.float32),
                    device,
                    sampler,
                    sigmas.to(device),
                    denoise_mask,
                    callback,
                    disable_pbar,
                    seed,
                    latent_shapes=latent_shapes,
                )
            finally:
                self.model_patcher.cleanup()
                self._cleanup_controls()
                self.inner_model = None
                self.loaded_models = []

    def _cleanup_controls(self) -> None:
        for entries in self.conds.values():
            for entry in entries:
                if entry.get("control") is not None:
                    entry["control"].cleanup()

    def sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: Any,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        callback: Callable[..., Any] | None = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> Tensor:
        """Sample along sigmas; latents are in raw VAE units, the result lies on the CPU.

        callback(step, denoised, x, total) may raise to end the run. A joint latent is one row of
        elements to samplers.
        """
        if isinstance(latent_image, JointLatent):
            row = JointRow.of(self.model_patcher, latent_image)
            if denoise_mask is not None:
                denoise_mask = row.mask(denoise_mask)
            made = self._sample(
                row.plain(noise), row.scaled(latent_image), sampler, sigmas, denoise_mask,
                row.reporting(callback), disable_pbar, seed, row.shapes,
            )  # fmt: skip
            return row.parts(made)  # type: ignore[return-value]
        shapes = [tuple(latent_image.shape)]
        return self._sample(
            noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed, shapes
        )

    def _sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: Any,
        sigmas: Tensor,
        denoise_mask: Tensor | None,
        callback: Callable[..., Any] | None,
        disable_pbar: bool,
        seed: int | None,
        latent_shapes: Sequence[tuple[int, ...]],
    ) -> Tensor:
        """`sample` of tensors, in which there are parts of these shapes."""
        if sigmas.shape[-1] == 0:
            return latent_image
        self.conds = {
            name: [{**entry, "latent_shapes": latent_shapes} for entry in entries]
            for name, entries in self.original_conds.items()
        }
        carried = self.model_options
        self.model_options = self.model_patcher.run_options(carried)
        try:
            wrappers = get_all_wrappers(
                WrappersMP.OUTER_SAMPLE, self.model_options, is_model_options=True
            )
            executor = WrapperExecutor.new_class_executor(self.outer_sample, self, wrappers)
            output: Tensor = executor.execute(
                noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed,
                latent_shapes=latent_shapes,
            )  # fmt: skip
            return output.cpu()
        finally:
            self.model_options = carried
            self.conds = {}
