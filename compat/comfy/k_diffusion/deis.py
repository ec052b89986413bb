"""DEIS."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    functions="get_deis_coeff_list edm2t cal_poly t2alpha_fn",
)
