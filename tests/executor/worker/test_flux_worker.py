"""Flux in the real worker process: its nodes from files of tiny networks to pictures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from executor.messages import Finished, Ready
from executor.worker_config import WorkerConfig
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node
from tests.models.control.test_flux_control import network
from tests.models.text.encoders import T5_TOKENIZER, clip, t5, tensors_of
from tests.models.tiny import TinyModel, save
from tests.models.tiny_flux import TinyFlux

TINY = TinyFlux()
VAE = TinyModel(vae_latent=16, vae_quant=False)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with models and an input image."""
    base = tmp_path_factory.mktemp("base")
    folders = (
        "diffusion_models", "vae", "loras", "controlnet", "embeddings", "text_encoders",
        "checkpoints", "tokenizers/t5xxl",
    )  # fmt: skip
    for name in (*(f"models/{folder}" for folder in folders), "input", "output", "temp"):
        (base / name).mkdir(parents=True)
    models = base / "models"
    for name, model in {
        "dev": TINY,
        "schnell": TinyFlux(guidance=False),
        "fill": TinyFlux(channels=384),
        "depth": TinyFlux(channels=128),
    }.items():
        save(models / "diffusion_models" / f"{name}.safetensors", model.tensors())
    save(models / "vae" / "ae.safetensors", VAE.vae(), VAE.config)
    factors = {"lora_up": torch.ones(192, 1), "lora_down": torch.ones(1, 64)}
    layer = "lora_unet_double_blocks_0_img_attn_qkv"
    lora = {f"{layer}.{kind}.weight": tensor for kind, tensor in factors.items()}
    save_file(lora, models / "loras" / "l.safetensors")
    save_file(controlnet(), models / "controlnet" / "c.safetensors")
    (models / "tokenizers" / "t5xxl" / "tokenizer.json").symlink_to(T5_TOKENIZER)
    texts = {"clip_l": tensors_of({"": clip(projected=None)}), "t5xxl": tensors_of({"": t5(24)})}
    del texts["t5xxl"]["encoder.embed_tokens.weight"]  # the same as `shared.weight`
    for name, tensors in texts.items():
        save(models / "text_encoders" / f"{name}.safetensors", tensors)
    whole = TinyFlux(pooled=64).tensors("model.diffusion_model.")
    whole |= {f"vae.{name}": tensor for name, tensor in VAE.vae().items()}
    for encoder, tensors in texts.items():
        prefix = f"text_encoders.{encoder}.transformer."
        whole |= {prefix + name: tensor for name, tensor in tensors.items()}
    save(models / "checkpoints" / "whole.safetensors", whole, {"vae": VAE.config["vae"]})
    torch.manual_seed(3)
    prompt = {"conditioning": torch.randn(1, 6, TINY.context)}
    prompt["pooled_output"] = torch.randn(1, TINY.pooled)
    save_file(prompt, models / "embeddings" / "prompt.safetensors")
    picture = Image.new("RGBA", (64, 64), (200, 30, 30, 255))
    picture.paste((0, 0, 0, 0), (16, 16, 48, 48))
    picture.save(base / "input" / "hole.png")
    return base


def controlnet() -> dict[str, torch.Tensor]:
    """The weights of a ControlNet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return {name: tensor.clone() for name, tensor in network().state_dict().items()}


@pytest.fixture(scope="module")
def client(base: Path) -> Iterator[Client]:
    """A worker over these files."""
    config = WorkerConfig(base=str(base), cpu=True)
    with worker("executor.worker", "--config", config.to_json()) as client:
        client.wait_for(Ready)
        yield client


def graph(unet: str = "dev", **more: Any) -> dict[str, Any]:
    """A network, a prompt, a sampler and a decoder; `more` nodes take places among them."""
    nodes = {
        "model": node("UNETLoader", unet_name=f"{unet}.safetensors", weight_dtype="default"),
        "vae": node("VAELoader", vae_name="ae.safetensors"),
        "prompt": node("ConditioningLoader", conditioning_name="prompt.safetensors"),
        "picture": node("LoadImage", image="hole.png"),
        "known": node("VAEEncode", pixels=["picture", 0], vae=["vae", 0]),
        "latent": node("EmptySD3LatentImage", width=64, height=64, batch_size=1),
        "guided": node("FluxGuidance", conditioning=["prompt", 0], guidance=3.5),
        "guider": node("BasicGuider", model=["model", 0], conditioning=["guided", 0]),
        "noise": node("RandomNoise", noise_seed=1),
        "sampler": node("KSamplerSelect", sampler_name="euler"),
        "sigmas": node(
            "BasicScheduler", model=["model", 0], scheduler="simple", steps=2, denoise=1.0
        ),
        "sample": node(
            "SamplerCustomAdvanced", noise=["noise", 0], guider=["guider", 0],
            sampler=["sampler", 0], sigmas=["sigmas", 0], latent_image=["latent", 0],
        ),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["vae", 0]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="flux"),
    }  # fmt: skip
    return nodes | more


def finished(client: Client, prompt: dict[str, Any], *outputs: str) -> Finished:
    last = client.run(prompt, *(outputs or ("save",)))[-1]
    assert isinstance(last, Finished)
    return last


def drawn(client: Client, base: Path, prompt: dict[str, Any]) -> NDArray[Any]:
    """The picture of a prompt that has to succeed."""
    last = finished(client, prompt)
    assert last.succeeded, last.messages[-1]
    (entry,) = last.outputs["save"]["images"]
    with Image.open(base / "output" / entry["filename"]) as picture:
        return np.asarray(picture, np.float32)


def guided_by(**inputs: Any) -> dict[str, Any]:
    return {"guider": node("BasicGuider", **({"model": ["model", 0]} | inputs))}


VARIANTS: dict[str, dict[str, Any]] = {
    "guidance": {"guided": node("FluxGuidance", conditioning=["prompt", 0], guidance=30.0)},
    "no guidance": {"guided": node("FluxDisableGuidance", conditioning=["prompt", 0])},
    "shift": {
        "shifted": node("ModelSamplingFlux", model=["model", 0], max_shift=3.0, base_shift=2.5,
                        width=512, height=512),
        "sigmas": node("BasicScheduler", model=["shifted", 0], scheduler="simple", steps=2,
                       denoise=1.0),
        **guided_by(model=["shifted", 0], conditioning=["guided", 0]),
    },
    "reference": {
        "refer": node("ReferenceLatent", conditioning=["guided", 0], latent=["known", 0]),
        **guided_by(conditioning=["refer", 0]),
    },
    "LoRA": {
        "lora": node("LoraLoaderModelOnly", model=["model", 0], lora_name="l.safetensors",
                     strength_model=1.0),
        **guided_by(model=["lora", 0], conditioning=["guided", 0]),
    },
    "control": {
        "control": node("ControlNetLoader", control_net_name="c.safetensors"),
        "apply": node("ControlNetApplyAdvanced", positive=["guided", 0], negative=["guided", 0],
                      control_net=["control", 0], image=["picture", 0], vae=["vae", 0],
                      strength=1.0, start_percent=0.0, end_percent=1.0),
        **guided_by(conditioning=["apply", 0]),
    },
    "skipped layers": {
        "slg": node("SkipLayerGuidanceDiTSimple", model=["model", 0], double_layers="0",
                    single_layers="1", start_percent=0.0, end_percent=1.0),
        "guider": node("CFGGuider", model=["slg", 0], positive=["guided", 0],
                       negative=["prompt", 0], cfg=3.0),
    },
}  # fmt: skip


def test_every_way_of_steering_makes_a_picture_of_its_own(client: Client, base: Path) -> None:
    plain = drawn(client, base, graph())
    assert plain.shape == (64, 64, 3)
    pictures = {name: drawn(client, base, graph(**more)) for name, more in VARIANTS.items()}
    for name, picture in pictures.items():
        assert not np.array_equal(picture, plain), name


def test_schnell_heeds_no_guidance(client: Client, base: Path) -> None:
    first = drawn(client, base, graph("schnell"))
    second = drawn(client, base, graph("schnell", **VARIANTS["guidance"]))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("unet", "conditioning"),
    [
        ("fill", {"class": "InpaintModelConditioning", "mask": ["picture", 1], "noise_mask": True}),
        ("depth", {"class": "InstructPixToPixConditioning"}),
    ],
)
def test_networks_that_see_a_picture_get_one(
    unet: str, conditioning: dict[str, Any], client: Client, base: Path
) -> None:
    told = {name: value for name, value in conditioning.items() if name != "class"}
    seen = node(
        conditioning["class"], positive=["guided", 0], negative=["guided", 0], vae=["vae", 0],
        pixels=["picture", 0], **told,
    )  # fmt: skip
    guider = guided_by(conditioning=["seen", 0])
    latent = {"sample": node(
        "SamplerCustomAdvanced", noise=["noise", 0], guider=["guider", 0], sampler=["sampler", 0],
        sigmas=["sigmas", 0], latent_image=["seen", 2],
    )}  # fmt: skip
    with_picture = drawn(client, base, graph(unet, seen=seen, **guider, **latent))
    without = drawn(client, base, graph(unet))
    assert with_picture.shape == without.shape == (64, 64, 3)
    assert not np.array_equal(with_picture, without)


def test_a_checkpoint_with_all_parts_draws_what_they_draw_from_files_of_their_own(
    client: Client, base: Path
) -> None:
    whole: dict[str, Any] = {
        "model": node("CheckpointLoaderSimple", ckpt_name="whole.safetensors"),
        "vae": node("VAELoader", vae_name="ae.safetensors"),
        "prompt": node(
            "CLIPTextEncodeFlux", clip=["model", 1], clip_l="red", t5xxl="a red fox", guidance=3.5
        ),
    }
    apart: dict[str, Any] = {
        "clip": node(
            "DualCLIPLoader", clip_name1="t5xxl.safetensors", clip_name2="clip_l.safetensors",
            type="flux",
        ),
        "prompt": node(
            "CLIPTextEncodeFlux", clip=["clip", 0], clip_l="red", t5xxl="a red fox", guidance=3.5
        ),
    }  # fmt: skip
    decoded: dict[str, Any] = {"decode": node("VAEDecode", samples=["sample", 0], vae=["model", 2])}
    first = drawn(client, base, graph(**whole, **decoded))
    assert np.array_equal(first, drawn(client, base, graph(**(whole | apart))))
    whole["prompt"]["inputs"]["t5xxl"] = "a blue whale"
    assert not np.array_equal(first, drawn(client, base, graph(**whole)))


def test_a_model_is_saved_as_it_came(client: Client, base: Path) -> None:
    prompt = graph(saved=node("ModelSave", model=["model", 0], filename_prefix="flux_model"))
    assert finished(client, prompt, "saved").succeeded
    (path,) = (base / "output").glob("flux_model*.safetensors")
    found, expected = load_file(path), TINY.tensors("model.diffusion_model.")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    with safe_open(path, framework="pt") as file:
        assert "darkroom.config" not in file.metadata()


def test_a_method_that_flux_does_not_know_is_named(client: Client) -> None:
    method = node(
        "FluxKontextMultiReferenceLatentMethod", conditioning=["refer", 0],
        reference_latents_method="index_timestep_zero",
    )  # fmt: skip
    more = VARIANTS["reference"] | {"method": method} | guided_by(conditioning=["method", 0])
    last = finished(client, graph(**more))
    assert not last.succeeded
    assert "index_timestep_zero" in last.messages[-1][1]["exception_message"]
