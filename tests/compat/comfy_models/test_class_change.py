"""Packs turn a model into one of a patcher class of theirs, in place and by clones."""

from __future__ import annotations

from typing import Any, Self

import pytest
import torch
from comfy.model_patcher import ModelPatcher

from models.handle import ModelHandle
from tests.compat.comfy_models.runs import run


class Theirs(ModelPatcher):
    """Of a pack; clones of any patcher are made into it."""

    on_device = False
    loads = 0

    def clone(self, **changes: Any) -> Self:
        before = self.__class__
        self.__class__ = Theirs  # type: ignore[assignment]
        made = super().clone(**changes)
        made.__class__ = Theirs  # type: ignore[assignment]
        self.__class__ = before
        made.on_device = getattr(self, "on_device", True)
        return made

    def load(self, *args: Any, force_patch_weights: bool = False, **options: Any) -> None:
        self.loads += 1
        super().load(*args, force_patch_weights=True, **options)  # type: ignore[misc]


def test_a_clone_of_a_packs_class_computes_what_the_model_does(model: ModelHandle) -> None:
    theirs: Any = Theirs.clone(model)  # type: ignore[type-var]
    assert isinstance(theirs, Theirs) and isinstance(theirs, ModelHandle)
    assert type(model) is ModelHandle
    again = theirs.clone()
    assert type(again) is type(theirs) and again.is_clone(model)
    assert torch.equal(run(again), run(model))
    key = next(name for name in again.get_key_patches() if name.endswith("weight"))
    again.add_patches({key: (torch.ones_like(again.model_state_dict()[key]),)}, 5.0)
    assert not torch.equal(run(again), run(model))


def test_a_patcher_is_turned_back(model: ModelHandle) -> None:
    model.__class__ = Theirs  # type: ignore[assignment]
    assert isinstance(model, Theirs)
    model.__class__ = ModelHandle  # type: ignore[assignment]
    assert type(model) is ModelHandle


def test_a_class_that_is_no_patcher_is_refused(model: ModelHandle) -> None:
    with pytest.raises(TypeError, match="dict"):
        model.__class__ = dict  # type: ignore[assignment]


def test_methods_that_load_parts_can_be_overridden_and_called() -> None:
    cpu = torch.device("cpu")
    module = torch.nn.Linear(2, 2).requires_grad_(False)
    before = module.weight.clone()
    patcher = Theirs(module, cpu, cpu)
    patcher.add_patches({"weight": (torch.ones(2, 2),)})
    patcher.partially_load(cpu)
    assert patcher.loads == 1
    assert torch.allclose(module.weight, before + 1)
    patcher.unpatch_model()
    assert torch.equal(module.weight, before)
    patcher.patch_weight_to_device("weight")
    patcher.patch_weight_to_device("bias")  # has no patches
    assert torch.allclose(module.weight, before + 1)
    assert patcher.partially_unload(cpu) == 0  # it waits where it computes
    assert torch.equal(module.weight, before)
