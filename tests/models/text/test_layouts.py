"""Layouts of text encoders in files, and what a file is taken for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.errors import InvalidInput, PartMissing
from models.families.diffusers_names import join_parts
from models.families.open_clip import to_open_clip, to_transformers
from models.memory import Policy
from models.safetensors_writer import write_tensors
from models.text.combinations import TextFolders, sd2_text, sd3_text, sdxl_refiner_text, sdxl_text
from models.text.files import encoders_in, text_of_type
from models.text.handle import TextHandle
from models.text.saving import encoder_tensors
from models.weights import Weights, open_weights
from tests.models.gguf_files import write_gguf
from tests.models.text import encoders
from tests.models.text.encoders import tensors_of, weights_of

NOWHERE = TextFolders()


def same(first: TextHandle, second: TextHandle, prompt: str = "a (cat:1.3)") -> bool:
    """Whether both make the same of a prompt."""
    ((cond, options),), ((other, more),) = (t.encode_text(prompt) for t in (first, second))
    return torch.equal(cond, other) and torch.equal(options["pooled_output"], more["pooled_output"])


def checkpoint(**parts: object) -> Weights:
    """A file of modules below prefixes."""
    found = {name.replace("__", "."): module for name, module in parts.items()}
    return Weights(path=Path("tiny.safetensors"), tensors=tensors_of(found))


def test_the_layout_of_open_clip_gives_what_open_clip_computes(policy: Policy) -> None:
    module = encoders.open_clip()
    text = sdxl_refiner_text(checkpoint(conditioner__embedders__0__model__=module), policy, NOWHERE)
    assert text is not None
    chunks = text.chunks("a photo of a cat")
    ids = torch.tensor([[int(token.value) for token in chunk] for chunk in chunks["g"]])
    _, pooled = text.encode_chunks(chunks)
    torch.testing.assert_close(pooled, module(ids), atol=1e-5, rtol=1e-5)


def test_both_layouts_can_be_had_from_each_other() -> None:
    tensors = tensors_of({"": encoders.open_clip()})
    again = to_open_clip(to_transformers(tensors))
    assert set(again) == set(tensors)
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)
    assert "logit_scale" not in to_transformers({"logit_scale": torch.ones(())})


def test_sdxl_in_one_file_is_sdxl_in_two(policy: Policy) -> None:
    small, large = encoders.clip(projected=None), encoders.open_clip()
    whole = sdxl_text(
        checkpoint(
            conditioner__embedders__0__transformer__text_model__=small,
            conditioner__embedders__1__model__=large,
        ),
        policy,
        NOWHERE,
    )
    assert whole is not None and list(whole.encoders) == ["l", "g"]
    apart = text_of_type("sdxl", [weights_of(small), weights_of(large)], policy, NOWHERE)
    assert same(whole, apart)


def test_sd2_takes_the_layer_before_the_last_that_diffusers_leaves_out(policy: Policy) -> None:
    whole = encoders.clip(act="gelu", layers=24, projected=None)
    cut = encoders.clip(act="gelu", layers=23, projected=None)
    cut.load_state_dict(whole.state_dict(), strict=False)
    texts = [
        sd2_text(checkpoint(cond_stage_model__transformer__=module), policy, NOWHERE)
        for module in (whole, cut)
    ]
    for layer in (None, -2, -5):  # as CLIPSetLastLayer counts, whether the last one is there or not
        whole_cond, cut_cond = (
            text.clone(layer=layer).encode_text("a cat")[0][0] for text in texts if text is not None
        )
        torch.testing.assert_close(whole_cond, cut_cond)


@pytest.mark.parametrize(("width", "key"), [(768, "l"), (1024, "h"), (1280, "g"), (64, "")])
def test_a_clip_is_known_by_its_width(width: int, key: str) -> None:
    tensors = {"text_model.embeddings.token_embedding.weight": torch.empty(9, width, device="meta")}
    ((found, _),) = encoders_in(Weights(path=Path("x"), tensors=tensors))
    assert found == key


def test_files_may_come_in_any_order(policy: Policy, tmp_path: Path) -> None:
    folders = encoders.with_t5_tokenizer(tmp_path)
    clip, t5 = weights_of(encoders.clip(projected=None)), weights_of(encoders.t5())
    first = text_of_type("flux", [clip, t5], policy, folders)
    assert list(first.encoders) == ["l", "t5xxl"]
    assert same(first, text_of_type("flux", [t5, clip], policy, folders))


def test_a_file_may_hold_several_encoders_below_their_names(policy: Policy) -> None:
    small, large = encoders.clip(), encoders.clip(width=128, act="gelu")
    file = checkpoint(
        text_encoders__clip_l__transformer__=small, text_encoders__clip_g__transformer__=large
    )
    whole = sd3_text(file, policy, NOWHERE)
    assert whole is not None
    assert same(whole, text_of_type("sd3", [file], policy, NOWHERE))


def test_what_does_not_go_together_is_refused(policy: Policy) -> None:
    t5 = weights_of(encoders.t5(layers=1))
    with pytest.raises(InvalidInput, match=r"no such text encoders: t5xxl. It takes l\+g or g"):
        text_of_type("sdxl", [t5], policy, NOWHERE)
    with pytest.raises(InvalidInput, match="type 'hidream' are not supported"):
        text_of_type("hidream", [t5], policy, NOWHERE)
    with pytest.raises(PartMissing, match="no text encoder"):
        text_of_type(
            "sd3", [Weights(path=Path("x"), tensors={"a": torch.ones(1)})], policy, NOWHERE
        )


def test_umt5_is_told_from_t5(policy: Policy) -> None:
    found = weights_of(encoders.umt5())
    assert [key for key, _ in encoders_in(found)] == ["umt5xxl"]
    with pytest.raises(InvalidInput, match="no such text encoders: umt5xxl"):
        text_of_type("sd3", [found], policy, NOWHERE)
    with pytest.raises(InvalidInput, match=r"no such text encoders: t5xxl\. It takes umt5xxl"):
        text_of_type("wan", [weights_of(encoders.t5())], policy, NOWHERE)


def test_half_precision_stays_in_the_file_and_computes_in_float32(
    policy: Policy, tmp_path: Path
) -> None:
    folders = encoders.with_t5_tokenizer(tmp_path)
    clip, t5 = encoders.clip(projected=None).half(), encoders.t5().half()
    half = text_of_type("flux", [weights_of(clip), weights_of(t5)], policy, folders)
    full = text_of_type("flux", [weights_of(clip.float()), weights_of(t5.float())], policy, folders)
    assert same(half, full)
    sizes = [{k: e.network.size() for k, e in t.encoders.items()} for t in (half, full)]
    assert all(sizes[0][key] < 0.51 * sizes[1][key] for key in sizes[0])


def test_t5_in_a_gguf_file_encodes_as_its_values_do(policy: Policy, tmp_path: Path) -> None:
    import gguf

    folders = encoders.with_t5_tokenizer(tmp_path)
    tensors = weights_of(encoders.t5()).tensors
    del tensors["encoder.embed_tokens.weight"]
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.T5ENCODER, 2)
    found = {name: names.get_name(name, try_suffixes=(".weight",)) or name for name in tensors}
    path = tmp_path / "t5.gguf"
    values = write_gguf(path, {found[n]: t for n, t in tensors.items()}, "Q8_0", "t5encoder")
    clip = weights_of(encoders.clip(projected=None))
    quantised = text_of_type("flux", [open_weights(path), clip], policy, folders)
    plain = Weights(path=path, tensors={n: values[found[n]] for n in tensors})
    wanted = text_of_type("flux", [plain, clip], policy, folders)
    assert same(quantised, wanted)


def test_encoders_of_a_pipeline_of_diffusers_are_known_by_their_number(policy: Policy) -> None:
    small, large = encoders.clip(projected=None), encoders.clip(width=128, act="gelu", seed=2)
    parts = {"text_encoder": tensors_of({"": small}), "text_encoder_2": tensors_of({"": large})}
    file = Weights(path=Path("pipeline"), tensors=join_parts(parts))
    text = sdxl_text(file, policy, NOWHERE)
    assert text is not None
    assert same(text, text_of_type("sdxl", [weights_of(small), weights_of(large)], policy, NOWHERE))
    third = join_parts({"text_encoder_3": weights_of(encoders.t5()).tensors})
    found = sd3_text(Weights(path=Path("pipeline"), tensors=third), policy, NOWHERE)
    assert found is not None and list(found.encoders) == ["t5xxl"]


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16])
def test_encoders_in_few_bits_encode_as_their_values_do(
    dtype: torch.dtype, policy: Policy, tmp_path: Path
) -> None:
    folders = encoders.with_t5_tokenizer(tmp_path)
    narrow, wide = [], []
    for module in (encoders.clip(projected=None), encoders.open_clip(), encoders.t5()):
        tensors = {
            name: tensor.to(dtype) if tensor.ndim > 1 else tensor
            for name, tensor in weights_of(module).tensors.items()
        }
        narrow.append(Weights(path=Path("narrow"), tensors=tensors))
        values = {name: tensor.float() for name, tensor in tensors.items()}
        wide.append(Weights(path=Path("wide"), tensors=values))
    found, wanted = (text_of_type("sd3", files, policy, folders) for files in (narrow, wide))
    assert same(found, wanted)
    assert found.encoders["g"].network.size() < 0.6 * wanted.encoders["g"].network.size()


def test_what_was_loaded_in_the_layout_of_open_clip_is_saved_in_that_of_transformers(
    policy: Policy, tmp_path: Path
) -> None:
    text = text_of_type(
        "sdxl", [weights_of(encoders.clip(projected=None)), weights_of(encoders.open_clip())],
        policy, NOWHERE,
    )  # fmt: skip
    files = []
    for encoder in text.encoders.values():
        files.append(tmp_path / f"{encoder.name}.safetensors")
        write_tensors(files[-1], encoder_tensors(encoder), {})
    again = text_of_type("sdxl", [open_weights(path) for path in files], policy, NOWHERE)
    assert "text_projection.weight" in open_weights(files[1]).tensors
    # Not to the last bit: the projection lies in memory the other way round.
    torch.testing.assert_close(again.encode_text("a cat"), text.encode_text("a cat"))
