"""Language models as text encoders: hidden states of a prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.families.language import LanguageKind
from models.families.language.seeing import Arranged, Seen, Span
from models.memory import Policy
from models.network import Network
from models.text.chunks import Picture, Token
from models.text.clip import embed_tokens, fitting_tokens
from models.text.encoder import TextEncoder
from models.text.language.prompting import LanguageTokenizer


@dataclass(frozen=True, kw_only=True, eq=False)
class LanguageEncoder(TextEncoder):
    """A language model. It has no pooled output."""

    tokenizer: LanguageTokenizer
    kind: LanguageKind
    head: Network[Any] | None = None  # to scores of tokens; None: the table of tokens does that
    vision: Network[Any] | None = None
    can_write: bool = True  # whether its file holds all that scores tokens
    inside: Tensor | None = None  # the tokenizer's file that its file carries

    def encode(
        self,
        chunks: Sequence[Sequence[Token]],
        policy: Policy,
        *,
        layer: int | None = None,
        is_projected: bool = True,
    ) -> tuple[Tensor, None]:
        """(hidden [1, T, D], None) of chunks; float32 on the CPU.

        `layer` counts from the end (-1: the last, after the norm); None is what the family takes,
        which may be several layers side by side. Weights of tokens change nothing.
        """
        layers = self.tokenizer.prompting.layers if layer is None else (layer,)
        found = []
        for chunk in chunks:
            hidden = torch.cat(self.states(chunk, policy, layers), dim=-1)
            found.append(hidden[:, self.tokenizer.begin(chunk) :])
        return torch.cat(found, dim=1), None

    def states(
        self, chunk: Sequence[Token], policy: Policy, layers: Sequence[int] | None = None
    ) -> list[Tensor]:
        """What layers make of a chunk: the table's rows of tokens (0), then all or those wanted.

        Each is [1, T, D], in float32 on the CPU. The last is normed, unless the family wants it as
        the layer says it. Nothing attends to pads at the end. Raises InvalidInput for a layer that
        the model lacks.
        """
        seen = self.look(chunk, policy)
        with self.placed(policy) as model:
            count = len(model.layers)
            wanted = range(count + 1) if layers is None else layers
            if not all(-count - 1 <= number <= count for number in wanted):
                raise InvalidInput(f"the text encoder has {count} layers, not {tuple(wanted)}")
            states = self._states(model, chunk, seen)
            return [states[number].to("cpu", torch.float32) for number in wanted]

    def run(
        self,
        model: Any,
        rows: Sequence[Sequence[Token]],
        layer: int | None,
        is_projected: bool,
    ) -> tuple[Tensor, None]:
        """(hidden [R, T, D], None) of R rows of T tokens, none of them pictures."""
        number = self.tokenizer.prompting.layers[-1] if layer is None else layer
        return torch.cat([self._states(model, row, ())[number] for row in rows]), None

    def _states(
        self, model: Any, chunk: Sequence[Token], seen: Sequence[Seen]
    ) -> tuple[Tensor, ...]:
        arranged = self.arranged(model, chunk, seen)
        with _norm_of(model, self.tokenizer.prompting.is_normed):
            made = self._made(model, chunk, arranged)
        states: tuple[Tensor, ...] = made.hidden_states
        return states

    def _made(self, model: Any, chunk: Sequence[Token], arranged: Arranged) -> Any:
        return model(
            inputs_embeds=arranged.embeds,
            **{"attention_mask": self._mask(chunk, arranged.embeds)} | arranged.arguments,
            output_hidden_states=True,
            use_cache=False,
        )

    @contextmanager
    def placed(self, policy: Policy) -> Iterator[Any]:
        """The text model with its patches, where it computes."""
        self.network.patch(self.patches)
        with policy.using(self.network, policy.text_device) as model:
            yield model

    def look(self, chunk: Sequence[Token], policy: Policy) -> list[Seen]:
        """What it makes of the pictures of a chunk. Raises InvalidInput if it cannot see."""
        pictures = [token.picture for token in chunk if token.picture is not None]
        eyes = self.kind.eyes
        if not pictures:
            return []
        if eyes is None:
            raise InvalidInput(f"language models of the kind '{self.kind.name}' take no pictures")
        if self.vision is None:
            raise InvalidInput("the file of this language model lacks what would let it see")
        with policy.using(self.vision, policy.text_device) as vision:
            return [eyes.look(vision, picture) for picture in pictures]

    def arranged(self, model: Any, chunk: Sequence[Token], seen: Sequence[Seen]) -> Arranged:
        """A chunk, with what is seen in its pictures, as the text model takes it."""
        waiting = iter(seen)
        parts: list[Tensor] = []
        spans: list[Span] = []
        length = 0
        for part in _runs(chunk):
            if isinstance(part, Picture):
                spans.append(Span(start=length, seen=next(waiting)))
                parts.append(spans[-1].seen.features)
            else:
                parts.append(self._embedded(model, part))
            length += len(parts[-1])
        device, dtype = self.network.device, self.network.dtype
        embeds = torch.cat([part.to(device, dtype) for part in parts])[None]
        if self.kind.eyes is None or not spans:
            return Arranged(embeds=embeds)
        return self.kind.eyes.arrange(model, embeds, spans)

    def _embedded(self, model: Any, tokens: Sequence[Token]) -> Tensor:
        table = model.embed_tokens
        pad = self.tokenizer.chunk_format.pad
        return embed_tokens(fitting_tokens(tokens, table.embedding_dim, pad), table)

    def _mask(self, chunk: Sequence[Token], embeds: Tensor) -> Tensor | None:
        """[1, T], false where pads end a chunk; None if none do."""
        pad, pads = self.tokenizer.chunk_format.pad, 0
        while pads < len(chunk) and chunk[len(chunk) - 1 - pads] == Token(pad):
            pads += 1
        if not pads:
            return None
        mask = torch.ones(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
        mask[:, embeds.shape[1] - pads :] = False
        return mask

    def further_tensors(self) -> dict[str, Tensor]:
        """The last layer, the vision model and the tokenizer, where its file has them."""
        found: dict[str, Tensor] = {}
        if self.head is not None:
            found["lm_head.weight"] = self.head.stored("weight")
        if self.vision is not None and self.kind.eyes is not None:
            outer = self.kind.eyes.outer_name
            found |= {outer(name): self.vision.stored(name) for name in self.vision.names()}
        if self.inside is not None:
            found["spiece_model"] = self.inside
        return found

    def outer_name(self, name: str) -> str:
        """As transformers' language models have it, whose text model is a part of them."""
        return f"model.{name}"


@contextmanager
def _norm_of(model: Any, is_used: bool) -> Iterator[None]:
    """The last norm of a text model, or nothing in its place."""
    if is_used:
        yield
        return
    hook = model.norm.register_forward_hook(lambda module, arguments, output: arguments[0])
    try:
        yield
    finally:
        hook.remove()


def _runs(chunk: Sequence[Token]) -> Iterator[Picture | list[Token]]:
    """Pictures, and the tokens between them."""
    run: list[Token] = []
    for token in chunk:
        if token.picture is not None:
            if run:
                yield run
            yield token.picture
            run = []
        else:
            run.append(token)
    if run:
        yield run
