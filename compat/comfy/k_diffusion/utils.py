"""Small helpers of k-diffusion."""

from models.protocol.k_diffusion import append_dims as append_dims
