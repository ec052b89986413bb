"""SA-Solver."""

from comfy.not_yet import absent

from models.sampling.samplers.sa_solver import tau_between_levels as get_tau_interval_func

__all__ = ["get_tau_interval_func"]

__getattr__ = absent(
    __name__,
    functions="compute_stochastic_adams_b_coeffs compute_simple_stochastic_adams_b_coeffs",
)
