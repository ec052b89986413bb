"""Runs the prompts of model parity cases, node by node, with the node classes of the registry.

Only for these tests. Checkpoints stay loaded between prompts, one at a time, and inputs are the
recorded ones; nothing else differs from what the worker's engine does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from executor.folders import Folders
from models.load import Checkpoint, load_checkpoint
from models.memory import Policy, choose_policy
from models.sampling.samplers import SAMPLERS
from models.text.combinations import TextFolders
from nodes.context import CURRENT, NodeContext, Services
from nodes.registry import NODE_CLASSES
from tests.nodes.context import RecordingReporter
from tests.parity import model_cases
from tests.parity.checkpoints import RECIPES, cache_folder, checkpoint
from tests.parity.report import ParityReport


class Workflow:
    """Runs prompts; checkpoints and diffusion models stay loaded, one of each at a time."""

    def __init__(self, policy: Policy, cache: Path) -> None:
        self.policy = policy
        self.cache = cache
        self._loaded: tuple[str, Checkpoint] | None = None
        self._unet: tuple[dict[str, Any], tuple[Any, ...]] | None = None
        self._folders = Folders.build(
            cache, models_dir=cache, input_dir=model_cases.root() / "inputs"
        )

    def checkpoint(self, name: str) -> Checkpoint:
        """A loaded checkpoint of the parity set."""
        if self._loaded is None or self._loaded[0] != name:
            self._loaded = None
            folders = TextFolders(
                embeddings=(checkpoint("parity_emb.safetensors", self.cache).parent,)
            )
            loaded = load_checkpoint(checkpoint(name, self.cache), self.policy, folders)
            self._loaded = (name, loaded)
        return self._loaded[1]

    def run(self, prompt: dict[str, dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
        """The outputs of every node except those that save files."""
        results: dict[str, tuple[Any, ...]] = {}
        services = Services(folders=self._folders, model_policy=self.policy)
        context = NodeContext(
            prompt_id="parity",
            node_id="1",
            list_index=0,
            services=services,
            reporter=RecordingReporter(),
        )
        token = CURRENT.set(context)
        try:
            for node_id, node in prompt.items():
                if node["class_type"] not in SAVING:
                    self._visit(prompt, node_id, results)
        finally:
            CURRENT.reset(token)
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
            for value in arguments.values():
                if isinstance(value, str) and value in RECIPES:
                    checkpoint(value, self.cache)
            results[node_id] = self._call(node["class_type"], arguments)
        return results[node_id]

    def _call(self, class_type: str, arguments: dict[str, Any]) -> tuple[Any, ...]:
        if class_type in RECORDED:
            return RECORDED[class_type](self, **arguments)
        if class_type != "UNETLoader":
            return self._run_node(class_type, arguments)
        if self._unet is None or self._unet[0] != arguments:
            self._unet = None
            self._unet = (arguments, self._run_node(class_type, arguments))
        return self._unet[1]

    def _run_node(self, class_type: str, arguments: dict[str, Any]) -> tuple[Any, ...]:
        node_class = NODE_CLASSES[class_type]
        function = getattr(node_class(), node_class.FUNCTION)
        result = function(**arguments)
        assert not inspect.isawaitable(result)
        outputs: tuple[Any, ...] = getattr(result, "args", result)
        return outputs


def _load_checkpoint(workflow: Workflow, ckpt_name: str) -> tuple[Any, ...]:
    loaded = workflow.checkpoint(ckpt_name)
    return loaded.model, loaded.text, loaded.vae


def _load_latent(workflow: Workflow, latent: str) -> tuple[Any]:
    return ({"samples": load_file(model_cases.input_file(latent))["latent_tensor"].float()},)


def _seeded_conditioning(
    workflow: Workflow, seed: int, tokens: int, dim: int, pooled_dim: int
) -> tuple[Any]:
    """Random text: no node of the reference, but of the harness that recorded the cases."""
    generator = np.random.Generator(np.random.PCG64(seed))
    context = generator.standard_normal((1, tokens, dim), np.float32)
    pooled = generator.standard_normal((1, pooled_dim), np.float32)
    return ([[torch.from_numpy(context), {"pooled_output": torch.from_numpy(pooled)}]],)


SAVING: Final = frozenset({"SaveImage", "SaveLatent"})

# Nodes whose inputs come from the recorded set: a checkpoint that is loaded once for all cases.
RECORDED: Final[dict[str, Callable[..., tuple[Any, ...]]]] = {
    "CheckpointLoaderSimple": _load_checkpoint,
    "LoadLatent": _load_latent,
    "ParityConditioning": _seeded_conditioning,
}


def open_workflow(config: pytest.Config) -> Workflow:
    """With checkpoints in DARKROOM_TEST_CACHE or in pytest's cache folder."""
    assert config.cache is not None
    folder = cache_folder(Path(config.cache.mkdir("darkroom-checkpoints")))
    return Workflow(choose_policy(cpu=True), folder)


def check_case(name: str, area: str, workflow: Workflow, report: ParityReport) -> None:
    """Run a case, record it in the report, and fail where it is too far from the reference."""
    case = model_cases.read(name)
    missing = not_built(case.prompt, set(SAMPLERS))
    if missing is not None:
        report.missing(area, name, missing)
        pytest.skip(f"{missing} is not built")
    passed, errors = False, {}
    try:
        results = workflow.run(case.prompt)
        for item in case.expected:
            actual = _array(results[item.node][item.slot], item.kind)
            errors[item] = model_cases.relative_distance(actual, case.arrays[item.array])
        pooled = case.arrays.get("cond0_pooled")
        if pooled is not None:
            first = results[case.expected[0].node][0][0]
            distance = model_cases.relative_distance(first[1]["pooled_output"], pooled)
            assert distance <= case.expected[0].limit
        passed = all(error <= item.limit for item, error in errors.items())
    finally:
        report.record(area, name, max(errors.values(), default=None), passed)
    assert passed, {item.array: (error, item.limit) for item, error in errors.items()}


def _array(value: Any, kind: str) -> NDArray[Any]:
    """The tensor that a case compares, out of the value on a socket."""
    tensor = {
        "latent": lambda: value["samples"],
        "image": lambda: value,
        "conditioning": lambda: value[0][0],
    }[kind]()
    array: NDArray[Any] = tensor.numpy()
    return array


def not_built(prompt: dict[str, dict[str, Any]], samplers: set[str]) -> str | None:
    """What a prompt needs that does not exist yet, if anything."""
    for node in prompt.values():
        name = node["class_type"]
        if name not in NODE_CLASSES and name not in RECORDED and name not in SAVING:
            return str(name)
        sampler = node["inputs"].get("sampler_name")
        if sampler is not None and sampler not in samplers:
            return f"sampler {sampler}"
    return None
