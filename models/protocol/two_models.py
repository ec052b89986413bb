"""A guider whose negative side is predicted by a model of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from models.protocol.calculate import Cond, begin_calls, calc_cond_batch
from models.protocol.guider import CFGGuider
from models.protocol.hooked import begin_run, weights_taking_turns
from models.protocol.options import Options
from models.protocol.process import process_conds
from models.protocol.replaced import current

Prompt = Sequence[Any]  # a CONDITIONING


class DualModelGuider(CFGGuider):
    """Classifier-free guidance of one model away from another one.

    Both see the same latents: they have one latent space and one kind of noise levels.
    """

    def __init__(self, model_patcher: Any, model_negative: Any) -> None:
        super().__init__(model_patcher)
        self.model_negative = model_negative
        self._negative: list[Cond] = []
        self._options: Options = {}

    def set_conds(self, positive: Prompt, negative: Prompt | None) -> None:
        """What to guide by; None: what the second model predicts without being told anything."""
        self.inner_set_conds(
            {"positive": positive, "negative": [[None, {}]] if negative is None else negative}
        )

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
        """A run with the negative side prepared for the second model."""
        self._options = self.model_negative.run_options()
        self._options["transformer_options"]["sample_sigmas"] = sigmas
        with self.model_negative.running() as model:
            latent = latent_image
            if latent.count_nonzero():
                latent = model.process_latent_in(latent)
            placed = process_conds(model, noise, self.conds, device, latent, denoise_mask, seed)
            self._negative = placed["negative"]
            begin_calls(model, self._options)
            begin_run(self._options, {"negative": self._negative}, model.model_sampling)
        self.model_negative.pre_run()
        try:
            with weights_taking_turns(self.inner_model):
                return super().inner_sample(
                    noise, latent_image, device, sampler, sigmas, denoise_mask, callback,
                    disable_pbar, seed, latent_shapes,
                )  # fmt: skip
        finally:
            self.model_negative.cleanup()
            self._negative, self._options = [], {}

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor,
        model_options: Options | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """The guided prediction of the clean latent."""
        options = {**(model_options or {}), "sampler_calc_cond_batch_function": self._each}
        return super().predict_noise(x, timestep, options, seed)

    def _each(self, args: dict[str, Any]) -> list[Tensor]:
        """Predictions of the positive side, and of the negative one unless it is left out."""
        calculate = current("comfy.samplers.calc_cond_batch", calc_cond_batch)
        positive, negative = args["conds"]
        x, timestep = args["input"], args["sigma"]
        [towards] = calculate(args["model"], [positive], x, timestep, args["model_options"])
        if negative is None:
            return [towards, torch.zeros_like(towards)]
        # Entered anew for each call: both may be clones of one model.
        with self.model_negative.running() as model:
            [away] = calculate(model, [self._negative], x, timestep, self._options)
        return [towards, away]
