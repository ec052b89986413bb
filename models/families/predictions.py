"""What files of Stable Diffusion's networks say of their noise levels and their output."""

from __future__ import annotations

from typing import Final

from models.errors import UnsupportedLayout
from models.sampling.prediction import EPSILON, VELOCITY, Prediction
from models.sampling.schedule import DiscreteSchedule
from models.weights import Weights

PREDICTIONS: Final[dict[str, Prediction]] = {"epsilon": EPSILON, "v_prediction": VELOCITY}
_PREDICT_KEYS: Final = {"epsilon": "epsilon", "v": "v_prediction"}  # of modelspec

# Keys that trainers put beside the weights: of v prediction, and of a table without signal at its
# end (Lin et al. 2023).
VELOCITY_KEY: Final = "v_pred"
ZERO_SNR_KEY: Final = "ztsnr"


def stated_prediction(weights: Weights) -> Prediction | None:
    """What the file says; None if it says nothing. Raises UnsupportedLayout for other words."""
    stated = weights.config("unet").get("prediction_type")
    if stated is None:
        stated = _PREDICT_KEYS.get(weights.metadata.get("modelspec.predict_key", ""))
    if stated is None and VELOCITY_KEY in weights.tensors:
        stated = "v_prediction"
    if stated is None:
        return None
    if stated not in PREDICTIONS:
        raise UnsupportedLayout(weights.path, f"its prediction type '{stated}' is not known")
    return PREDICTIONS[stated]


def discrete_schedule(weights: Weights, usual: Prediction = EPSILON) -> DiscreteSchedule:
    """The table of all Stable Diffusion; `usual` is predicted where the file says nothing."""
    zero_snr = ZERO_SNR_KEY in weights.tensors or bool(weights.config("unet").get("zero_snr"))
    return DiscreteSchedule.scaled_linear(stated_prediction(weights) or usual, zero_snr=zero_snr)
