"""BaseModel: a denoiser as packs see it, with its latent space and parametrisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import InvalidInput
from models.protocol import model_sampling as sampling_objects
from models.protocol.conds import CONDCrossAttn, CONDNoiseShape, CONDRegular
from models.protocol.extension import WrapperExecutor, WrappersMP, get_all_wrappers
from models.protocol.latent_formats import LatentFormat
from models.weights import Weights


class ModelType(Enum):
    """What a network predicts."""

    EPS = 1
    V_PREDICTION = 2
    V_PREDICTION_EDM = 3
    STABLE_CASCADE = 4
    EDM = 5
    FLOW = 6
    V_PREDICTION_CONTINUOUS = 7
    FLUX = 8
    IMG_TO_IMG = 9
    FLOW_COSMOS = 10


_TYPES: dict[ModelType, tuple[type, type]] = {
    ModelType.EPS: (sampling_objects.ModelSamplingDiscrete, sampling_objects.EPS),
    ModelType.V_PREDICTION: (sampling_objects.ModelSamplingDiscrete, sampling_objects.V_PREDICTION),
    ModelType.V_PREDICTION_EDM: (
        sampling_objects.ModelSamplingContinuousEDM, sampling_objects.V_PREDICTION,
    ),
    ModelType.STABLE_CASCADE: (sampling_objects.StableCascadeSampling, sampling_objects.EPS),
    ModelType.EDM: (sampling_objects.ModelSamplingContinuousEDM, sampling_objects.EDM),
    ModelType.FLOW: (sampling_objects.ModelSamplingDiscreteFlow, sampling_objects.CONST),
    ModelType.V_PREDICTION_CONTINUOUS: (
        sampling_objects.ModelSamplingContinuousV, sampling_objects.V_PREDICTION,
    ),
    ModelType.FLUX: (sampling_objects.ModelSamplingFlux, sampling_objects.CONST),
    ModelType.IMG_TO_IMG: (sampling_objects.ModelSamplingDiscrete, sampling_objects.IMG_TO_IMG),
    ModelType.FLOW_COSMOS: (
        sampling_objects.ModelSamplingCosmosRFlow, sampling_objects.COSMOS_RFLOW,
    ),
}  # fmt: skip


def model_sampling(model_config: Any, model_type: ModelType) -> Any:
    """A new `model_sampling` object for a type of prediction."""
    table, prediction = _TYPES[model_type]
    return type("ModelSampling", (table, prediction), {})(model_config)


def model_type(sampling: Any) -> ModelType:
    """The type of a `model_sampling` object made of one of ours."""
    made_of = type(sampling).__bases__
    return next((kind for kind, found in _TYPES.items() if found == made_of), ModelType.EPS)


class BaseModel(nn.Module):
    """A denoiser; packs derive models of their own from it.

    `extra_conds` says which inputs of the network the options of a CONDITIONING stand for.
    """

    diffusion_model: Any

    # Whether `extra_conds` gives tensors with a row for each item and nothing of the latent's
    # shape, and leaves the context as it is: if not, models.handle takes the long way.
    is_plain = True
    # Whether prompts of different lengths share a call, the shorter ones repeated. Attention to the
    # prompt alone does not notice; where the prompt is attended to beside the picture, it would.
    stretches_context = True

    @classmethod
    def for_channels(cls, in_channels: int, latent_channels: int) -> type[BaseModel]:
        """The class for a network that sees so many channels."""
        return cls

    def __init__(
        self,
        model_config: Any,
        model_type: ModelType = ModelType.EPS,
        device: Any = None,
        unet_model: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.model_config = model_config
        self.model_type = model_type
        self.latent_format: LatentFormat = getattr(model_config, "latent_format", LatentFormat())
        self.manual_cast_dtype = getattr(model_config, "manual_cast_dtype", None)
        self.device = device
        self.current_patcher: Any = None
        self.adm_channels = 0
        self.concat_keys: tuple[str, ...] = ()
        self.inpaint_model = False
        self.memory_usage_factor = getattr(model_config, "memory_usage_factor", 2.0)
        if unet_model is not None:
            config = dict(getattr(model_config, "unet_config", {}))
            if not config.pop("disable_unet_model_creation", False):
                self.diffusion_model = unet_model(**config, device=device)
        self.model_sampling = model_sampling(model_config, model_type)

    # What a file holds for it beside the network

    def take_from(self, weights: Weights) -> None:
        """What else of its file it needs; nothing."""

    def marks(self) -> dict[str, Tensor]:
        """What a file holds of that, under its names there."""
        return {}

    # What a run asks of it

    def apply_model(
        self,
        x: Tensor,
        t: Tensor,
        c_concat: Tensor | None = None,
        c_crossattn: Tensor | None = None,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The clean latent, predicted for x [B, C, ...] at noise levels t [B]."""
        options = transformer_options if transformer_options is not None else {}
        executor = WrapperExecutor.new_class_executor(
            self._apply_model, self, get_all_wrappers(WrappersMP.APPLY_MODEL, options)
        )
        result: Tensor = executor.execute(x, t, c_concat, c_crossattn, control, options, **kwargs)
        return result

    def _apply_model(
        self,
        x: Tensor,
        t: Tensor,
        c_concat: Tensor | None = None,
        c_crossattn: Tensor | None = None,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        sampling = self.model_sampling
        seen = sampling.calculate_input(t, x)
        if c_concat is not None:
            seen = torch.cat([seen, c_concat.to(seen)], dim=1)
        time = self.process_timestep(sampling.timestep(t), x=x, **kwargs)
        output = self.diffusion_model(
            seen,
            time,
            context=c_crossattn,
            control=control,
            transformer_options=transformer_options or {},
            **kwargs,
        )
        result: Tensor = sampling.calculate_denoised(t, output.to(x.device, torch.float32), x)
        return result

    def process_timestep(self, timestep: Tensor, **kwargs: Any) -> Tensor:
        """What the network is told; models may change it."""
        return timestep

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """The network's inputs that a conditioning stands for, as COND objects."""
        found: dict[str, Any] = {}
        if kwargs.get("cross_attn") is not None:
            kind = CONDCrossAttn if self.stretches_context else CONDRegular
            found["c_crossattn"] = kind(kwargs["cross_attn"].to(kwargs["device"]))
        concat = self.concat_cond(**kwargs)
        if concat is not None:
            found["c_concat"] = CONDNoiseShape(concat)
        vector = self.encode_adm(**kwargs)
        if vector is not None:
            found["y"] = CONDRegular(vector)
        return found

    def extra_conds_shapes(self, **kwargs: Any) -> dict[str, Any]:
        """Shapes of further inputs, for estimates of memory."""
        return {}

    def concat_cond(self, **kwargs: Any) -> Tensor | None:
        """Channels beside the latent; none."""
        return None

    def encode_adm(self, **kwargs: Any) -> Tensor | None:
        """The class vector [B, adm_channels], the network's `y`; none."""
        return None

    def is_adm(self) -> bool:
        """Whether it takes a class vector."""
        return self.adm_channels > 0

    # Latents

    def process_latent_in(self, latent: Tensor) -> Tensor:
        """Raw VAE units to model space."""
        return self.latent_format.process_in(latent)

    def process_latent_out(self, latent: Tensor) -> Tensor:
        """Model space to raw VAE units."""
        return self.latent_format.process_out(latent)

    def scale_latent_inpaint(
        self, sigma: Tensor, noise: Tensor, latent_image: Tensor, **kwargs: Any
    ) -> Tensor:
        """The known part of a latent at a noise level."""
        result: Tensor = self.model_sampling.noise_scaling(sigma, noise, latent_image)
        return result

    # Devices and memory

    def get_dtype(self) -> torch.dtype:
        """The type of the network's weights."""
        dtype: torch.dtype = self.diffusion_model.dtype
        return dtype

    def get_dtype_inference(self) -> torch.dtype:
        """The type that it computes in."""
        return self.manual_cast_dtype or self.get_dtype()

    def memory_required(
        self, input_shape: Sequence[int], cond_shapes: Mapping[str, Any] | None = None
    ) -> float:
        """Bytes that a call needs beside the weights, roughly."""
        area = input_shape[0]
        for side in input_shape[2:]:
            area *= side
        return float(area * self.get_dtype().itemsize * 0.01 * 1024 * self.memory_usage_factor)

    def load_model_weights(self, sd: dict[str, Tensor], unet_prefix: str = "") -> BaseModel:
        """Fill the network from a state dict."""
        below = {
            name.removeprefix(unet_prefix): tensor
            for name, tensor in sd.items()
            if name.startswith(unet_prefix)
        }
        self.diffusion_model.load_state_dict(below, strict=False)
        return self

    def set_inpaint(self) -> None:
        """Treat it as a model for inpainting."""
        raise InvalidInput("this network has no channels for a mask")


def our_config(family: str, latent_format: LatentFormat, unet_config: Mapping[str, Any]) -> Any:
    """The `model_config` of a model of ours: what packs read of it."""
    return SimpleNamespace(
        family=family,
        unet_config=dict(unet_config),
        unet_extra_config={},
        sampling_settings={},
        latent_format=latent_format,
        manual_cast_dtype=None,
        memory_usage_factor=1.0,
        supported_inference_dtypes=[torch.float16, torch.bfloat16, torch.float32],
        custom_operations=None,
        scaled_fp8=None,
        optimizations={},
    )
