"""`model_sampling` objects of latent consistency models (Luo et al. 2023)."""

from __future__ import annotations

from torch import Tensor

from models.protocol.model_sampling import EPS, ModelSamplingDiscrete, reshape_sigma

BOUNDARY_DATA = 0.5  # sigma_data of the boundary conditions
TIME_SCALE = 10.0


class LCM(EPS):
    """The network predicts the noise; near time 0 its input counts as well.

    c_skip and c_out of section 4.1 make the prediction at time 0 the input itself.
    """

    def calculate_denoised(
        self, sigma: Tensor, model_output: Tensor, model_input: Tensor
    ) -> Tensor:
        """The clean latent, from what the network says of the noisy one."""
        clean = super().calculate_denoised(sigma, model_output, model_input)
        time = self.timestep(sigma.flatten()) * TIME_SCALE  # type: ignore[attr-defined]
        time = reshape_sigma(time.to(model_output), model_output.ndim)
        variance = time**2 + BOUNDARY_DATA**2
        return clean * (time / variance.sqrt()) + model_input * (BOUNDARY_DATA**2 / variance)


class ModelSamplingDiscreteDistilled(ModelSamplingDiscrete):
    """The noise levels that a distilled model was trained at: every 20th of 1000."""

    original_timesteps = 50

    def set_sigmas(self, sigmas: Tensor) -> None:
        """Keep those of a whole table that the model knows, the largest among them."""
        self.skip_steps = len(sigmas) // self.original_timesteps
        super().set_sigmas(sigmas[self.skip_steps - 1 :: self.skip_steps])

    def timestep(self, sigma: Tensor) -> Tensor:
        """The time, on the scale of the whole table, of the nearest known level."""
        return super().timestep(sigma) * self.skip_steps + (self.skip_steps - 1)

    def sigma(self, timestep: Tensor) -> Tensor:
        """Log sigma interpolated between known levels."""
        place = (timestep.float() - (self.skip_steps - 1)) / self.skip_steps
        return super().sigma(place.clamp(min=0, max=len(self.sigmas) - 1))
