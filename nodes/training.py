"""Nodes that train a LoRA, load it as it is in memory, write it, and draw how its loss went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, get_args

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.handle import ModelHandle
from models.lora import Lora, apply_lora, group_tensors, load_lora
from models.lora.files import Parts
from models.training import Course, train
from models.training.new_parts import Algorithm
from models.training.run import Loss, Optimizer
from models.weights import open_weights
from nodes.base import FileOptions, inputs
from nodes.loss_pictures import loss_picture
from nodes.saved_files import save_files, target_for
from nodes.saved_images import metadata_of, png_text
from nodes.saved_models import ModelSaver
from nodes.schema import SchemaNode

_MODULE: Final = "comfy_extras.nodes_train"
_NO_LORA: Final = "[None]"
_DTYPES: Final = {"bf16": torch.bfloat16, "fp32": torch.float32}
_STEPS_KEY: Final = "ss_steps"  # where kohya's trainers note in a file how long it was trained


class TrainLoraNode(SchemaNode):
    """Trains an adapter of a diffusion model on latents and their prompts."""

    DISPLAY_NAME = "Train LoRA"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "training"
    EXPERIMENTAL = True
    INPUT_IS_LIST: ClassVar[bool] = True
    REQUIRED = inputs(
        model=("MODEL", {}),
        latents=("LATENT", {}),
        positive=("CONDITIONING", {}),
        batch_size=("INT", {"default": 1, "min": 1, "max": 10000}),
        grad_accumulation_steps=("INT", {"default": 1, "min": 1, "max": 1024}),
        steps=("INT", {"default": 16, "min": 1, "max": 100000}),
        learning_rate=("FLOAT", {"default": 0.0005, "min": 1e-7, "max": 1.0, "step": 1e-7}),
        rank=("INT", {"default": 8, "min": 1, "max": 128}),
        optimizer=(list(get_args(Optimizer)), {"default": "AdamW"}),
        loss_function=(list(get_args(Loss)), {"default": "MSE"}),
        seed=("INT", {"default": 0, "min": 0, "max": 2**64 - 1}),
        training_dtype=(["bf16", "fp32"], {"default": "bf16"}),
        lora_dtype=(["bf16", "fp32"], {"default": "bf16"}),
        algorithm=(list(get_args(Algorithm)), {"default": "LoRA"}),
        gradient_checkpointing=("BOOLEAN", {"default": True}),
        existing_lora=(FileOptions("loras", extra=(_NO_LORA,)), {"default": _NO_LORA}),
        bucket_mode=("BOOLEAN", {"default": False}),
    )
    RETURN_TYPES = ("MODEL", "LORA_MODEL", "LOSS_MAP", "INT")
    RETURN_NAMES = ("model", "lora", "loss_map", "steps")

    def run(
        self,
        model: Sequence[ModelHandle],
        latents: Sequence[Mapping[str, Tensor]],
        positive: Sequence[Any],
        existing_lora: Sequence[str] = (_NO_LORA,),
        **settings: Sequence[Any],
    ) -> tuple[ModelHandle, dict[str, Tensor], dict[str, list[float]], int]:
        """The model with the adapter, the adapter, the loss of each step, and all steps so far.

        One prompt is for all latents, else each latent has its own. `bucket_mode` takes batches of
        one size, as ResolutionBucket makes them; without it batches are made of whatever fits.
        """
        course = _course({name: values[0] for name, values in settings.items()})
        start, before = self._start(existing_lora[0])
        trained = train(
            model[0],
            [latent["samples"] for latent in latents],
            positive,
            course,
            progress=self._report,
            start=start,
        )
        changed = with_lora(model[0], trained.tensors, 1.0)
        return changed, trained.tensors, {"loss": trained.losses}, before + course.steps

    def _start(self, name: str) -> tuple[Mapping[str, Parts] | None, int]:
        """The LoRA to go on from, and how many steps it has had."""
        if name == _NO_LORA:
            return None, 0
        path = self.context.folders.full_path("loras", name)
        steps = open_weights(path).metadata.get(_STEPS_KEY, "")
        return load_lora(path).groups, int(steps) if steps.isdecimal() else 0

    def _report(self, step: int, steps: int, loss: float) -> None:
        self.context.report(step, steps)
        self.context.report_text(f"step {step} of {steps}, loss {loss:.4f}")


def _course(settings: Mapping[str, Any]) -> Course:
    return Course(
        steps=settings["steps"],
        batch_size=settings["batch_size"],
        accumulated=settings["grad_accumulation_steps"],
        learning_rate=settings["learning_rate"],
        rank=settings["rank"],
        algorithm=settings["algorithm"],
        optimizer=settings["optimizer"],
        loss=settings["loss_function"],
        seed=settings["seed"],
        dtype=_DTYPES[settings["training_dtype"]],
        adapter_dtype=_DTYPES[settings["lora_dtype"]],
        saves_memory=settings["gradient_checkpointing"],
        by_size=settings["bucket_mode"],
    )


def with_lora(model: ModelHandle, tensors: Mapping[str, Tensor], strength: float) -> ModelHandle:
    """The model with a LORA_MODEL value: tensors under the names of LoRA files."""
    lora = Lora(path=Path("LORA_MODEL"), groups=group_tensors(tensors))
    return apply_lora(lora, model, None, strength_model=strength, strength_text=0.0)[0]


class LoraModelLoader(SchemaNode):
    """Applies a LoRA that was trained in the same graph."""

    DISPLAY_NAME = "Load LoRA Model"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "loaders"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        model=("MODEL", {}),
        lora=("LORA_MODEL", {}),
        strength_model=("FLOAT", {"default": 1.0, "min": -100.0, "max": 100.0}),
    )
    RETURN_TYPES = ("MODEL",)
    RETURN_NAMES = ("model",)

    def run(
        self, model: ModelHandle, lora: Mapping[str, Tensor], strength_model: float
    ) -> tuple[ModelHandle]:
        """Strength 0 leaves the model as it is."""
        return (model if strength_model == 0 else with_lora(model, lora, strength_model),)


class SaveLoRA(SchemaNode, ModelSaver):
    """Writes a LoRA that was trained."""

    DISPLAY_NAME = "Save LoRA Weights"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "loaders"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        lora=("LORA_MODEL", {}),
        prefix=("STRING", {"default": "loras/ComfyUI_trained_lora", "multiline": False}),
    )
    OPTIONAL = inputs(steps=("INT", {}))

    def run(
        self,
        lora: Mapping[str, Tensor],
        prefix: str,
        steps: int | None = None,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The steps go into the name, and into the file for who trains it further.

        Raises InvalidInput for what is no LoRA.
        """
        if not isinstance(lora, Mapping) or not all(isinstance(t, Tensor) for t in lora.values()):
            raise InvalidInput("a LoRA is tensors by name, as TrainLoraNode makes it")
        if steps is None:
            return self.save(prefix, lora, {}, prompt, extra_pnginfo)
        said = {_STEPS_KEY: str(steps)}
        return self.save(f"{prefix}_{steps}_steps", lora, said, prompt, extra_pnginfo)


class LossGraphNode(SchemaNode):
    """Draws the loss of each step of a training."""

    DISPLAY_NAME = "Plot Loss Graph"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "training"
    EXPERIMENTAL = True
    OUTPUT_NODE = True
    HIDDEN = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))
    REQUIRED = inputs(
        loss=("LOSS_MAP", {}),
        filename_prefix=("STRING", {"default": "loss_graph", "multiline": False}),
    )

    def run(
        self,
        loss: Mapping[str, Sequence[float]],
        filename_prefix: str,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """A PNG file in the output folder, with the workflow inside unless that is off."""
        try:
            picture = loss_picture(loss["loss"])
        except (TypeError, LookupError, OverflowError, RuntimeError) as error:
            raise InvalidInput("a loss is a list of numbers, 'loss', one for each step") from error
        metadata = metadata_of(self.context.settings, prompt, extra_pnginfo)
        chunks = png_text(metadata) if metadata else None
        target = target_for(self.context, filename_prefix)
        saved = save_files(target, [lambda path: picture.save(path, "PNG", pnginfo=chunks)], "png")
        return {"ui": {"images": saved}}
