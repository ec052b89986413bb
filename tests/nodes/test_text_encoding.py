"""Nodes of text encoders of models that have several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from executor.folders import Folders
from models.errors import InvalidInput
from models.load import load_text
from models.memory import Policy
from models.text.handle import TextHandle
from nodes.attention_scale import CLIPAttentionMultiply
from nodes.conditioning import CLIPSetLastLayer
from nodes.model_merging import CLIPMergeAdd, CLIPMergeSimple, CLIPMergeSubtract
from nodes.model_saving import CLIPSave
from nodes.text_encoding import (
    CLIPTextEncodeFlux,
    CLIPTextEncodeHiDream,
    CLIPTextEncodeHunyuanDiT,
    CLIPTextEncodeKandinsky5,
    CLIPTextEncodeLumina2,
    CLIPTextEncodePixArtAlpha,
    CLIPTextEncodeSD3,
    CLIPTextEncodeSDXL,
    CLIPTextEncodeSDXLRefiner,
    T5TokenizerOptions,
)
from nodes.text_folders import text_folders
from nodes.text_loaders import (
    CLIPLoader,
    DualCLIPLoader,
    QuadrupleCLIPLoader,
    TripleCLIPLoader,
)
from tests.models.conftest import policy
from tests.models.text import encoders, language_models
from tests.models.text.encoders import T5_TOKENIZER, tensors_of
from tests.nodes.context import node_context

__all__ = ["policy"]

MODULES = {
    "l": encoders.clip(projected=None),
    "g": encoders.clip(width=128, act="gelu", seed=2),
    "t5": encoders.t5(),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> Iterator[Folders]:
    """A folder with CLIP-L, CLIP-G, T5 and the tokenizer of T5."""
    with node_context(tmp_path_factory.mktemp("text"), policy=policy) as made:
        for name, module in MODULES.items():
            tensors = tensors_of({"": module})
            tensors.pop("encoder.embed_tokens.weight", None)
            save_file(tensors, made.models_root / "text_encoders" / f"{name}.safetensors")
        place = made.models_root / "tokenizers" / "t5xxl"
        place.mkdir(parents=True)
        (place / "tokenizer.json").symlink_to(T5_TOKENIZER)
        yield made


@pytest.fixture
def sdxl(folders: Folders) -> TextHandle:
    return DualCLIPLoader().run("l.safetensors", "g.safetensors", "sdxl")[0]


@pytest.fixture
def sd3(folders: Folders) -> TextHandle:
    return TripleCLIPLoader().run("l.safetensors", "t5.safetensors", "g.safetensors")[0]


@pytest.fixture
def flux(folders: Folders) -> TextHandle:
    return DualCLIPLoader().run("t5.safetensors", "l.safetensors", "flux", "cpu")[0]


def cond(text: TextHandle, prompt: str) -> Tensor:
    encoded: Tensor = text.encode_text(prompt)[0][0]
    return encoded


def test_loaders_make_one_clip_of_several_files(
    sdxl: TextHandle, sd3: TextHandle, flux: TextHandle
) -> None:
    assert [list(text.encoders) for text in (sdxl, sd3, flux)] == [
        ["l", "g"], ["l", "g", "t5xxl"], ["l", "t5xxl"],
    ]  # fmt: skip
    assert sd3.combination.name == "sd3"


def test_files_that_are_loaded_again_share_their_weights(folders: Folders) -> None:
    first, second = (
        DualCLIPLoader().run("l.safetensors", "g.safetensors", "sdxl")[0] for _ in range(2)
    )
    assert first is not second
    assert first.encoders["g"].network is second.encoders["g"].network


def test_types_that_are_not_built_say_so(folders: Folders) -> None:
    with pytest.raises(InvalidInput, match="'mochi' are not supported; these are"):
        CLIPLoader().run("t5.safetensors", "mochi")
    with pytest.raises(InvalidInput, match="'hidream' are not supported"):
        QuadrupleCLIPLoader().run(*["l.safetensors"] * 4)


def test_sdxl_gets_two_prompts_and_sizes(sdxl: TextHandle) -> None:
    sizes = {"width": 1000, "height": 800, "crop_w": 4, "crop_h": 8,
             "target_width": 640, "target_height": 512}  # fmt: skip
    (((encoded, options),),) = CLIPTextEncodeSDXL().run(
        clip=sdxl, text_g="a cat", text_l="dog " * 90, **sizes
    )
    assert {name: options[name] for name in sizes} == sizes
    assert encoded.shape == (1, 154, 192)
    assert torch.equal(encoded[..., :64], cond(sdxl, "dog " * 90)[..., :64])
    assert torch.equal(encoded[:, :77, 64:], cond(sdxl, "a cat")[..., 64:])
    pooled = sdxl.encode_text("a cat")[0][1]["pooled_output"]
    torch.testing.assert_close(options["pooled_output"], pooled)


def test_the_refiner_gets_a_score(folders: Folders) -> None:
    with pytest.raises(InvalidInput, match="no such text encoders"):
        DualCLIPLoader().run("t5.safetensors", "g.safetensors", "sdxl")
    (text,) = CLIPLoader().run("g.safetensors", "stable_diffusion")
    (((_, options),),) = CLIPTextEncodeSDXLRefiner().run(
        clip=text, text="a cat", ascore=2.5, width=64, height=32
    )
    assert (options["aesthetic_score"], options["width"], options["height"]) == (2.5, 64, 32)


def test_sd3_gets_three_prompts_of_which_some_may_be_empty(sd3: TextHandle) -> None:
    texts = {"clip_l": "a cat", "clip_g": "", "t5xxl": "a dog"}
    (((empty, _),),) = CLIPTextEncodeSD3().run(clip=sd3, **texts, empty_padding="empty_prompt")
    assert torch.equal(empty[:, :77, :64], cond(sd3, "a cat")[:, :77, :64])
    assert torch.equal(empty[:, :77, 64:192], cond(sd3, "")[:, :77, 64:192])
    assert torch.equal(empty[:, 77:], cond(sd3, "a dog")[:, 77:])
    (((none, options),),) = CLIPTextEncodeSD3().run(clip=sd3, **texts, empty_padding="none")
    assert torch.equal(none[:, :77, :64], empty[:, :77, :64])
    assert not none[:, :77, 64:].any()
    assert not options["pooled_output"][:, 64:].any()
    (((alone, _),),) = CLIPTextEncodeSD3().run(
        clip=sd3, clip_l="a cat", clip_g="a cat", t5xxl="", empty_padding="none"
    )
    assert alone.shape == (1, 77, 4096)


def test_flux_gets_two_prompts_and_its_guidance(flux: TextHandle) -> None:
    (((encoded, options),),) = CLIPTextEncodeFlux().run(
        clip=flux, clip_l="a cat", t5xxl="a dog", guidance=2.0
    )
    assert options["guidance"] == 2.0 and encoded.shape == (1, 256, 256)
    assert torch.equal(encoded, cond(flux, "a dog"))
    assert torch.equal(options["pooled_output"], flux.encode_text("a cat")[0][1]["pooled_output"])


def test_pixart_is_told_the_size_of_its_picture(flux: TextHandle) -> None:
    (((encoded, options),),) = CLIPTextEncodePixArtAlpha().run(flux, 640, 480, "a dog")
    assert torch.equal(encoded, cond(flux, "a dog"))
    assert (options["width"], options["height"]) == (640, 480)


def test_lumina_is_told_what_it_is_before_the_prompt(flux: TextHandle) -> None:
    from diffusers import Lumina2Pipeline

    said = Lumina2Pipeline(None, None, None, None, None).system_prompt
    expected = cond(flux, f"{said} <Prompt Start> a dog")
    (((superior, _),),) = CLIPTextEncodeLumina2().run(flux, "a dog", "superior")
    (((other, _),),) = CLIPTextEncodeLumina2().run(flux, "a dog", "alignment")
    assert torch.equal(superior, expected)
    assert not torch.equal(other, superior)


def test_encoders_of_hidream_get_prompts_of_their_own(sd3: TextHandle) -> None:
    texts = {"clip_l": "a cat", "clip_g": "a bird", "t5xxl": "a dog"}
    (((shared, _),),) = CLIPTextEncodeSD3().run(clip=sd3, **texts, empty_padding="empty_prompt")
    (((encoded, _),),) = CLIPTextEncodeHiDream().run(clip=sd3, **texts, llama="a fish")
    assert torch.equal(encoded, shared)


def test_encoders_of_kandinsky_get_prompts_of_their_own(tmp_path: Path, policy: Policy) -> None:
    clip = encoders.clip(width=768, layers=2, projected=None)
    paths = [
        language_models.write(
            tmp_path / "qwen.safetensors", language_models.tensors_of(language_models.qwen2_5_vl())
        ),
        language_models.write(tmp_path / "clip_l.safetensors", tensors_of({"": clip})),
    ]
    handle = load_text("kandinsky5", paths, policy, language_models.NOWHERE)
    (((encoded, options),),) = CLIPTextEncodeKandinsky5().run(
        clip=handle, clip_l="a cat", qwen25_7b="a dog"
    )
    cat, dog = (handle.encode_text(text)[0] for text in ("a cat", "a dog"))
    assert torch.equal(encoded, dog[0])
    assert torch.equal(options["pooled_output"], cat[1]["pooled_output"])


def test_encoders_of_another_model_are_refused(folders: Folders, sdxl: TextHandle) -> None:
    with pytest.raises(InvalidInput, match="no tokens for the text encoders"):
        CLIPTextEncodeHunyuanDiT().run(clip=sdxl, bert="a cat", mt5xl="a dog")


def test_the_length_of_prompts_for_t5_is_an_option(flux: TextHandle) -> None:
    (made,) = T5TokenizerOptions().run(flux, 2, 10)
    assert cond(made, "a cat").shape[1] == 10 and cond(flux, "a cat").shape[1] == 256
    (padded,) = T5TokenizerOptions().run(flux, 5, 0)
    assert cond(padded, "a cat").shape[1] == len(("", "a", " cat", "end")) + 5


def test_a_layer_is_that_of_every_clip_encoder(sd3: TextHandle) -> None:
    (last,) = CLIPSetLastLayer().run(sd3, -1)
    changed = (cond(last, "a cat") != cond(sd3, "a cat"))[0]
    assert changed[:77, :64].any() and changed[:77, 64:192].any() and not changed[77:].any()


def test_encoders_are_mixed_and_subtracted_each_with_its_like(sd3: TextHandle) -> None:
    (scaled,) = CLIPAttentionMultiply().run(sd3, 1.0, 1.0, 2.0, 1.0)
    (half,) = CLIPMergeSimple().run(sd3, scaled, 0.5)
    (difference,) = CLIPMergeSubtract().run(scaled, sd3, 1.0)
    (again,) = CLIPMergeAdd().run(sd3, difference)
    layer = "text_model.encoder.layers.0.self_attn.v_proj.weight"
    for key in ("l", "g"):
        network = sd3.encoders[key].network
        name = next(n for n in network.names() if layer.endswith(n.removeprefix("text_model.")))
        for text, factor in ((scaled, 2.0), (half, 1.5), (again, 2.0)):
            merged = network.merged(name, text.encoders[key].patches.get(name, ()))
            torch.testing.assert_close(merged, factor * network.stored(name))
    torch.testing.assert_close(cond(again, "a cat"), cond(scaled, "a cat"), atol=1e-4, rtol=1e-4)


def test_each_encoder_is_saved_to_a_file_of_its_own(sd3: TextHandle, folders: Folders) -> None:
    CLIPSave().run(sd3, "clip/c")
    saved = {path.name for path in Path(folders.output, "clip").iterdir()}
    names = [f"c_{name}_00001_.safetensors" for name in ("clip_l", "clip_g", "t5xxl")]
    assert saved == set(names)
    (again,) = TripleCLIPLoader().run(*names)
    torch.testing.assert_close(cond(again, "a cat"), cond(sd3, "a cat"))


def test_an_offline_worker_asks_no_hub(tmp_path: Path, policy: Policy) -> None:
    with node_context(tmp_path, policy=policy):
        services = CLIPLoader().context.services
        assert text_folders(services).asks_hub
        assert not text_folders(replace(services, flags={"offline": True})).asks_hub
