"""VisionHandle: what flows through CLIP_VISION sockets, and what it makes of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import PartMissing
from models.families.clip_vision import build_clip_vision
from models.families.siglip_vision import build_siglip_vision
from models.memory import Policy
from models.network import Network
from models.protocol.network_patcher import NetworkPatcher
from models.weights import Weights, open_weights


@dataclass(frozen=True)
class Colours:
    """Mean and standard deviation of red, green and blue, by which an encoder's pictures differ."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


# Of the pictures that CLIP was trained with (Radford et al. 2021).
CLIP: Final = Colours((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
SIGLIP: Final = Colours((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class VisionOutput(dict[str, Any]):
    """What an encoder says of pictures; packs read it by attribute and by key.

    last_hidden_state and penultimate_hidden_states [B, T, D], image_embeds [B, P] if the encoder
    sums a picture up, image_sizes [(height, width, channels), ...].
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True, kw_only=True)
class VisionHandle:
    """A reference to a loaded image encoder."""

    network: Network[Any]  # of transformers: CLIP or SigLIP
    policy: Policy
    colours: Colours = CLIP

    @property
    def image_size(self) -> int:
        """Pixels along each side of what the network sees."""
        return int(self.network.module.config.image_size)

    @property
    def model(self) -> Any:
        """The network."""
        return self.network.module

    @property
    def patcher(self) -> NetworkPatcher:
        """The patcher of its weights."""
        return NetworkPatcher(self.network, self.policy.text_device)

    @property
    def load_device(self) -> torch.device:
        """Where it computes."""
        return self.policy.text_device

    def get_sd(self) -> dict[str, Tensor]:
        """The weights."""
        return dict(self.network.module.state_dict())

    def encode_image(self, image: Tensor, crop: bool = True) -> VisionOutput:
        """What the encoder says of pictures [B, H, W, C >= 3] in 0..1; float32 on the CPU."""
        pixels = clip_pixels(image, self.image_size, crop=crop, colours=self.colours)
        device, dtype = self.policy.text_device, self.network.dtype
        with self.policy.using(self.network, device) as model:
            said = model(pixel_values=pixels.to(device, dtype), output_hidden_states=True)
        embeds = said.get("image_embeds", said.get("pooler_output"))
        summary = {} if embeds is None else {"image_embeds": embeds.cpu().float()}
        return VisionOutput(
            summary,
            last_hidden_state=said.last_hidden_state.cpu().float(),
            penultimate_hidden_states=said.hidden_states[-2].cpu().float(),
            image_sizes=[tuple(picture.shape) for picture in image],
        )


def clip_pixels(image: Tensor, size: int, *, crop: bool, colours: Colours = CLIP) -> Tensor:
    """Pictures [B, H, W, C >= 3] in 0..1 as CLIP takes them, [B, 3, size, size].

    With `crop` the shorter side fits and the longer is cut around the centre; without, the picture
    is squeezed. Colours are rounded to 8 bits, as those of the pictures in training were.
    """
    pixels = image[..., :3].movedim(-1, 1)
    height, width = pixels.shape[-2:]
    if (height, width) != (size, size):
        scale = size / min(height, width)
        target = (round(scale * height), round(scale * width)) if crop else (size, size)
        pixels = functional.interpolate(pixels, size=target, mode="bicubic", antialias=True)
        top, left = (pixels.shape[-2] - size) // 2, (pixels.shape[-1] - size) // 2
        pixels = pixels[..., top : top + size, left : left + size]
    pixels = pixels.mul(255).clamp(0, 255).round().div(255)
    mean, deviation = (
        pixels.new_tensor(values).reshape(3, 1, 1) for values in (colours.mean, colours.deviation)
    )
    return (pixels - mean) / deviation


def load_vision(path: Path, policy: Policy) -> VisionHandle:
    """The image encoder of a file. Raises ModelFileError."""
    return policy.library.fetch(
        ("image encoder", policy), (path,), lambda: vision_of(open_weights(path), policy)
    )


def vision_of(weights: Weights, policy: Policy) -> VisionHandle:
    """The image encoder of an opened file."""
    siglip = build_siglip_vision(weights, policy.text_dtype)
    if siglip is not None:
        return VisionHandle(network=siglip, policy=policy, colours=SIGLIP)
    network = build_clip_vision(weights, policy.text_dtype)
    if network is None:
        raise PartMissing(weights.path, "CLIP image encoder")
    return VisionHandle(network=network, policy=policy)
