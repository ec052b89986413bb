"""Hooks in runs of a tiny model: each against a run that says the same without hooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from executor.folders import Folders
from models.conditioning import Conditioning
from models.load import Checkpoint, load_checkpoint
from models.lora import apply_lora, load_lora
from models.memory import Policy
from models.protocol.hooks import HookGroup
from models.protocol.sampling import sample_latent
from nodes import hooked_conditioning, hooks
from tests.models.conftest import policy, tiny, tiny_file
from tests.models.tiny import TinyModel, save
from tests.nodes.context import node_context

__all__ = ["policy", "tiny", "tiny_file"]

UNET = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_v"
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1"
FULL = (0.0, 1.0)


@pytest.fixture
def folders(tmp_path: Path, policy: Policy) -> Any:
    generator = torch.Generator().manual_seed(5)
    sizes = {
        f"{UNET}.lora_B.weight": (16, 2), f"{UNET}.lora_A.weight": (2, 16),
        f"{TEXT}.lora_up.weight": (64, 2), f"{TEXT}.lora_down.weight": (2, 16),
    }  # fmt: skip
    with node_context(tmp_path, policy=policy) as made:
        path = Path(made.kind_folders("loras")[0]) / "style.safetensors"
        save_file({name: torch.randn(s, generator=generator) for name, s in sizes.items()}, path)
        yield made


def with_lora(tiny: Checkpoint, folders: Folders, strength: float) -> tuple[Any, Any]:
    """The model and the text encoder with the LoRA put in for good."""
    lora = load_lora(Path(folders.full_path("loras", "style.safetensors")))
    return apply_lora(lora, tiny.model, tiny.text, strength_model=strength, strength_text=strength)


def lora_hook(strength: float = 0.7, **more: Any) -> HookGroup:
    (made,) = hooks.CreateHookLora().run("style.safetensors", strength, strength, **more)
    return made


def prompt(seed: int) -> Conditioning:
    return [[torch.randn(1, 77, 16, generator=torch.Generator().manual_seed(seed)), {}]]


POSITIVE, NEGATIVE = prompt(1), prompt(2)


def sample(
    model: Any, positive: Any = POSITIVE, negative: Any = NEGATIVE, **changes: Any
) -> Tensor:
    options: dict[str, Any] = {
        "seed": 3, "steps": 4, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal",
    }  # fmt: skip
    latent = changes.pop("latent", torch.zeros(1, 4, 8, 8))
    options |= {"positive": positive, "negative": negative, **changes}
    result: Tensor = sample_latent(model, {"samples": latent}, **options)["samples"]
    return result


def same(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-3)


def hooked(value: Conditioning, group: HookGroup | None, **more: Any) -> Conditioning:
    node = hooked_conditioning.ConditioningSetProperties()
    (made,) = node.run(value, 1.0, "default", hooks=group, **more)
    return made


def test_hooks_on_both_sides_are_a_lora_in_the_model(tiny: Checkpoint, folders: Folders) -> None:
    plain, group = sample(tiny.model), lora_hook()
    both = (hooked(POSITIVE, group), hooked(NEGATIVE, group))
    expected = sample(with_lora(tiny, folders, 0.7)[0])
    assert not torch.allclose(expected, plain, atol=1e-2)
    same(sample(tiny.model, *both), expected)
    assert torch.equal(sample(tiny.model), plain)


def test_a_hook_on_one_side_leaves_the_other_alone(tiny: Checkpoint, folders: Folders) -> None:
    options: dict[str, Any] = {"steps": 1}
    wanted = sample(with_lora(tiny, folders, 0.7)[0], cfg=1.0, **options)
    unwanted = sample(tiny.model, NEGATIVE, cfg=1.0, **options)
    mixed = sample(tiny.model, hooked(POSITIVE, lora_hook()), cfg=3.0, **options)
    same(mixed, unwanted + 3.0 * (wanted - unwanted))  # a single step to 0 is the prediction


def test_weights_are_merged_once_although_the_sides_differ(
    tiny: Checkpoint, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged: list[str] = []
    network = tiny.model.network
    fill = network._fill

    def count(name: str) -> None:
        merged.append(name)
        fill(name)

    sample(tiny.model)  # so that it has no patches
    monkeypatch.setattr(network, "_fill", count)
    sample(tiny.model, hooked(POSITIVE, lora_hook()), steps=6)
    assert len(merged) == 1  # the file has one layer of the UNet


def test_keyframes_switch_a_lora_off_within_the_run(tiny: Checkpoint, folders: Folders) -> None:
    (frames,) = hooks.CreateHookKeyframe().run(1.0, 0.0)
    (frames,) = hooks.CreateHookKeyframe().run(0.0, 0.5, frames)
    (group,) = hooks.SetHookKeyframes().run(lora_hook(), frames)
    both = (hooked(POSITIVE, group), hooked(NEGATIVE, group))
    # Four steps of the normal scheduler: the third is the first one at half the timesteps or less.
    half = sample(with_lora(tiny, folders, 0.7)[0], last_step=2)
    expected = sample(tiny.model, latent=half, start_step=2, disable_noise=True)
    same(sample(tiny.model, *both), expected)


def test_several_hooks_add_up(tiny: Checkpoint, folders: Folders) -> None:
    twice = lora_hook(0.4, prev_hooks=lora_hook(0.3))
    (same_twice,) = hooks.CombineHooks2().run(hooks_A=lora_hook(0.3), hooks_B=lora_hook(0.4))
    assert same_twice is not None
    expected = sample(with_lora(tiny, folders, 0.7)[0])
    for group in (twice, same_twice):
        same(sample(tiny.model, hooked(POSITIVE, group), hooked(NEGATIVE, group)), expected)


def test_a_range_limits_a_hooked_prompt(tiny: Checkpoint, folders: Folders) -> None:
    inside, before, after = hooked_conditioning.ConditioningTimestepsRange().run(0.25, 0.5)
    assert (before, after) == ((0.0, 0.25), (0.5, 1.0))
    never = hooked(POSITIVE, lora_hook(), timesteps=(1.0, 1.0))
    same(sample(tiny.model, [*POSITIVE, *never]), sample(tiny.model))
    sometimes = [*POSITIVE, *hooked(prompt(4), lora_hook(), timesteps=inside)]
    assert not torch.allclose(sample(tiny.model, sometimes), sample(tiny.model), atol=1e-2)


def test_another_checkpoint_as_a_hook_is_that_checkpoint(
    tiny: Checkpoint, folders: Folders, policy: Policy
) -> None:
    other = TinyModel()
    tensors = {name: t.flip(0).contiguous() for name, t in other.tensors().items()}
    path = Path(folders.kind_folders("checkpoints")[0]) / "other.safetensors"
    save(path, tensors, other.config)
    (group,) = hooks.CreateHookModelAsLora().run("other.safetensors", 1.0, 1.0)
    both = (hooked(POSITIVE, group), hooked(NEGATIVE, group))
    same(sample(tiny.model, *both), sample(load_checkpoint(path, policy).model))
    (text,) = hooks.SetClipHooks().run(tiny.text, False, False, group)
    other_text = load_checkpoint(path, policy).text
    assert other_text is not None
    same(text.encode_text("a fox")[0][0], other_text.encode_text("a fox")[0][0])


def test_a_model_only_hook_leaves_the_text_encoder(tiny: Checkpoint, folders: Folders) -> None:
    assert tiny.text is not None
    (group,) = hooks.CreateHookLoraModelOnly().run("style.safetensors", 0.7)
    (text,) = hooks.SetClipHooks().run(tiny.text, True, False, group)
    [[context, options]] = text.encode_text("a fox")
    assert torch.equal(context, tiny.text.encode_text("a fox")[0][0])
    assert options["hooks"] is group


def test_a_hooked_text_encoder_encodes_with_the_lora(tiny: Checkpoint, folders: Folders) -> None:
    (text,) = hooks.SetClipHooks().run(tiny.text, False, False, lora_hook())
    [[context, options]] = text.encode_text("a (fox:1.2)")
    same(context, with_lora(tiny, folders, 0.7)[1].encode_text("a (fox:1.2)")[0][0])
    assert "hooks" not in options


def test_a_scheduled_text_encoder_encodes_for_each_part_of_the_run(
    tiny: Checkpoint, folders: Folders
) -> None:
    (frames,) = hooks.CreateHookKeyframesFromFloats().run([1.0, 0.5], 0.0, 0.5)
    (group,) = hooks.SetHookKeyframes().run(lora_hook(), frames)
    (text,) = hooks.SetClipHooks().run(tiny.text, True, True, group)
    entries = text.encode_text("a fox")
    ranges = [(o["clip_start_percent"], o["clip_end_percent"]) for _, o in entries]
    assert ranges == [(0.0, 0.5), (0.5, 1.0)]
    for (context, _), strength in zip(entries, (0.7, 0.35), strict=True):
        same(context, with_lora(tiny, folders, strength)[1].encode_text("a fox")[0][0])
    assert torch.isfinite(sample(tiny.model, entries)).all()


def test_a_default_prompt_acts_where_masks_leave_something(tiny: Checkpoint) -> None:
    left = torch.zeros(1, 8, 8)
    left[..., :4] = 1.0
    masked = hooked(POSITIVE, None, mask=left)
    (value,) = hooked_conditioning.ConditioningSetDefaultCombine().run(masked, prompt(4))
    explicit = [*masked, *hooked(prompt(4), None, mask=1 - left)]
    same(sample(tiny.model, value), sample(tiny.model, explicit))
    (covered,) = hooked_conditioning.ConditioningSetDefaultCombine().run(POSITIVE, prompt(4))
    same(sample(tiny.model, covered), sample(tiny.model))


def test_pairs_go_side_by_side() -> None:
    pair = hooked_conditioning.PairConditioningCombine().run(
        POSITIVE, NEGATIVE, prompt(3), prompt(4)
    )
    assert [len(side) for side in pair] == [2, 2]
    group, mask = HookGroup(), torch.ones(1, 8, 8)
    changed = hooked_conditioning.PairConditioningSetPropertiesAndCombine().run(
        POSITIVE, NEGATIVE, prompt(3), prompt(4), 0.5, "mask bounds", mask, group, FULL
    )
    for side in changed:
        assert side[0][1] == {}
        assert side[1][1] == {
            "hooks": group, "mask": mask, "mask_strength": 0.5, "set_area_to_bounds": True,
            "start_percent": 0.0, "end_percent": 1.0,
        }  # fmt: skip


def test_properties_and_defaults_of_pairs_are_those_of_single_ones() -> None:
    group = HookGroup()
    pair = hooked_conditioning.PairConditioningSetProperties().run(
        POSITIVE, NEGATIVE, 1.0, "default", hooks=group
    )
    assert [side[0][1] for side in pair] == [{"hooks": group}, {"hooks": group}]
    default = hooked_conditioning.PairConditioningSetDefaultCombine().run(
        POSITIVE, NEGATIVE, prompt(3), prompt(4)
    )
    assert [side[1][1] for side in default] == [{"default": True}, {"default": True}]
    (single,) = hooked_conditioning.ConditioningSetPropertiesAndCombine().run(
        POSITIVE, prompt(3), 1.0, "default", timesteps=FULL
    )
    assert single[1][1] == {"start_percent": 0.0, "end_percent": 1.0}


def test_interpolated_keyframes_are_logged_if_asked(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        (made,) = hooks.CreateHookKeyframesInterpolated().run(
            0.0, 1.0, "ease_in", 0.0, 1.0, 3, True
        )
    assert [frame.strength for frame in made.keyframes] == [0.0, 0.25, 1.0]
    assert caplog.text.count("hook keyframe") == 3
