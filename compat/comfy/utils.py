"""ComfyUI's `comfy.utils`: state dicts, resizing, tiles, progress bars, attributes by path."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import torch
from darkroom_compat import state_dicts, tiling
from darkroom_compat.not_yet_names import missing_names
from darkroom_compat.progress import Reports
from torch import Tensor, nn

from models.math import bislerp as bislerp
from models.math import lanczos as lanczos
from models.math import resize

T = TypeVar("T")
StateDict = MutableMapping[str, Any]

ALWAYS_SAFE_LOAD = True  # pickles never run code here
DISABLE_MMAP = False
MMAP_TORCH_FILES = True

# Files


@overload
def load_torch_file(
    ckpt: str | Path,
    safe_load: bool = ...,
    device: torch.device | None = ...,
    return_metadata: Literal[False] = ...,
) -> dict[str, Any]: ...
@overload
def load_torch_file(
    ckpt: str | Path,
    safe_load: bool = ...,
    device: torch.device | None = ...,
    *,
    return_metadata: Literal[True],
) -> tuple[dict[str, Any], dict[str, str] | None]: ...
def load_torch_file(
    ckpt: str | Path,
    safe_load: bool = False,
    device: torch.device | None = None,
    return_metadata: bool = False,
) -> dict[str, Any] | tuple[dict[str, Any], dict[str, str] | None]:
    """The state dict of a file, mapped from disk where that is possible.

    Pickles are read as if `safe_load` were true: they may hold tensors and plain containers only.
    """
    where = None if device is None else torch.device(device)
    state_dict, metadata = state_dicts.load(Path(ckpt), where)
    return (state_dict, metadata) if return_metadata else state_dict


def save_torch_file(
    sd: Mapping[str, Tensor], ckpt: str | Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file."""
    state_dicts.save(sd, Path(ckpt), metadata)


def safetensors_header(
    safetensors_path: str | Path, max_size: int = 100 * 1024 * 1024
) -> bytes | None:
    """The JSON header of a file; None if it is longer than `max_size`."""
    return state_dicts.header(Path(safetensors_path), max_size)


# State dicts


def calculate_parameters(sd: Mapping[str, Tensor], prefix: str = "") -> int:
    """How many parameters there are below a prefix."""
    return state_dicts.parameters(sd, prefix)


def weight_dtype(sd: Mapping[str, Tensor], prefix: str = "") -> torch.dtype | None:
    """The type of most parameters below a prefix."""
    return state_dicts.dtype(sd, prefix)


def state_dict_key_replace(state_dict: StateDict, keys_to_replace: Mapping[str, str]) -> StateDict:
    """Rename keys, in place."""
    return state_dicts.replace_keys(state_dict, keys_to_replace)


def state_dict_prefix_replace(
    state_dict: StateDict, replace_prefix: Mapping[str, str], filter_keys: bool = False
) -> StateDict:
    """Rename what starts with a prefix; with `filter_keys` move it into a new dict."""
    return state_dicts.replace_prefixes(state_dict, replace_prefix, filter_keys)


def convert_sd_to(state_dict: StateDict, dtype: torch.dtype) -> StateDict:
    """Convert all tensors, in place."""
    for name, weight in state_dict.items():
        state_dict[name] = weight.to(dtype)
    return state_dict


def transformers_convert(sd: StateDict, prefix_from: str, prefix_to: str, number: int) -> StateDict:
    """open_clip's names of a text encoder to transformers', in place."""
    return state_dicts.clip_from_open_clip(sd, prefix_from, prefix_to, number)


def clip_text_transformers_convert(sd: StateDict, prefix_from: str, prefix_to: str) -> StateDict:
    """As `transformers_convert`, for a whole encoder of 32 layers with its projection."""
    transformers_convert(sd, prefix_from, f"{prefix_to}text_model.", 32)
    projection = sd.pop(f"{prefix_from}text_projection", None)
    if projection is not None:
        sd[f"{prefix_to}text_projection.weight"] = projection.transpose(0, 1).contiguous()
    linear = sd.pop(f"{prefix_from}text_projection.weight", None)
    if linear is not None:
        sd[f"{prefix_to}text_projection.weight"] = linear
    return sd


def unet_to_diffusers(unet_config: Mapping[str, Any]) -> dict[str, str]:
    """diffusers' names of a UNet's weights -> the names in checkpoints."""
    return state_dicts.unet_names(unet_config)


def swap_scale_shift(weight: Tensor) -> Tensor:
    """Exchange the halves of a modulation's weight."""
    shift, scale = weight.chunk(2, dim=0)
    return torch.cat([scale, shift], dim=0)


# Batches


def repeat_to_batch_size(tensor: Tensor, batch_size: int, dim: int = 0) -> Tensor:
    """Cut along `dim`, or repeat from the start, to that length."""
    length = tensor.shape[dim]
    if length > batch_size:
        return tensor.narrow(dim, 0, batch_size)
    if length == batch_size:
        return tensor
    times = [1] * tensor.ndim
    times[dim] = math.ceil(batch_size / length)
    return tensor.repeat(times).narrow(dim, 0, batch_size)


def _resized_indices(length: int, wanted: int) -> list[int]:
    """Which of `length` items to take for `wanted`: evenly spread, the ends included."""
    if wanted <= 1 or wanted == length:
        return list(range(min(wanted, length)))
    if wanted < length:
        step = (length - 1) / (wanted - 1)
        return [min(round(i * step), length - 1) for i in range(wanted)]
    return [min(math.floor((i + 0.5) * length / wanted), length - 1) for i in range(wanted)]


def resize_to_batch_size(tensor: Tensor, batch_size: int) -> Tensor:
    """Leave out or repeat items evenly."""
    return tensor[_resized_indices(len(tensor), batch_size)]


def resize_list_to_batch_size(l: Sequence[T], batch_size: int) -> list[T]:  # noqa: E741
    """As `resize_to_batch_size`, for a list."""
    return [l[index] for index in _resized_indices(len(l), batch_size)]


# Attributes by path: "a.b.0.weight"


def resolve_attr(obj: Any, attr: str) -> tuple[Any, str]:
    """The object that has the last name of the path, and that name."""
    *path, name = attr.split(".")
    for step in path:
        obj = getattr(obj, step)
    return obj, name


def get_attr(obj: Any, attr: str) -> Any:
    """Read."""
    owner, name = resolve_attr(obj, attr)
    return getattr(owner, name)


ATTR_UNSET: dict[str, Any] = {}  # as a value for `set_attr`: delete


def set_attr(obj: Any, attr: str, value: Any) -> Any:
    """Assign; returns what was there, or ATTR_UNSET."""
    owner, name = resolve_attr(obj, attr)
    before = getattr(owner, name, ATTR_UNSET)
    if value is ATTR_UNSET:
        delattr(owner, name)
    else:
        setattr(owner, name, value)
    return before


def set_attr_param(obj: Any, attr: str, value: Tensor) -> Any:
    """Assign a parameter; returns what was there."""
    # A tensor made in inference mode cannot be a parameter that is changed later.
    plain = value.clone() if value.is_inference() else value
    return set_attr(obj, attr, nn.Parameter(plain, requires_grad=False))


def set_attr_buffer(obj: nn.Module, attr: str, value: Tensor) -> Any:
    """Assign a buffer; returns what was there."""
    owner, name = resolve_attr(obj, attr)
    before = getattr(owner, name, ATTR_UNSET)
    persistent = name not in owner._non_persistent_buffers_set
    owner.register_buffer(name, value, persistent=persistent)
    return before


def copy_to_param(obj: Any, attr: str, value: Tensor) -> None:
    """Write into a parameter, in place."""
    get_attr(obj, attr).data.copy_(value)


# Pictures


def common_upscale(
    samples: Tensor, width: int, height: int, upscale_method: str, crop: str
) -> Tensor:
    """Resize [B, C, ..., H, W]; with crop "center" the ratio is kept by cutting."""
    return resize(samples, width, height, upscale_method, crop=crop == "center")


def get_tiled_scale_steps(width: int, height: int, tile_x: int, tile_y: int, overlap: int) -> float:
    """How many tiles `tiled_scale` makes for one picture."""
    return tiling.steps(width, height, tile_x, tile_y, overlap)


def tiled_scale_multidim(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    tile: Sequence[int] = (64, 64),
    overlap: int | Sequence[int] = 8,
    upscale_amount: Any = 4,
    out_channels: int = 3,
    output_device: str | torch.device = "cpu",
    downscale: bool = False,
    index_formulas: Any = None,
    pbar: tiling.Bar | None = None,
) -> Tensor:
    """`function` of [B, C, *axes] in tiles, blended where they overlap.

    `upscale_amount` and `index_formulas` are a factor or function, or one per axis.
    """
    return tiling.tiled_scale(
        samples,
        function,
        tile=tile,
        overlap=overlap,
        scale=upscale_amount,
        channels=out_channels,
        device=output_device,
        downscale=downscale,
        positions=index_formulas,
        bar=pbar,
    )


def tiled_scale(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    tile_x: int = 64,
    tile_y: int = 64,
    overlap: int = 8,
    upscale_amount: float = 4,
    out_channels: int = 3,
    output_device: str | torch.device = "cpu",
    pbar: tiling.Bar | None = None,
) -> Tensor:
    """As `tiled_scale_multidim`, for [B, C, H, W]."""
    return tiled_scale_multidim(
        samples,
        function,
        (tile_y, tile_x),
        overlap=overlap,
        upscale_amount=upscale_amount,
        out_channels=out_channels,
        output_device=output_device,
        pbar=pbar,
    )


def reshape_mask(input_mask: Tensor, output_shape: Sequence[int]) -> Tensor:
    """A mask in the shape [B, C, *axes] of what it is for."""
    axes = len(output_shape) - 2
    mask, mode = input_mask, {1: "linear", 2: "bilinear", 3: "trilinear"}[axes]
    if axes == 2:
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
    elif axes == 3 and mask.ndim < 5:
        mask = mask.reshape(1, 1, -1, *mask.shape[-2:])
    mask = nn.functional.interpolate(mask, size=tuple(output_shape[2:]), mode=mode)
    if mask.shape[1] < output_shape[1]:
        mask = mask.repeat(1, output_shape[1], *[1] * axes)[:, : output_shape[1]]
    return repeat_to_batch_size(mask, output_shape[0])


# Progress

PROGRESS_BAR_ENABLED = True  # of bars in the log; packs read it


def _report_progress(
    value: float, total: float, preview: Any = None, node_id: str | None = None
) -> None:
    Reports(node_id).send(value, total, preview)


# Where bars report to: (value, total, preview, node_id=...). Packs put their own in its place.
PROGRESS_BAR_HOOK: Callable[..., None] | None = _report_progress


def set_progress_bar_enabled(enabled: bool) -> None:
    """Whether packs should show bars in the log."""
    global PROGRESS_BAR_ENABLED
    PROGRESS_BAR_ENABLED = enabled


def set_progress_bar_global_hook(function: Callable[..., None] | None) -> None:
    """Have bars report to that function from now on; None: to nobody."""
    global PROGRESS_BAR_HOOK
    PROGRESS_BAR_HOOK = function


class ProgressBar:
    """Reports how far a node is. Harmless outside of nodes; raises Interrupted in those."""

    def __init__(self, total: float, node_id: str | None = None) -> None:
        self.total = total
        self.current: float = 0
        self.hook = PROGRESS_BAR_HOOK
        self.node_id = node_id
        self._reports = Reports(node_id)

    def update_absolute(
        self, value: float, total: float | None = None, preview: Any = None
    ) -> None:
        """So much is done now; the preview is (format, picture, largest side)."""
        if total is not None:
            self.total = total
        self.current = min(value, self.total)
        if self.hook is _report_progress:
            self._reports.send(self.current, self.total, preview)
        elif self.hook is not None:
            self.hook(self.current, self.total, preview, node_id=self.node_id)

    def update(self, value: float) -> None:
        """So much more is done."""
        self.update_absolute(self.current + value)


# Others


def string_to_seed(data: str | bytes) -> int:
    """A number of 32 bits for a text: its CRC."""
    if isinstance(data, bytes):
        return zlib.crc32(data)
    try:
        return zlib.crc32(data.encode("latin-1"))
    except UnicodeEncodeError:
        return zlib.crc32(data.encode())


def deepcopy_list_dict(obj: Any, memo: dict[int, Any] | None = None) -> Any:
    """A copy of lists and dicts all the way down; what they hold is shared."""
    known = {} if memo is None else memo
    if id(obj) not in known:
        if isinstance(obj, dict):
            known[id(obj)] = made = type(obj)()
            made.update({k: deepcopy_list_dict(v, known) for k, v in obj.items()})
        elif isinstance(obj, list):
            copied: list[Any] = []
            known[id(obj)] = copied
            copied.extend(deepcopy_list_dict(v, known) for v in obj)
        else:
            return obj
    return known[id(obj)]


__getattr__ = missing_names(
    __name__,
    functions=(
        "auraflow_to_diffusers",
        "flux_to_diffusers",
        "mmdit_to_diffusers",
        "pixart_to_diffusers",
        "upscale_dit_mask",
        "z_image_to_diffusers",
    ),
)
