"""TextHandle: what flows through CLIP sockets."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.memory import Policy
from models.network import Network, Patches, WeightPatch
from models.protocol.hooks import (
    HookGroup,
    WeightHook,
    merged,
    parts_of_run,
    strength_at,
)
from models.protocol.text import TextModel, TextPatcher, Tokens, as_chunks, as_tokens
from models.text.chunks import Token
from models.text.clip import encode_clip
from models.text.tokenizer import PromptTokenizer
from models.text.weighting import encode_weighted

if TYPE_CHECKING:
    from transformers import CLIPTextModel

# The value on CONDITIONING sockets: pairs of an encoded prompt [1, T, D] and its options.
Conditioning = list[list[Any]]


@dataclass(frozen=True, kw_only=True)
class TextHooks:
    """Hooks of a text encoder."""

    group: HookGroup
    on_conditioning: bool  # whether what is encoded carries the hooks to the sampler
    is_scheduled: bool  # encode anew for each part of the run in which strengths differ


@dataclass(kw_only=True, eq=False)
class TextHandle:
    """A reference to a loaded CLIP text encoder and its tokenizer.

    A node changes nothing but a clone that it made; all clones share the weights.
    """

    network: Network[CLIPTextModel]
    tokenizer: PromptTokenizer
    policy: Policy
    layer: int = -1  # which layer's output is used, from the end
    patches: Patches = field(default_factory=dict)
    hooks: TextHooks | None = None

    def clone(self, **changes: Any) -> TextHandle:
        """A handle on the same weights, with some fields replaced."""
        made = copy.copy(self)
        for name, value in changes.items():
            setattr(made, name, value)
        return made

    def with_layer(self, layer: int) -> TextHandle:
        """A handle that uses the n-th last layer, written -n."""
        return self.clone(layer=layer)

    def with_patches(self, patches: Patches) -> TextHandle:
        """A handle whose weights also have these patches, made after those it has."""
        merged: dict[str, tuple[WeightPatch, ...]] = {k: tuple(v) for k, v in self.patches.items()}
        for name, changes in patches.items():
            merged[name] = (*merged.get(name, ()), *changes)
        return self.clone(patches=merged)

    def chunks(self, text: str) -> list[list[Token]]:
        """Chunks of 77 tokens."""
        return self.tokenizer.tokenize(text)

    def encode_chunks(
        self, tokens: Sequence[Sequence[Token]], percent: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """(cond [1, 77 chunks, D], pooled [1, D]) of chunks; float32 on the CPU.

        Hooks are as strong as at that part of a run.
        """
        self.network.patch(self._patches_at(percent))
        with self.policy.using(self.network, self.policy.text_device) as model:

            def encode_rows(rows: Sequence[Sequence[Token]]) -> tuple[Tensor, Tensor]:
                chunk_format = self.tokenizer.chunk_format
                hidden, pooled = encode_clip(
                    model,
                    rows,
                    end=chunk_format.end,
                    pad=chunk_format.pad,
                    layer=self.layer,
                    dtype=self.policy.text_dtype,
                )
                return hidden.to("cpu", torch.float32), pooled.to("cpu", torch.float32)

            cond, pooled = encode_weighted(tokens, self.tokenizer.chunk_format, encode_rows)
        assert pooled is not None
        return cond, pooled

    def encode_text(self, text: str, options: Mapping[str, Any] | None = None) -> Conditioning:
        """The CONDITIONING of a prompt."""
        return self._conditioning(self.chunks(text), options)

    def _patches_at(self, percent: float) -> Patches:
        if self.hooks is None:
            return self.patches
        tables = [
            hook.text_patches(self.network, strength_at(hook.hook_keyframe, percent))
            for hook in self.hooks.group.hooks
            if isinstance(hook, WeightHook)
        ]
        return merged([self.patches, *tables])

    def _conditioning(
        self, chunks: Sequence[Sequence[Token]], options: Mapping[str, Any] | None
    ) -> Conditioning:
        """One entry, or one for each part of the run in which scheduled hooks differ."""
        hooks = self.hooks
        carried = dict(options or {})
        if hooks is not None and hooks.on_conditioning:
            carried["hooks"] = hooks.group
        scheduled = hooks is not None and hooks.is_scheduled
        ranges = parts_of_run(hooks.group) if hooks is not None and scheduled else [(0.0, 1.0)]
        entries: Conditioning = []
        for start, end in ranges:
            cond, pooled = self.encode_chunks(chunks, start)
            when = {"clip_start_percent": start, "clip_end_percent": end} if scheduled else {}
            entries.append([cond, {"pooled_output": pooled, **when, **carried}])
        return entries

    # As packs know it

    @property
    def patcher(self) -> TextPatcher:
        """The patcher of its weights."""
        return TextPatcher(self)

    @property
    def cond_stage_model(self) -> TextModel:
        """The model inside."""
        return TextModel(self)

    @property
    def layer_idx(self) -> int | None:
        """Which layer speaks; None: the last."""
        return None if self.layer == -1 else self.layer

    def clip_layer(self, layer_idx: int) -> None:
        """Use the n-th last layer, written -n."""
        self.layer = layer_idx

    def set_tokenizer_option(self, option_name: str, value: Any) -> None:
        """Options of tokenizers; the CLIP tokenizer has none."""

    def tokenize(self, text: str, return_word_ids: bool = False, **kwargs: Any) -> dict[str, Any]:
        """``{"l": [[(id or embedding, weight), ...], ...]}``."""
        return as_tokens(self.chunks(text), return_word_ids)

    def encode_from_tokens(
        self, tokens: Tokens, return_pooled: bool | str = False, return_dict: bool = False
    ) -> Any:
        """cond, or (cond, pooled), or a dict of both."""
        cond, pooled = self.encode_chunks(as_chunks(tokens))
        if return_dict:
            return {"cond": cond, "pooled_output": pooled}
        return (cond, pooled) if return_pooled else cond

    def encode_from_tokens_scheduled(
        self,
        tokens: Tokens,
        unprojected: bool = False,
        add_dict: Mapping[str, Any] | None = None,
        show_pbar: bool = True,
    ) -> Conditioning:
        """The CONDITIONING of tokens."""
        return self._conditioning(as_chunks(tokens), add_dict)

    def encode(self, text: str) -> Tensor:
        """The encoded prompt alone."""
        cond: Tensor = self.encode_from_tokens(self.tokenize(text))
        return cond

    def add_patches(
        self, patches: Mapping[Any, Any], strength_patch: float = 1.0, strength_model: float = 1.0
    ) -> list[Any]:
        """Patch weights; returns the names that it has."""
        return self.patcher.add_patches(patches, strength_patch, strength_model)

    def get_key_patches(self) -> dict[str, Any]:
        """Every weight with its patches, for `add_patches` of another encoder."""
        return self.patcher.get_key_patches()

    def load_model(self, tokens: Any = None) -> TextPatcher:
        """The patcher; models.memory loads the network when it computes."""
        return self.patcher

    def get_sd(self) -> dict[str, Tensor]:
        """The weights without patches."""
        return self.cond_stage_model.state_dict()
