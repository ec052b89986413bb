"""What packs see of text encoders: the model and tokenizers inside, a patcher of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from models.devices import HOME
from models.network import WeightPatch
from models.protocol.patcher import ModelPatcher
from models.protocol.tokens import as_chunks, as_tokens, from_pairs
from models.text.tokenizer import PromptTokenizer

if TYPE_CHECKING:
    from models.text.encoder import TextEncoder
    from models.text.handle import TextHandle


class EncoderModel(nn.Module):
    """One encoder in a text model: `clip_l`, `clip_g`, `t5xxl`."""

    handle: TextHandle
    encoder: TextEncoder

    def __init__(self, handle: TextHandle, encoder: TextEncoder) -> None:
        super().__init__()
        self.__dict__.update(handle=handle, encoder=encoder)

    @property
    def transformer(self) -> Any:
        """The network."""
        return self.encoder.network.module

    @property
    def layer_idx(self) -> int | None:
        """Which layer speaks; None: the family's."""
        layer: int | None = self.handle.layer
        return getattr(self.encoder, "layer", None) if layer is None else layer

    def encode_token_weights(self, token_weight_pairs: Any) -> tuple[Tensor, Tensor | None]:
        """(cond, pooled) of this encoder's tokens, not joined with what others say."""
        pairs = token_weight_pairs
        if isinstance(pairs, Mapping):
            pairs = pairs[self.encoder.key]
        encoded: tuple[Tensor, Tensor | None] = self.encoder.encode(
            from_pairs(pairs), self.handle.policy, layer=self.handle.layer
        )
        return encoded


class TextModel(nn.Module):
    """`cond_stage_model` of a handle, with its encoders by their names."""

    handle: TextHandle

    def __init__(self, handle: TextHandle) -> None:
        super().__init__()
        encoders = list(handle.encoders.values())
        self.__dict__["handle"] = handle
        self.__dict__.update({e.name: EncoderModel(handle, e) for e in encoders})
        self.dtypes = {encoder.network.dtype for encoder in encoders}
        self.clip_name = self.clip = encoders[0].name

    @classmethod
    def of(cls, handle: TextHandle) -> TextModel:
        """The text model of a handle, of the class of its family."""
        return MODELS.get(handle.combination.name, TextModel)(handle)

    @property
    def transformer(self) -> Any:
        """The network of the first encoder."""
        return next(iter(self.handle.encoders.values())).network.module

    @property
    def layer_idx(self) -> int | None:
        """Which layer of the first encoder speaks."""
        layer: int | None = getattr(self, self.clip_name).layer_idx
        return layer

    def encode_token_weights(self, token_weight_pairs: Any) -> tuple[Tensor, Tensor]:
        """(cond, pooled) of tokens."""
        tokens = token_weight_pairs
        if not isinstance(tokens, Mapping):
            tokens = {next(iter(self.handle.encoders)): tokens}
        result: tuple[Tensor, Tensor] = self.handle.encode_chunks(as_chunks(tokens))
        return result

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """The weights, under the names that packs know."""
        return {
            outer: self.handle.encoders[key].network.stored(name)
            for outer, (key, name) in weight_names(self.handle).items()
        }

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """The weights as they are now."""
        for encoder in self.handle.encoders.values():
            begin = ".".join(filter(None, (prefix, encoder.name, "transformer")))
            yield from encoder.network.module.named_parameters(begin)


class SD1ClipModel(TextModel):
    """Of Stable Diffusion 1."""


class SD2ClipModel(TextModel):
    """Of Stable Diffusion 2."""


class SDXLClipModel(TextModel):
    """Of SDXL."""


class SDXLRefinerClipModel(TextModel):
    """Of SDXL's refiner."""


class SD3ClipModel(TextModel):
    """Of Stable Diffusion 3."""


class FluxClipModel(TextModel):
    """Of Flux."""


MODELS: dict[str, type[TextModel]] = {
    "sd1": SD1ClipModel,
    "sd2": SD2ClipModel,
    "sdxl": SDXLClipModel,
    "sdxl_refiner": SDXLRefinerClipModel,
    "sd3": SD3ClipModel,
    "flux": FluxClipModel,
}


class Tokenizers:
    """`tokenizer` of a handle, with its encoders' own by their names."""

    def __init__(self, handle: TextHandle) -> None:
        self._handle = handle

    def __getattr__(self, name: str) -> PromptTokenizer:
        handle: TextHandle | None = self.__dict__.get("_handle")  # None while it is copied
        for encoder in handle.encoders.values() if handle is not None else ():
            if encoder.name == name:
                return encoder.tokenizer
        raise AttributeError(f"this model has no text encoder '{name}'")

    @property
    def embedding_directory(self) -> list[str]:
        """The folders of embeddings."""
        first = next(iter(self._handle.encoders.values()))
        return [str(folder) for folder in first.tokenizer.embedding_folders]

    def tokenize_with_weights(
        self, text: str, return_word_ids: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        """``{"l": [[(id or embedding, weight), ...], ...]}``."""
        return as_tokens(self._handle.chunks(text), return_word_ids)


def weight_names(handle: TextHandle) -> dict[str, tuple[str, str]]:
    """Names that packs know -> (encoder, name in its network)."""
    return {
        f"{encoder.name}.transformer.{encoder.outer_name(name)}": (key, name)
        for key, encoder in handle.encoders.items()
        for name in encoder.network.names()
    }


class TextPatcher(ModelPatcher):
    """The patcher of a text handle: its patches are the handle's, by the names that packs know.

    Moving and patching is the networks' own business; see models.network.
    """

    def __init__(self, handle: TextHandle) -> None:
        super().__init__(None, handle.policy.text_device, torch.device("cpu"))
        self._handle = handle
        self._names = weight_names(handle)
        self.is_clip = True
        self.patches = self._of_handle()

    def _of_handle(self) -> dict[str, tuple[WeightPatch, ...]]:
        encoders = self._handle.encoders
        return {
            outer: tuple(encoders[key].patches[name])
            for outer, (key, name) in self._names.items()
            if name in encoders[key].patches
        }

    @property
    def model(self) -> Any:
        """The text model."""
        return self._handle.cond_stage_model

    @property
    def current_device(self) -> torch.device:
        """Where the weights of the first encoder are now."""
        return next(iter(self._handle.encoders.values())).network.device

    def model_size(self) -> int:
        """Bytes of all weights."""
        return sum(encoder.network.size() for encoder in self._handle.encoders.values())

    def model_dtype(self) -> torch.dtype:
        """The type of the first encoder's weights."""
        return next(iter(self._handle.encoders.values())).network.dtype

    def clone(self, **changes: Any) -> Self:
        """A patcher of a clone of the handle."""
        made = super().clone(**changes)
        made._handle = self._handle.clone()
        return made

    def weight_names(self) -> Mapping[str, str]:
        """The names that packs know."""
        return {name: name for name in self._names}

    def weight(self, name: str) -> Tensor:
        """A weight as its file has it."""
        key, inner = self._names[name]
        return self._handle.encoders[key].network.stored(inner)

    def _add(self, patches: Mapping[str, Sequence[WeightPatch]]) -> None:
        self.patches = self._of_handle()
        super()._add(patches)
        added: dict[str, dict[str, Sequence[WeightPatch]]] = {}
        for outer, changes in patches.items():
            key, name = self._names[outer]
            added.setdefault(key, {})[name] = changes
        self._handle.encoders = self._handle.with_patches(added).encoders

    def patch_model(
        self,
        device_to: torch.device | None = None,
        lowvram_model_memory: int = 0,
        load_weights: bool = True,
        force_patch_weights: bool = False,
    ) -> Any:
        """Have the patches in the networks, and the networks on a device."""
        for encoder in self._handle.encoders.values():
            if load_weights:
                encoder.network.patch(encoder.patches)
            if device_to is not None:
                self._handle.policy.residents.use(encoder.network, torch.device(device_to))
        return self.model

    def unpatch_model(
        self, device_to: torch.device | None = None, unpatch_weights: bool = True
    ) -> None:
        """Send the networks home; weights change back when another handle computes."""
        if device_to is None:
            return
        residents = self._handle.policy.residents
        for encoder in self._handle.encoders.values():
            if torch.device(device_to) == HOME:
                residents.evict(encoder.network)
            else:
                residents.use(encoder.network, torch.device(device_to))
