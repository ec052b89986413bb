"""The text encoder of LTX-2: what all layers of Gemma 3 say, projected as its checkpoint has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import torch
from torch import Tensor, nn

from models.errors import PartMissing
from models.memory import Policy
from models.network import Network, assemble
from models.stored.holding import Storage
from models.text.chunks import Token
from models.text.combinations import TextFolders, storage_of
from models.text.handle import TextHandle
from models.text.language.encoder import LanguageEncoder
from models.text.language.families import asking
from models.text.language.loading import language_encoder
from models.text.language.prompting import Prompting
from models.weights import Weights

_PREFIXES: Final = ("text_embedding_projection.", "model.text_embedding_projection.")
_ONE: Final = "aggregate_embed"
_TWO: Final = ("video_aggregate_embed", "audio_aggregate_embed")
LTX2: Final = asking("ltx2", "gemma3", Prompting(template="<bos>{}"))


@dataclass(frozen=True, kw_only=True, eq=False)
class Ltx2Encoder(LanguageEncoder):
    """Gemma 3, whose layers are normed one by one and projected together."""

    projection: Network[nn.ModuleDict]

    def encode(
        self,
        chunks: Sequence[Sequence[Token]],
        policy: Policy,
        *,
        layer: int | None = None,
        is_projected: bool = True,
    ) -> tuple[Tensor, None]:
        """(features [1, T, D], None); of LTX-2.3 those for films, then those for sounds.

        The norms are diffusers' (LTX2TextConnectors). The model's connectors come after it.
        """
        found = []
        for chunk in chunks:
            states = torch.stack(self.states(chunk, policy), dim=-1)  # 1 t d layers
            with policy.using(self.projection, policy.text_device) as module:
                found.append(_projected(module, states.to(policy.text_device)).float().cpu())
        return torch.cat(found, dim=1), None


def _projected(module: nn.ModuleDict, states: Tensor) -> Tensor:
    from diffusers.pipelines.ltx2.connectors import per_layer_masked_mean_norm, per_token_rms_norm

    if _ONE in module:
        lengths = torch.tensor([states.shape[1]], device=states.device)
        normed = per_layer_masked_mean_norm(states, lengths, states.device)
        one: Tensor = module[_ONE](normed.to(_dtype(module)))
        return one
    normed = per_token_rms_norm(states).flatten(2)
    parts = []
    for name in _TWO:
        layer: Any = module[name]
        scale = (layer.out_features / states.shape[2]) ** 0.5
        parts.append(layer((normed * scale).to(_dtype(module))))
    return torch.cat(parts, dim=-1)


def _dtype(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype


def ltx2_text(files: Sequence[Weights], policy: Policy, folders: TextFolders) -> TextHandle | None:
    """The text encoder of a file of Gemma and one with LTX-2's projection; None of other files.

    They may come in any order.
    """
    projections = {file.path: found for file in files if (found := file.below(*_PREFIXES)).tensors}
    others = [file for file in files if file.path not in projections]
    if len(projections) != 1 or len(others) != 1:
        return None
    (weights,), (gemma,) = projections.values(), others
    storage = storage_of(policy)
    (use,) = LTX2.uses.values()
    assert use.prompting is not None
    encoder = language_encoder(
        "gemma3", 1, gemma, use.prompting, policy, storage, folders.tokenizers
    )
    if encoder is None or encoder.kind.name != "gemma3":
        raise PartMissing(
            gemma.path, "Gemma 3", "LTX-2 takes the Gemma 3 that it was trained with."
        )
    dtype = encoder.network.dtype
    projection = policy.library.fetch(
        ("LTX-2 projection", dtype, storage),
        (weights.path,),
        lambda: _build(weights, dtype, storage),
    )
    kept = {field.name: getattr(encoder, field.name) for field in fields(encoder)}
    made = Ltx2Encoder(**kept, projection=projection)
    return TextHandle(combination=LTX2, encoders={"gemma3": made}, policy=policy)


def _build(weights: Weights, dtype: torch.dtype, storage: Storage) -> Network[nn.ModuleDict]:
    names = [name for name in (_ONE, *_TWO) if f"{name}.weight" in weights.tensors]
    if names not in ([_ONE], [*_TWO]):
        raise PartMissing(weights.path, "projection of text features that is known")

    def build() -> nn.ModuleDict:
        layers: dict[str, nn.Module] = {}
        for name in names:
            rows, columns = weights.shape(f"{name}.weight", 2)
            layers[name] = nn.Linear(columns, rows, bias=f"{name}.bias" in weights.tensors)
        return nn.ModuleDict(layers)

    return assemble(build, weights.tensors, dtype, weights.path, storage=storage)
