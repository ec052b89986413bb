"""Runs the prompts of model parity cases on the models library, node by node.

Only for these tests: each node is the library call that the node of that name stands for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from torch import Tensor

from models.handle import ModelHandle
from models.load import Checkpoint, load_checkpoint, load_vae
from models.lora import apply_lora, load_lora
from models.memory import Policy
from models.sampling.sample import sample_latent
from models.text.handle import TextHandle
from models.vae import VaeHandle
from nodes.base import Node
from nodes.latents import LatentUpscale, SetLatentNoiseMask
from nodes.loaded_images import read_image, read_mask
from nodes.vae import VAEEncodeForInpaint
from tests.parity import model_cases
from tests.parity.checkpoints import checkpoint


class Workflow:
    """Runs prompts; checkpoints stay loaded between them, one at a time."""

    def __init__(self, policy: Policy, cache: Path) -> None:
        self.policy = policy
        self.cache = cache
        self._loaded: tuple[str, Checkpoint] | None = None

    def checkpoint(self, name: str) -> Checkpoint:
        """A loaded checkpoint of the parity set."""
        if self._loaded is None or self._loaded[0] != name:
            self._loaded = None
            embeddings = checkpoint("parity_emb.safetensors", self.cache).parent
            loaded = load_checkpoint(checkpoint(name, self.cache), self.policy, [embeddings])
            self._loaded = (name, loaded)
        return self._loaded[1]

    def run(self, prompt: dict[str, dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
        """The outputs of every node except those that save files."""
        results: dict[str, tuple[Any, ...]] = {}
        for node_id, node in prompt.items():
            if node["class_type"] not in SAVING:
                self._visit(prompt, node_id, results)
        return results

    def _visit(
        self, prompt: dict[str, dict[str, Any]], node_id: str, results: dict[str, tuple[Any, ...]]
    ) -> tuple[Any, ...]:
        if node_id not in results:
            node = prompt[node_id]
            arguments = {
                name: self._visit(prompt, value[0], results)[value[1]]
                if isinstance(value, list)
                else value
                for name, value in node["inputs"].items()
            }
            results[node_id] = NODES[node["class_type"]](self, **arguments)
        return results[node_id]


def _load_checkpoint(workflow: Workflow, ckpt_name: str) -> tuple[Any, ...]:
    loaded = workflow.checkpoint(ckpt_name)
    return loaded.model, loaded.text, loaded.vae


def _load_vae(workflow: Workflow, vae_name: str) -> tuple[VaeHandle]:
    return (load_vae(checkpoint(vae_name, workflow.cache), workflow.policy),)


def _encode_text(workflow: Workflow, text: str, clip: TextHandle) -> tuple[Any]:
    return (clip.encode_text(text),)


def _set_layer(workflow: Workflow, clip: TextHandle, stop_at_clip_layer: int) -> tuple[TextHandle]:
    return (clip.with_layer(stop_at_clip_layer),)


def _load_lora(
    workflow: Workflow,
    model: ModelHandle,
    lora_name: str,
    strength_model: float,
    clip: TextHandle | None = None,
    strength_clip: float = 0.0,
) -> tuple[Any, ...]:
    lora = load_lora(checkpoint(lora_name, workflow.cache))
    return apply_lora(lora, model, clip, strength_model=strength_model, strength_text=strength_clip)


def _empty_latent(workflow: Workflow, width: int, height: int, batch_size: int) -> tuple[Any]:
    return ({"samples": torch.zeros(batch_size, 4, height // 8, width // 8)},)


def _load_latent(workflow: Workflow, latent: str) -> tuple[Any]:
    return ({"samples": load_file(model_cases.input_file(latent))["latent_tensor"].float()},)


def _load_image(workflow: Workflow, image: str) -> tuple[Tensor, Tensor]:
    return read_image(model_cases.input_file(image))


def _encode_image(workflow: Workflow, pixels: Tensor, vae: VaeHandle) -> tuple[Any]:
    return ({"samples": vae.encode(pixels)},)


def _decode(workflow: Workflow, samples: dict[str, Tensor], vae: VaeHandle) -> tuple[Tensor]:
    return (vae.decode(samples["samples"]),)


def _sample(
    workflow: Workflow,
    model: ModelHandle,
    latent_image: dict[str, Any],
    seed: int,
    **options: Any,
) -> tuple[Any]:
    return (sample_latent(model, latent_image, seed=seed, **options),)


def _sample_advanced(
    workflow: Workflow,
    model: ModelHandle,
    latent_image: dict[str, Any],
    noise_seed: int,
    add_noise: str,
    start_at_step: int,
    end_at_step: int,
    return_with_leftover_noise: str,
    **options: Any,
) -> tuple[Any]:
    result = sample_latent(
        model,
        latent_image,
        seed=noise_seed,
        disable_noise=add_noise == "disable",
        start_step=start_at_step,
        last_step=end_at_step,
        force_full_denoise=return_with_leftover_noise == "disable",
        **options,
    )
    return (result,)


def _node(node_class: type[Node]) -> Callable[..., tuple[Any, ...]]:
    """A node of ours that needs nothing but its arguments."""

    def run(_workflow: Workflow, **arguments: Any) -> tuple[Any, ...]:
        result: tuple[Any, ...] = getattr(node_class(), node_class.FUNCTION)(**arguments)
        return result

    return run


def _load_mask(workflow: Workflow, image: str, channel: str) -> tuple[Tensor]:
    return (read_mask(model_cases.input_file(image), channel),)


def _combine(workflow: Workflow, conditioning_1: list[Any], conditioning_2: list[Any]) -> Any:
    return (conditioning_1 + conditioning_2,)


SAVING: Final = frozenset({"SaveImage", "SaveLatent"})

NODES: Final[dict[str, Callable[..., tuple[Any, ...]]]] = {
    "CheckpointLoaderSimple": _load_checkpoint,
    "VAELoader": _load_vae,
    "LoraLoader": _load_lora,
    "LoraLoaderModelOnly": _load_lora,
    "CLIPTextEncode": _encode_text,
    "CLIPSetLastLayer": _set_layer,
    "EmptyLatentImage": _empty_latent,
    "LoadLatent": _load_latent,
    "LoadImage": _load_image,
    "VAEEncode": _encode_image,
    "VAEDecode": _decode,
    "KSampler": _sample,
    "KSamplerAdvanced": _sample_advanced,
    "LoadImageMask": _load_mask,
    "ConditioningCombine": _combine,
    "LatentUpscale": _node(LatentUpscale),
    "SetLatentNoiseMask": _node(SetLatentNoiseMask),
    "VAEEncodeForInpaint": _node(VAEEncodeForInpaint),
}


def not_built(prompt: dict[str, dict[str, Any]], samplers: set[str]) -> str | None:
    """What a prompt needs that does not exist yet, if anything."""
    for node in prompt.values():
        if node["class_type"] not in NODES and node["class_type"] not in SAVING:
            return str(node["class_type"])
        sampler = node["inputs"].get("sampler_name")
        if sampler is not None and sampler not in samplers:
            return f"sampler {sampler}"
    return None
