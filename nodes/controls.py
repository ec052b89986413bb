"""Nodes around control of a run by pictures."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from models.control.load import load_control
from models.handle import ModelHandle
from models.protocol.control import ControlBase
from models.sampling.conditioning import Conditioning
from nodes.base import FileOptions, Node, inputs
from nodes.missing_parts import need_vae
from nodes.schema import SchemaNode

Conds = list[list[Any]]

_STRENGTH = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.01})
_START = ("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.001})
_END = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.001})

# What networks for several kinds of pictures were trained with, by number.
_UNION_TYPES: Final = (
    "openpose",
    "depth",
    "hed/pidi/scribble/ted",
    "canny/lineart/anime_lineart/mlsd",
    "normal",
    "segment",
    "tile",
    "repaint",
)


class ControlNetLoader(Node):
    """Loads a ControlNet, a Control-LoRA or a T2I-Adapter."""

    DISPLAY_NAME = "Load ControlNet Model"
    CATEGORY = "loaders"
    REQUIRED = inputs(control_net_name=(FileOptions("controlnet"),))
    RETURN_TYPES = ("CONTROL_NET",)

    def run(self, control_net_name: str) -> tuple[ControlBase]:
        """The file says what it is."""
        path = self.context.folders.full_path("controlnet", control_net_name)
        return (load_control(path, self.context.policy),)


class DiffControlNetLoader(Node):
    """Loads a ControlNet whose file holds differences to a model's weights."""

    DISPLAY_NAME = "Load ControlNet Model (diff)"
    CATEGORY = "loaders"
    REQUIRED = inputs(model=("MODEL",), control_net_name=(FileOptions("controlnet"),))
    RETURN_TYPES = ("CONTROL_NET",)

    def run(self, model: ModelHandle, control_net_name: str) -> tuple[ControlBase]:
        """A file of whole weights is loaded as it is."""
        path = self.context.folders.full_path("controlnet", control_net_name)
        return (load_control(path, self.context.policy, model),)


class ControlNetApply(Node):
    """Adds control to one conditioning; it acts on the negative one of the run as well."""

    DISPLAY_NAME = "Apply ControlNet (OLD)"
    CATEGORY = "conditioning/controlnet"
    DEPRECATED = True
    REQUIRED = inputs(
        conditioning=("CONDITIONING",),
        control_net=("CONTROL_NET",),
        image=("IMAGE",),
        strength=_STRENGTH,
    )
    RETURN_TYPES = ("CONDITIONING",)

    def run(
        self, conditioning: Conditioning, control_net: ControlBase, image: Tensor, strength: float
    ) -> tuple[Conditioning]:
        """Strength 0 changes nothing."""
        if strength == 0:
            return (conditioning,)
        [made] = _with_control(
            [conditioning], control_net, image, strength, (0.0, 1.0), on_both_sides=True
        )
        return (made,)


class ControlNetApplyAdvanced(Node):
    """Adds control to both conditionings of a run, for a part of it."""

    DISPLAY_NAME = "Apply ControlNet"
    CATEGORY = "conditioning/controlnet"
    REQUIRED = inputs(
        positive=("CONDITIONING",),
        negative=("CONDITIONING",),
        control_net=("CONTROL_NET",),
        image=("IMAGE",),
        strength=_STRENGTH,
        start_percent=_START,
        end_percent=_END,
    )
    OPTIONAL = inputs(vae=("VAE",))
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        control_net: ControlBase,
        image: Tensor,
        strength: float,
        start_percent: float,
        end_percent: float,
        vae: Any = None,
        extra_concat: Any = (),
    ) -> tuple[Conditioning, Conditioning]:
        """Strength 0 changes nothing."""
        if strength == 0:
            return positive, negative
        made = _with_control(
            [positive, negative],
            control_net,
            image,
            strength,
            (start_percent, end_percent),
            vae=None if vae is None else need_vae(vae),
            extra_concat=extra_concat,
        )
        return made[0], made[1]


class ControlNetApplySD3(SchemaNode):
    """Adds control by a network that sees latents: it needs the VAE."""

    DISPLAY_NAME = "Apply Controlnet with VAE"
    CATEGORY = "conditioning/controlnet"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_sd3"
    DEPRECATED = True
    REQUIRED = inputs(
        positive=("CONDITIONING", {}),
        negative=("CONDITIONING", {}),
        control_net=("CONTROL_NET", {}),
        vae=("VAE", {}),
        image=("IMAGE", {}),
        strength=_STRENGTH,
        start_percent=_START,
        end_percent=_END,
    )
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")

    def run(self, **given: Any) -> tuple[Conditioning, Conditioning]:
        """As ControlNetApplyAdvanced, whose VAE came later."""
        return ControlNetApplyAdvanced().run(**given)


class SetUnionControlNetType(SchemaNode):
    """Says which kind of picture a network for several kinds gets."""

    CATEGORY = "conditioning/controlnet"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_controlnet"
    REQUIRED = inputs(control_net=("CONTROL_NET", {}), type=(["auto", *_UNION_TYPES],))
    RETURN_TYPES = ("CONTROL_NET",)

    def run(self, control_net: ControlBase, type: str) -> tuple[ControlBase]:
        """`auto` says nothing; networks for one kind do not listen."""
        made = control_net.copy()
        numbers = [_UNION_TYPES.index(type)] if type in _UNION_TYPES else []
        made.extra_args = dict(control_net.extra_args)
        made.set_extra_arg("control_type", numbers)
        return (made,)


class ControlNetInpaintingAliMamaApply(SchemaNode):
    """Adds control by a picture of which a mask is to be painted anew."""

    CATEGORY = "conditioning/controlnet"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_controlnet"
    REQUIRED = inputs(
        positive=("CONDITIONING", {}),
        negative=("CONDITIONING", {}),
        control_net=("CONTROL_NET", {}),
        vae=("VAE", {}),
        image=("IMAGE", {}),
        mask=("MASK", {}),
        strength=_STRENGTH,
        start_percent=_START,
        end_percent=_END,
    )
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        control_net: ControlBase,
        vae: Any,
        image: Tensor,
        mask: Tensor,
        strength: float,
        start_percent: float,
        end_percent: float,
    ) -> tuple[Conditioning, Conditioning]:
        """Networks that take the mask as a channel of its own see a picture without that part."""
        extra = []
        if control_net.concat_mask:
            kept = 1.0 - mask.reshape(-1, 1, *mask.shape[-2:])
            sized = torch.nn.functional.interpolate(kept, size=image.shape[1:3], mode="bilinear")
            image = image * sized.round().movedim(1, -1)
            extra = [kept]
        return ControlNetApplyAdvanced().run(
            positive, negative, control_net, image, strength, start_percent, end_percent,
            vae=vae, extra_concat=extra,
        )  # fmt: skip


def _with_control(
    sides: list[Conditioning],
    control: ControlBase,
    image: Tensor,
    strength: float,
    percents: tuple[float, float],
    *,
    on_both_sides: bool = False,
    **more: Any,
) -> list[Conds]:
    """Conditionings with a control in each entry, in front of what control the entry has.

    Entries with the same control before get the same one now: the sides of a run then go through
    it in one batch.
    """
    hint = image.movedim(-1, 1)
    made: dict[int, ControlBase] = {}

    def controlled(options: dict[str, Any]) -> dict[str, Any]:
        before = options.get("control")
        if id(before) not in made:
            copied = control.copy().set_cond_hint(hint, strength, percents, **more)
            made[id(before)] = copied.set_previous_controlnet(before)
        return options | {
            "control": made[id(before)],
            "control_apply_to_uncond": on_both_sides,
        }

    return [[[cond, controlled(options)] for cond, options in side] for side in sides]
