"""Language models in GGUF files, with llama.cpp's names and their vocabulary inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from sentencepiece import SentencePieceProcessor
from torch import Tensor

from models.memory import Policy
from models.text.chunks import Token
from models.text.language.generation import Writing, write
from models.text.language.vocabulary import from_bytes
from models.weights import open_weights
from tests.models.text import language_models as tiny

_NAMES = {
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
}
_QWEN = {"post_attention_layernorm": "ffn_norm"}
_GEMMA = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def gguf_name(name: str, norms: dict[str, str]) -> str:
    """llama.cpp's name of a tensor of transformers."""
    layer, _, kind = name.removeprefix("model.").rpartition(".")
    if layer in _NAMES:
        return f"{_NAMES[layer]}.{kind}"
    _, number, inner = layer.split(".", 2)
    return f"blk.{number}.{(_NAMES | norms)[inner]}.{kind}"


def save(
    path: Path, tensors: dict[str, Tensor], norms: dict[str, str], model: bytes | None = None
) -> Path:
    """A file as llama.cpp's converter makes it: Gemma's norms have 1 added."""
    writer = gguf.GGUFWriter(path, "gemma3" if norms is _GEMMA else "qwen3")
    for name, tensor in tensors.items():
        is_norm = norms is _GEMMA and name.endswith("norm.weight")
        values = tensor.float() + 1 if is_norm else tensor.float()
        writer.add_tensor(gguf_name(name, norms), values.numpy())
    if model is not None:
        pieces = SentencePieceProcessor(model_proto=model)
        numbers = range(pieces.get_piece_size())
        writer.add_tokenizer_model("llama")
        writer.add_token_list([pieces.id_to_piece(number) for number in numbers])
        writer.add_token_scores([pieces.get_score(number) for number in numbers])
        writer.add_token_types([_kind(pieces, number) for number in numbers])
        writer.add_unk_token_id(3)
        writer.add_bos_token_id(2)
        writer.add_eos_token_id(1)
        writer.add_pad_token_id(0)
        writer.add_add_space_prefix(False)
        writer.add_remove_extra_whitespaces(False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _kind(pieces: Any, number: int) -> int:
    if pieces.is_unknown(number):
        return 2
    if pieces.is_control(number):
        return 3
    if pieces.is_byte(number):
        return 6
    return 4 if pieces.id_to_piece(number)[0] in "<\n" else 1


def written(path: Path, policy: Policy, ids: list[int]) -> list[int]:
    encoder = tiny.encoder_of(tiny.loaded("ltxv", path, policy))
    return write(encoder, [Token(number) for number in ids], Writing(most=6), policy)


def test_qwen3_writes_as_from_its_own_file(tmp_path: Path, policy: Policy) -> None:
    model = tiny.qwen3()
    path = save(tmp_path / "qwen.gguf", tiny.tensors_of(model), _QWEN)
    ids = [9707, 1879, 0]
    expected = model.generate(torch.tensor([ids]), max_new_tokens=6, do_sample=False)
    assert written(path, policy, ids) == expected[0, 3:].tolist()


def test_gemma_writes_as_from_its_own_file(tmp_path: Path, policy: Policy) -> None:
    model = tiny.gemma3()
    pieces = tiny.gemma_pieces(tmp_path / "pieces").numpy().tobytes()
    path = save(tmp_path / "gemma.gguf", tiny.tensors_of(model), _GEMMA, pieces)
    encoder = tiny.encoder_of(tiny.loaded("ltxv", path, policy))
    ids = encoder.tokenizer.vocabulary.ids("<bos>the cat")
    expected = model.generate(torch.tensor([ids]), max_new_tokens=6, do_sample=False)
    assert written(path, policy, ids) == expected[0, len(ids) :].tolist()


@pytest.mark.parametrize("text", ["<bos><start_of_turn>the (cat)<end_of_turn>\n", "猫 <b>  a", ""])
def test_gemmas_vocabulary_is_whole(text: str, tmp_path: Path) -> None:
    content = tiny.gemma_pieces(tmp_path / "pieces").numpy().tobytes()
    tensors = {"model.embed_tokens.weight": torch.zeros(2, 2)}
    path = save(tmp_path / "gemma.gguf", tensors, _GEMMA, content)
    inside = open_weights(path).tensors["spiece_model"].numpy().tobytes()
    original, copy = (from_bytes(path, found) for found in (content, inside))
    assert copy.ids(text) == original.ids(text)
    assert copy.text(copy.ids(text)) == original.text(original.ids(text))
