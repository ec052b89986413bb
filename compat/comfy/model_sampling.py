"""Noise levels and parametrisations of models."""

from models.protocol.model_sampling import CONST as CONST
from models.protocol.model_sampling import COSMOS_RFLOW as COSMOS_RFLOW
from models.protocol.model_sampling import EDM as EDM
from models.protocol.model_sampling import EPS as EPS
from models.protocol.model_sampling import IMG_TO_IMG as IMG_TO_IMG
from models.protocol.model_sampling import V_PREDICTION as V_PREDICTION
from models.protocol.model_sampling import X0 as X0
from models.protocol.model_sampling import ModelSamplingContinuousEDM as ModelSamplingContinuousEDM
from models.protocol.model_sampling import ModelSamplingContinuousV as ModelSamplingContinuousV
from models.protocol.model_sampling import ModelSamplingCosmosRFlow as ModelSamplingCosmosRFlow
from models.protocol.model_sampling import ModelSamplingDiscrete as ModelSamplingDiscrete
from models.protocol.model_sampling import ModelSamplingDiscreteEDM as ModelSamplingDiscreteEDM
from models.protocol.model_sampling import ModelSamplingDiscreteFlow as ModelSamplingDiscreteFlow
from models.protocol.model_sampling import ModelSamplingFlux as ModelSamplingFlux
from models.protocol.model_sampling import StableCascadeSampling as StableCascadeSampling
from models.protocol.model_sampling import (
    rescale_zero_terminal_snr_sigmas as rescale_zero_terminal_snr_sigmas,
)
from models.protocol.model_sampling import reshape_sigma as reshape_sigma


def time_snr_shift(alpha: float, t: float) -> float:
    """A flow time bent by a shift (Esser et al. 2024, equation 23)."""
    return t if alpha == 1.0 else alpha * t / (1 + (alpha - 1) * t)


def flux_time_shift(mu: float, sigma: float, t: float) -> float:
    """A flow time bent by exp(mu)."""
    import math

    bend = math.exp(mu)
    return bend / (bend + float((1 / t - 1) ** sigma))
