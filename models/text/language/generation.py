"""Texts that language models write, token by token."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from models.devices import HOME
from models.errors import InvalidInput
from models.memory import Policy
from models.out_of_memory import NetworkRelief, first_that_fits
from models.text.chunks import Token
from models.text.language.choosing import Chooser, Sampling
from models.text.language.encoder import LanguageEncoder

OnToken = Callable[[int], None]  # gets how many tokens there are; may raise to end it


@dataclass(frozen=True, kw_only=True)
class Writing:
    """What is asked of a model: at most so many tokens, drawn or (None) the best ones."""

    most: int
    sampling: Sampling | None = None
    ends: Collection[int] = ()


def write(
    encoder: LanguageEncoder,
    prompt: Sequence[Token],
    writing: Writing,
    policy: Policy,
    on_token: OnToken = lambda count: None,
) -> list[int]:
    """The tokens that follow a prompt, up to an end, which is left out.

    When memory runs out it is begun anew with other networks away, then with fewer weights on the
    device. Raises InvalidInput for a model that was made to encode only.
    """
    if not encoder.can_write:
        raise InvalidInput(
            "the file of this language model lacks its last layer (lm_head): it was made to encode "
            "prompts, and writes no texts. Use the complete model"
        )
    relief = NetworkRelief(policy.residents, encoder.network, policy.text_device)

    def whole() -> list[int]:
        return _written(encoder, prompt, writing, policy, on_token)

    def attempts() -> Iterator[tuple[str, Callable[[], list[int]]]]:
        yield "as a whole", whole
        relief.free_others()
        yield "with nothing else on the device", whole
        while relief.take_less():
            yield "with fewer weights on the device", whole

    return first_that_fits(attempts())


def _written(
    encoder: LanguageEncoder,
    prompt: Sequence[Token],
    writing: Writing,
    policy: Policy,
    on_token: OnToken,
) -> list[int]:
    _widen(encoder, policy)
    seen = encoder.look(prompt, policy)
    known = [int(t.value) for t in prompt if t.picture is None and isinstance(t.value, int)]
    chooser = Chooser(known, writing.sampling)
    written: list[int] = []
    with ExitStack() as stack:
        model = stack.enter_context(encoder.placed(policy))
        head = None
        if encoder.head is not None:
            head = stack.enter_context(policy.using(encoder.head, policy.text_device))
        arranged = encoder.arranged(model, prompt, seen)
        cache, length = _cache(model), arranged.embeds.shape[1]
        embeds, arguments = arranged.embeds, arranged.arguments
        while len(written) < writing.most:
            made = model(inputs_embeds=embeds, cache=cache, use_cache=True, **arguments)
            token = chooser.choose(_scores(model, head, made.last_hidden_state[0, -1]))
            if token in writing.ends:
                break
            written.append(token)
            on_token(len(written))
            embeds = model.embed_tokens(torch.tensor([[token]], device=encoder.network.device))
            position = length + len(written) - 1 - arranged.ahead
            arguments = {"position_ids": torch.tensor([[position]], device=embeds.device)}
    return written


def _widen(encoder: LanguageEncoder, policy: Policy) -> None:
    """Have the CPU compute with weights that need no decoding, where half of its memory suffices.

    Encoding reads each weight once for all tokens of a prompt, and writing once for every token.
    """
    memory = policy.residents.memory(HOME)
    networks = [network for network in (encoder.network, encoder.head) if network is not None]
    wide = sum(math.prod(n.shape(name)) * n.dtype.itemsize for n in networks for name in n.names())
    if policy.text_device != HOME or memory is None or wide > memory.total() // 2:
        return
    for network in networks:
        if network.storage.keep_halves:
            network.keep_as(replace(network.storage, keep_halves=False))


def _cache(model: Any) -> Any:
    from transformers import DynamicCache

    return DynamicCache(config=model.config)


def _scores(model: Any, head: Any, hidden: Tensor) -> Tensor:
    """Scores [V] of all tokens by the last hidden state [D]."""
    if head is None:
        table = model.embed_tokens.weight
        scores = linear(hidden.to(table.device), table)
    else:
        scores = head(hidden)
    cap = getattr(model.config, "final_logit_softcapping", None)
    return scores if cap is None else torch.tanh(scores / cap) * cap
