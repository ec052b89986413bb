"""SA-Solver."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    functions=(
        "compute_stochastic_adams_b_coeffs compute_simple_stochastic_adams_b_coeffs "
        "get_tau_interval_func"
    ),
)
