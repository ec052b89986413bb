"""TextHandle: what flows through CLIP sockets."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from models.errors import InvalidInput
from models.memory import Policy
from models.network import Patches
from models.protocol.hooks import HookGroup, WeightHook, parts_of_run, strength_at
from models.protocol.text import TextModel, TextPatcher, Tokenizers
from models.protocol.tokens import Tokens, as_chunks, as_tokens
from models.text.chunks import Picture, Token
from models.text.encoder import Chunks, TextEncoder
from models.text.families import Combination
from models.text.joining import Joined

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
    """The loaded text encoders of a model, in the order of its family.

    A node changes nothing but a clone that it made; all clones share the weights.
    """

    combination: Combination  # the family's way of using them
    encoders: Mapping[str, TextEncoder]
    policy: Policy
    layer: int | None = None  # which layer's output is used, from the end; None: the family's
    tokenizer_options: Mapping[str, Any] = field(default_factory=dict)
    hooks: TextHooks | None = None

    def clone(self, **changes: Any) -> TextHandle:
        """A handle on the same weights, with some fields replaced."""
        made = copy.copy(self)
        for name, value in changes.items():
            setattr(made, name, value)
        return made

    def with_layer(self, layer: int) -> TextHandle:
        """A handle that uses the n-th last layer of CLIP encoders, written -n."""
        return self.clone(layer=layer)

    def with_patches(self, patches: Mapping[str, Patches]) -> TextHandle:
        """A handle whose encoders also have these patches (by encoder), after those they have."""
        return self.clone(encoders=self._patched(patches))

    def _patched(self, patches: Mapping[str, Patches]) -> dict[str, TextEncoder]:
        return {
            key: encoder.patched(patches[key]) if patches.get(key) else encoder
            for key, encoder in self.encoders.items()
        }

    def chunks(self, text: str, **options: Any) -> dict[str, list[list[Token]]]:
        """A prompt's chunks for each encoder; for options see `chunks_of`."""
        return self.chunks_of(dict.fromkeys(self.encoders, text), **options)

    def chunks_of(
        self,
        texts: Mapping[str, str],
        *,
        use_weights: bool = True,
        template: str | None = None,
        pictures: Sequence[Picture] = (),
    ) -> dict[str, list[list[Token]]]:
        """The chunks of a prompt of its own for each encoder; one without a prompt has none.

        Language models are asked in the template (with `{}` for the prompt) instead of the
        family's, and see the pictures. Raises InvalidInput if they cannot.
        """
        return {
            key: encoder.tokenizer.with_options(self.tokenizer_options).tokenize(
                texts[key], use_weights, template=template, pictures=pictures
            )
            for key, encoder in self.encoders.items()
            if key in texts
        }

    def encode_chunks(
        self, chunks: Chunks, percent: float = 0.0, *, is_projected: bool = True
    ) -> Joined:
        """(cond [1, T, D], pooled [1, P] or None) of chunks; float32 on the CPU.

        Hooks are as strong as at that part of a run. An encoder without chunks is left out.
        Raises InvalidInput where the family needs an encoder that has none.
        """
        encoders = self._encoders_at(percent)
        wanted = self.combination.even({key: chunks[key] for key in encoders if chunks.get(key)})
        if not wanted and not self.combination.is_partial:
            raise InvalidInput(
                f"the prompt has no tokens for the text encoders of this model "
                f"({', '.join(encoders)}): use the node that encodes prompts for such a model"
            )
        return self.combination.join(
            {
                key: encoders[key].encode(
                    found, self.policy, layer=self.layer, is_projected=is_projected
                )
                for key, found in wanted.items()
            }
        )

    def encode_text(self, text: str, options: Mapping[str, Any] | None = None) -> Conditioning:
        """The CONDITIONING of a prompt."""
        return self.conditioning(self.chunks(text), options)

    def conditioning(
        self,
        chunks: Chunks,
        options: Mapping[str, Any] | None = None,
        *,
        is_projected: bool = True,
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
            cond, pooled = self.encode_chunks(chunks, start, is_projected=is_projected)
            when = {"clip_start_percent": start, "clip_end_percent": end} if scheduled else {}
            entries.append([cond, {"pooled_output": pooled, **when, **carried}])
        return entries

    def _encoders_at(self, percent: float) -> Mapping[str, TextEncoder]:
        """The encoders with what hooks change in them at a part of a run."""
        encoders = self.encoders
        for hook in self.hooks.group.hooks if self.hooks is not None else ():
            if isinstance(hook, WeightHook):
                strength = strength_at(hook.hook_keyframe, percent)
                encoders = {
                    key: encoder.patched(hook.text_patches(encoder, strength))
                    for key, encoder in encoders.items()
                }
        return encoders

    # As packs know it

    @property
    def patcher(self) -> TextPatcher:
        """The patcher of its weights."""
        return TextPatcher(self)

    @property
    def cond_stage_model(self) -> TextModel:
        """The model inside."""
        return TextModel.of(self)

    @property
    def tokenizer(self) -> Tokenizers:
        """The tokenizers of its encoders."""
        return Tokenizers(self)

    @property
    def layer_idx(self) -> int | None:
        """Which layer speaks; None: the family's."""
        return self.layer

    def clip_layer(self, layer_idx: int) -> None:
        """Use the n-th last layer, written -n."""
        self.layer = layer_idx

    def set_tokenizer_option(self, option_name: str, value: Any) -> None:
        """Options of tokenizers, such as `t5xxl_min_length`."""
        self.tokenizer_options = {**self.tokenizer_options, option_name: value}

    def tokenize(
        self,
        text: str,
        return_word_ids: bool = False,
        tokenizer_options: Mapping[str, Any] | None = None,
        disable_weights: bool = False,
        images: Sequence[Tensor] = (),
        llama_template: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """``{"l": [[(id or embedding, weight), ...], ...]}``.

        Language models see the images [B, H, W, 3]: each frame of them is a picture.
        """
        options = {**self.tokenizer_options, **(tokenizer_options or {})}
        chunks = self.clone(tokenizer_options=options).chunks(
            text,
            use_weights=not disable_weights,
            template=llama_template,
            pictures=[Picture(frames=frame[None]) for image in images for frame in image],
        )
        return as_tokens(chunks, return_word_ids)

    def encode_from_tokens(
        self, tokens: Tokens, return_pooled: bool | str = False, return_dict: bool = False
    ) -> Any:
        """cond, or (cond, pooled), or a dict of both; pooled may be wanted "unprojected"."""
        projected = return_pooled != "unprojected"
        cond, pooled = self.encode_chunks(as_chunks(tokens), is_projected=projected)
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
        return self.conditioning(as_chunks(tokens), add_dict, is_projected=not unprojected)

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
        """The patcher; models.memory loads the networks when they compute."""
        return self.patcher

    def get_sd(self) -> dict[str, Tensor]:
        """The weights without patches."""
        return self.cond_stage_model.state_dict()
