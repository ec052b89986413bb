"""What packs see of a text encoder: tokens as dicts, the model inside, a patcher of its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from models.errors import InvalidInput
from models.protocol.network_patcher import NetworkPatcher
from models.text.chunks import Token

if TYPE_CHECKING:
    from models.text.handle import TextHandle

ENCODER = "l"  # the key of the tokens
NAME = "clip_l"  # and of the model
Tokens = Mapping[str, Sequence[Sequence[tuple[Any, ...]]]]


def as_tokens(chunks: Sequence[Sequence[Token]], with_word_ids: bool = False) -> dict[str, Any]:
    """Chunks as ``{"l": [[(id or embedding, weight), ...], ...]}``."""
    return {
        ENCODER: [
            [
                (t.value, t.weight, t.group) if with_word_ids else (t.value, t.weight)
                for t in chunk
            ]
            for chunk in chunks
        ]
    }  # fmt: skip


def as_chunks(tokens: Tokens) -> list[list[Token]]:
    """The inverse; raises InvalidInput for tokens of other encoders."""
    if ENCODER not in tokens:
        raise InvalidInput(
            f"these tokens are for other text encoders ({', '.join(tokens) or 'none'})"
        )
    return [
        [Token(value, float(weight), *(int(n) for n in more[:1])) for value, weight, *more in chunk]
        for chunk in tokens[ENCODER]
    ]


class TextModel(nn.Module):
    """`cond_stage_model` of a handle, and `clip_l` in it."""

    handle: TextHandle

    def __init__(self, handle: TextHandle) -> None:
        super().__init__()
        self.__dict__["handle"] = handle
        self.dtypes = {handle.network.dtype}
        self.clip_name = NAME
        self.clip = NAME

    @property
    def clip_l(self) -> TextModel:
        """The encoder itself."""
        return self

    @property
    def transformer(self) -> Any:
        """The network."""
        return self.handle.network.module

    @property
    def layer_idx(self) -> int:
        """Which layer speaks."""
        return int(self.handle.layer)

    def encode_token_weights(self, token_weight_pairs: Any) -> tuple[Tensor, Tensor]:
        """(cond, pooled) of tokens."""
        tokens = token_weight_pairs
        found = tokens if isinstance(tokens, Mapping) else {ENCODER: tokens}
        result: tuple[Tensor, Tensor] = self.handle.encode_chunks(as_chunks(found))
        return result

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """The weights, under the names that packs know."""
        network = self.handle.network
        return {outer: network.stored(name) for outer, name in weight_names(self.handle).items()}

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """The weights as they are now."""
        yield from self.handle.network.module.named_parameters(prefix)


def weight_names(handle: TextHandle) -> dict[str, str]:
    """Names that packs know -> names in the network."""
    return {
        f"{NAME}.transformer.text_model.{name.removeprefix('text_model.')}": name
        for name in handle.network.names()
    }


class TextPatcher(NetworkPatcher):
    """The patcher of a text handle: its patches are the handle's."""

    def __init__(self, handle: TextHandle) -> None:
        super().__init__(handle.network, handle.policy.text_device)
        self._handle = handle
        self.is_clip = True
        self.patches = handle.patches

    @property
    def model(self) -> Any:
        """The text model."""
        return self._handle.cond_stage_model

    def weight_names(self) -> Mapping[str, str]:
        """Names that packs know -> names in the network."""
        return weight_names(self._handle)

    def add_patches(
        self, patches: Mapping[Any, Any], strength_patch: float = 1.0, strength_model: float = 1.0
    ) -> list[Any]:
        """Patch the handle's weights."""
        self.patches = self._handle.patches
        used = super().add_patches(patches, strength_patch, strength_model)
        self._handle.patches = self.patches
        return used
