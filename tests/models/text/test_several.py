"""Several text encoders behind one handle."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.errors import InvalidInput
from models.hook_weights import LoraSource
from models.lora.apply import lora_patches
from models.lora.files import Lora, group_tensors
from models.lora.names import text_names
from models.memory import Policy
from models.protocol.hooks import HookGroup, WeightHook
from models.protocol.text import SDXLClipModel
from models.text.combinations import TextFolders, text_of_checkpoint
from models.text.families import FLUX, SD3, SDXL, SDXL_REFINER
from models.text.handle import TextHandle, TextHooks
from models.text.saving import encoder_tensors, text_tensors
from models.weights import Weights
from tests.models.text import encoders
from tests.models.text.encoders import handle, with_t5_tokenizer

PROMPT = "a photo of a cat"


@pytest.fixture(scope="module")
def sdxl(policy: Policy) -> TextHandle:
    small, large = encoders.clip(projected=None), encoders.clip(width=128, act="gelu", seed=2)
    return handle(SDXL, policy, l=small, g=large)


@pytest.fixture(scope="module")
def sd3(policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> TextHandle:
    folders = with_t5_tokenizer(tmp_path_factory.mktemp("t5"))
    large = encoders.clip(width=128, act="gelu", seed=2)
    return handle(SD3, policy, folders, l=encoders.clip(), g=large, t5xxl=encoders.t5())


def cond(text: TextHandle, prompt: str = PROMPT) -> Tensor:
    encoded: Tensor = text.encode_text(prompt)[0][0]
    return encoded


def test_every_encoder_has_tokens_of_its_own(sd3: TextHandle) -> None:
    tokens = sd3.tokenize("a (cat:1.5)")
    assert list(tokens) == ["l", "g", "t5xxl"]
    assert tokens["l"][0][-1] == (49407, 1.0) and tokens["g"][0][-1] == (0, 1.0)
    assert tokens["t5xxl"][0][-1] == (0, 1.0) and len(tokens["t5xxl"][0]) == 77
    assert [chunks[0][2][1] for key, chunks in tokens.items() if key != "t5xxl"] == [1.5, 1.5]
    assert torch.equal(sd3.encode_from_tokens(tokens), cond(sd3, "a (cat:1.5)"))


def test_long_prompts_make_chunks_of_all_encoders(sdxl: TextHandle, sd3: TextHandle) -> None:
    assert cond(sdxl, "cat " * 100).shape == (1, 154, 192)
    assert cond(sd3, "cat " * 100).shape == (1, 154 + 101, 256)


def test_shorter_prompts_are_filled_up_with_the_empty_one(sdxl: TextHandle) -> None:
    long, short = "cat " * 100, "a dog"
    mixed, _ = sdxl.encode_chunks(sdxl.chunks_of({"l": short, "g": long}))
    assert torch.equal(mixed[..., 64:], cond(sdxl, long)[..., 64:])
    assert torch.equal(mixed[:, :77, :64], cond(sdxl, short)[..., :64])
    assert torch.equal(mixed[:, 77:, :64], cond(sdxl, "")[..., :64])


def test_a_layer_of_sdxl_is_not_normalised(sdxl: TextHandle) -> None:
    last = sdxl.with_layer(-1)
    assert not torch.equal(cond(last), cond(sdxl))
    assert torch.equal(cond(sdxl.with_layer(-2)), cond(sdxl))
    network = sdxl.encoders["l"].network
    ids = torch.tensor([[token.value for token in sdxl.chunks(PROMPT)["l"][0]]])
    with sdxl.policy.using(network, torch.device("cpu")) as module:
        states = module(input_ids=ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(cond(last)[..., :64], states[-1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(cond(sdxl)[..., :64], states[-2], atol=1e-5, rtol=1e-5)
    with pytest.raises(InvalidInput, match="3 layers"):
        cond(sdxl.with_layer(-4))


def test_what_is_missing_of_sd3_is_zero(sd3: TextHandle) -> None:
    whole, options = sd3.encode_text(PROMPT)[0]
    for key, columns in (("l", slice(0, 64)), ("g", slice(64, 192))):
        chunks = sd3.chunks_of(dict.fromkeys((key, "t5xxl"), PROMPT))
        some, pooled = sd3.encode_chunks(chunks)
        assert torch.equal(some[:, 77:, :256], whole[:, 77:])
        if key == "l":
            assert torch.equal(some[:, :77, columns], whole[:, :77, columns])
            assert some[:, :77, 64:].abs().max() == 0
            assert torch.equal(pooled[:, :64], options["pooled_output"][:, :64])
            assert pooled.shape == (1, 64 + 1280) and pooled[:, 64:].abs().max() == 0
        else:
            assert some[:, :77, :768].abs().max() == 0
            assert pooled[:, :768].abs().max() == 0
    alone, _ = sd3.encode_chunks(sd3.chunks_of({"t5xxl": PROMPT}))
    assert torch.equal(alone, whole[:, 77:])
    nothing, pooled = sd3.encode_chunks({})
    assert nothing.shape == (1, 77, 4096) and pooled.shape == (1, 2048)
    assert not nothing.any() and not pooled.any()


def test_a_family_that_needs_both_encoders_says_which_one_is_missing(sdxl: TextHandle) -> None:
    with pytest.raises(InvalidInput, match="needs the text encoder 'g'"):
        sdxl.encode_chunks(sdxl.chunks_of({"l": PROMPT}))
    with pytest.raises(
        InvalidInput, match=r"no tokens for the text encoders of this model \(l, g\)"
    ):
        sdxl.encode_chunks({"t5xxl": [[]]})


def test_embeddings_have_rows_for_each_encoder(
    sdxl: TextHandle, policy: Policy, tmp_path: Path
) -> None:
    cat = {
        key: encoder.network.stored(next(n for n in encoder.network.names() if "token_emb" in n))
        for key, encoder in sdxl.encoders.items()
    }
    rows = {f"clip_{key}": table[2368:2369].clone() for key, table in cat.items()}
    save_file(rows, tmp_path / "feline.safetensors")
    found = sdxl.clone(
        encoders={
            key: replace(
                encoder, tokenizer=replace(encoder.tokenizer, embedding_folders=(tmp_path,))
            )
            for key, encoder in sdxl.encoders.items()
        }
    )
    torch.testing.assert_close(cond(found, "a embedding:feline"), cond(sdxl, "a cat"))
    weighted = cond(found, "a (embedding:feline:1.4)")
    torch.testing.assert_close(weighted, cond(sdxl, "a (cat:1.4)"))


def lora_of(name: str, columns: int, rows: int) -> Lora:
    generator = torch.Generator().manual_seed(4)
    tensors = {
        f"{name}.lora_up.weight": torch.randn(rows, 2, generator=generator),
        f"{name}.lora_down.weight": torch.randn(2, columns, generator=generator),
    }
    return Lora(path=Path("lora.safetensors"), groups=group_tensors(tensors))


CLIP_LAYER = "text_model.encoder.layers.1.mlp.fc1"
T5_LAYER = "encoder.block.1.layer.0.SelfAttention.q"
SPELLINGS = [
    (SD3, "l", ["lora_te1_", "lora_te_"], ["text_encoder.", "text_encoders.clip_l.transformer."]),
    (SD3, "g", ["lora_te2_"], ["text_encoder_2.", "text_encoders.clip_g.transformer."]),
    (SD3, "t5xxl", ["lora_te3_"], ["text_encoder_3.", "text_encoders.t5xxl.transformer."]),
    (FLUX, "l", ["lora_te1_", "lora_te_"], ["text_encoder.", "clip_l.transformer."]),
    (FLUX, "t5xxl", ["lora_te2_", "lora_te3_"], ["text_encoder_2.", "t5xxl.transformer."]),
    (SDXL, "g", ["lora_te2_"], ["text_encoder_2."]),
    (SDXL_REFINER, "g", ["lora_te_", "lora_te1_", "lora_te2_"], ["text_encoder_2."]),
]


@pytest.mark.parametrize(("family", "key", "flat", "dotted"), SPELLINGS)
def test_lora_files_name_each_encoder(
    family: object, key: str, flat: list[str], dotted: list[str], sd3: TextHandle
) -> None:
    assert isinstance(family, type(SD3))
    number = list(family.uses).index(key) + 1
    encoder = replace(sd3.encoders[key], number=number)
    layer = T5_LAYER if key == "t5xxl" else CLIP_LAYER
    names = [prefix + layer.replace(".", "_") for prefix in flat]
    names += [prefix + layer for prefix in dotted]
    for name in names:
        rows, columns = encoder.network.shape(f"{layer}.weight")
        patches = lora_patches(
            lora_of(name, columns, rows), text_names(encoder), encoder.network, 1.0
        )
        assert list(patches) == [f"{layer}.weight"], name
    others = {"l": "lora_te2_", "g": "lora_te3_", "t5xxl": "lora_te1_"}
    assert others[key] + layer.replace(".", "_") not in text_names(encoder)


def test_patches_change_one_encoder_alone(sd3: TextHandle) -> None:
    whole = cond(sd3)
    for key, (rows, columns) in {
        "l": (slice(0, 77), slice(0, 64)),
        "g": (slice(0, 77), slice(64, 192)),
        "t5xxl": (slice(77, None), slice(0, 256)),
    }.items():
        outer = T5_LAYER if key == "t5xxl" else CLIP_LAYER
        name = f"{sd3.encoders[key].name}.transformer.{outer}.weight"
        weight = sd3.cond_stage_model.state_dict()[name]
        made = sd3.clone()
        assert made.add_patches({name: ("diff", (torch.ones_like(weight),))}, 0.5) == [name]
        changed = (cond(made) != whole)[0]
        assert changed[rows, columns].any()
        changed[rows, columns] = False
        assert not changed.any()
    assert torch.equal(cond(sd3), whole)


def test_packs_find_encoders_and_tokenizers_by_name(sdxl: TextHandle) -> None:
    model: Any = sdxl.cond_stage_model
    assert isinstance(sdxl.cond_stage_model, SDXLClipModel)
    tokens = sdxl.tokenize(PROMPT)
    parts = [
        getattr(model, f"clip_{key}").encode_token_weights(tokens[key])[0] for key in ("l", "g")
    ]
    assert torch.equal(torch.cat(parts, dim=-1), cond(sdxl))
    assert model.clip_l.layer_idx == -2 and sdxl.with_layer(-1).cond_stage_model.layer_idx == -1
    assert sdxl.tokenizer.clip_g.tokenize_with_weights(PROMPT) == tokens["g"]
    assert sdxl.tokenizer.tokenize_with_weights(PROMPT) == tokens
    assert copy.copy(sdxl.tokenizer).clip_l is sdxl.encoders["l"].tokenizer
    with pytest.raises(AttributeError, match="no text encoder 't5xxl'"):
        _ = sdxl.tokenizer.t5xxl
    names = dict(model.named_parameters())
    assert any(name.startswith("clip_g.transformer.") for name in names)


def test_pooled_can_be_had_without_projection(sdxl: TextHandle) -> None:
    tokens = sdxl.tokenize(PROMPT)
    _, projected = sdxl.encode_from_tokens(tokens, return_pooled=True)
    _, plain = sdxl.encode_from_tokens(tokens, return_pooled="unprojected")
    assert projected.shape == (1, 32) and plain.shape == (1, 128)
    weight = encoder_tensors(sdxl.encoders["g"])["text_projection.weight"]
    torch.testing.assert_close(plain @ weight.t(), projected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["sdxl", "sd3"])
def test_what_is_saved_loads_again(
    name: str, request: pytest.FixtureRequest, policy: Policy, tmp_path: Path
) -> None:
    text: TextHandle = request.getfixturevalue(name)
    tensors = text_tensors(text)
    if name == "sdxl":
        large = "conditioner.embedders.1.model."
        assert f"{large}transformer.resblocks.0.attn.in_proj_weight" in tensors
        assert f"{large}text_projection" in tensors
        assert "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight" in tensors
    else:
        assert "text_encoders.t5xxl.transformer.shared.weight" in tensors
    again = text_of_checkpoint(
        text.combination,
        Weights(path=Path("saved"), tensors=tensors),
        policy,
        with_t5_tokenizer(tmp_path) if name == "sd3" else TextFolders(),
    )
    assert again is not None
    torch.testing.assert_close(cond(again), cond(text))


def test_options_of_the_tokenizer_are_a_clones_own(sd3: TextHandle) -> None:
    made = sd3.clone()
    made.set_tokenizer_option("t5xxl_min_length", 100)
    assert len(made.tokenize(PROMPT)["t5xxl"][0]) == 100
    assert len(sd3.tokenize(PROMPT)["t5xxl"][0]) == 77
    options = {"t5xxl_min_length": 0, "t5xxl_min_padding": 3}
    assert len(sd3.tokenize("a cat", tokenizer_options=options)["t5xxl"][0]) == 7
    assert [w for _, w in sd3.tokenize("(cat:2)", disable_weights=True)["l"][0]] == [1.0] * 77


def test_hooks_change_every_encoder_that_their_file_names(sdxl: TextHandle) -> None:
    layer = CLIP_LAYER.replace(".", "_")
    lora = lora_of(f"lora_te2_{layer}", 128, 256)
    group = HookGroup([WeightHook(1.0, 1.0, LoraSource(lora))])
    hooked = sdxl.clone(hooks=TextHooks(group=group, on_conditioning=True, is_scheduled=False))
    ((encoded, options),) = hooked.encode_text(PROMPT)
    changed = (encoded != cond(sdxl))[0]
    assert options["hooks"] is group
    assert changed[:, 64:].any() and not changed[:, :64].any()
