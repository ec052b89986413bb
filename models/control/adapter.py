"""T2I-Adapter: features of a picture, added to a UNet's blocks on the way down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from torch import Tensor

from models.control.hint import fitted_hint
from models.control.network_control import NetworkControl
from models.errors import InvalidInput
from models.families.ldm_control import XL_ADAPTER
from models.memory import Policy
from models.network import Network
from models.protocol.control import Control
from models.protocol.denoiser import Denoiser
from models.protocol.unet import UNetModel

if TYPE_CHECKING:
    from diffusers import T2IAdapter as Adapter

# Residual blocks that a level of a UNet has on the way down, unless the UNet says so itself.
_USUAL_BLOCKS: Final = 2


class T2IAdapter(NetworkControl):
    """A network with its hint (Mou et al. 2023); copies share the network."""

    network: Network[Adapter]

    def __init__(self, network: Network[Adapter], policy: Policy) -> None:
        super().__init__(policy, network)
        self._features: tuple[Tensor, list[Tensor]] | None = None  # of which hint
        self._blocks = _USUAL_BLOCKS

    @property
    def t2i_model(self) -> Any:
        """The module."""
        return self.network.module

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """A run begins, of a UNet with so many blocks a level."""
        super().pre_run(model, percent_to_timestep_function)
        denoiser = model.diffusion_model
        if isinstance(denoiser, UNetModel):
            self._blocks = int(denoiser.network.module.config.layers_per_block)
        elif isinstance(denoiser, Denoiser):
            raise InvalidInput("this T2I-Adapter is for UNets, and the model is a transformer")

    def cleanup(self) -> None:
        """A run is over."""
        super().cleanup()
        self._features = None

    def residuals(self, x: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int) -> Control:
        """The features, for the blocks of the UNet that they are added after.

        As packs have it, `input` ends with what the first block gets.
        """
        features = self._all_features(x, batched_number)
        is_xl = self.network.module.config.adapter_type == XL_ADAPTER
        parts = _of_xl(features, self._blocks) if is_xl else _of_levels(features, self._blocks)
        middle = features[3:] if is_xl else []
        return {"input": parts[::-1], "middle": [*middle], "output": []}

    def _all_features(self, x: Tensor, batched_number: int) -> list[Tensor]:
        """They depend on the hint alone, so that one evaluation serves all steps."""
        device, module = self.policy.device, self.network.module
        channels = int(module.config.in_channels)
        hint = fitted_hint(self, x, batched_number, channels)
        if self._features is None or self._features[0].shape != hint.shape:
            with self.policy.using(self.network, device) as adapter:
                self._features = (hint, adapter(hint.to(device, self.network.dtype)))
        return self._features[1]


def _of_levels(features: Sequence[Tensor], blocks: int) -> list[Tensor | None]:
    """Features for the last residual block of each level, which has so many.

    The first block comes before all levels, and each level but the last ends with a step down:
    features are added after the block before it.
    """
    parts: list[Tensor | None] = []
    for feature in features:
        parts += [*[None] * blocks, feature]
    return parts


def _of_xl(features: Sequence[Tensor], blocks: int) -> list[Tensor | None]:
    """Features as diffusers places SDXL's; the fourth is for the middle.

    The first one is half as fine as the first level: it is added after the step down.
    """
    parts: list[Tensor | None] = [None] * (3 * blocks + 3)
    places = (blocks + 1, 2 * blocks + 1, 3 * blocks + 2)
    for place, feature in zip(places, features, strict=False):
        parts[place] = feature
    return parts
