"""The text encoder of LTX-2 gives what diffusers' connectors are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.errors import PartMissing
from models.load import load_ltx2_text
from models.memory import Policy
from tests.models.text import language_models as tiny
from tests.models.text.encoders import randomised

LAYERS = 8  # of the tiny Gemma, with the table of tokens
WIDTH = 64


class Nothing(nn.Module):
    """In the place of a connector: what comes is what goes."""

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return hidden, mask


def connectors(**options: Any) -> Any:
    """diffusers' projections, and no more of its connectors."""
    from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors

    made = LTX2TextConnectors(
        caption_channels=WIDTH,
        text_proj_in_factor=LAYERS,
        video_connector_num_attention_heads=1,
        audio_connector_num_attention_heads=1,
        video_hidden_dim=32,
        audio_hidden_dim=24,
        **options,
    )
    made.video_connector = made.audio_connector = Nothing()
    return randomised(made, 9)


def gemma_file(folder: Path) -> tuple[Any, Path]:
    model = tiny.gemma3()
    pieces = tiny.gemma_pieces(folder / "pieces")
    tensors = tiny.tensors_of(model) | {"spiece_model": pieces}
    return model, tiny.write(folder / "gemma.safetensors", tensors)


@pytest.mark.parametrize(
    "options", [{}, {"per_modality_projections": True, "proj_bias": True}], ids=["2.0", "2.3"]
)
def test_features_are_those_of_diffusers(
    options: dict[str, Any], tmp_path: Path, policy: Policy
) -> None:
    theirs = connectors(**options)
    tensors = {
        "text_embedding_projection." + name.replace("text_proj_in", "aggregate_embed"): tensor
        for name, tensor in theirs.state_dict().items()
        if "text_proj_in" in name
    } | {"model.diffusion_model.patchify_proj.weight": torch.zeros(2, 2)}
    checkpoint = tiny.write(tmp_path / "ltx.safetensors", tensors)
    model, gemma = gemma_file(tmp_path)
    handle = load_ltx2_text(gemma, checkpoint, policy, tiny.NOWHERE)
    chunks = handle.chunks("the (cat)")
    ids = torch.tensor([[int(token.value) for token in chunks["gemma3"][0]]])
    states = model(ids, output_hidden_states=True).hidden_states
    video, audio, _ = theirs(torch.stack(states, dim=-1), torch.ones_like(ids))
    cond, pooled = handle.encode_chunks(chunks)
    expected = torch.cat([video, audio], dim=-1) if options else video
    torch.testing.assert_close(cond, expected, atol=1e-4, rtol=1e-4)
    assert pooled is None


def test_the_two_files_of_a_dual_loader_come_in_any_order(tmp_path: Path, policy: Policy) -> None:
    from models.load import load_text

    tensors = {
        "text_embedding_projection.aggregate_embed.weight": torch.randn(16, WIDTH * LAYERS),
    }
    projection = tiny.write(tmp_path / "projection.safetensors", tensors)
    _, gemma = gemma_file(tmp_path)
    for paths in ([gemma, projection], [projection, gemma]):
        cond, _ = load_text("ltxv", paths, policy, tiny.NOWHERE).encode_text("the cat")[0]
        assert cond.shape[::2] == (1, 16)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path, policy: Policy) -> None:
    other = tiny.write(tmp_path / "other.safetensors", {"a": torch.zeros(2)})
    _, gemma = gemma_file(tmp_path)
    with pytest.raises(PartMissing, match="text projection of LTX-2"):
        load_ltx2_text(gemma, other, policy, tiny.NOWHERE)
