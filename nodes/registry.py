"""All node classes that Darkroom brings along, by the name that workflows use."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from nodes.base import Node

# Modules of this package, one a line so that changes that add some merge. A class is known by being
# in one of these, under a name without underscore.
_MODULES: Final = (
    "sampling",
    "model_sampling",
    "loaders",
    "part_loaders",
    "style_models",
    "gguf_loaders",
    "text_loaders",
    "controls",
    "model_merging",
    "layered_merging",
    "model_saving",
    "training",
    "conditioning",
    "text_encoding",
    "text_generation",
    "conditioning_mixing",
    "conditioning_places",
    "gligen",
    "unclip",
    "guidance",
    "skip_layers",
    "unet_patches",
    "output_reuse",
    "rope",
    "frame_windows",
    "differential_diffusion",
    "attention_scale",
    "compiling",
    "edit_conditioning",
    "qwen_image",
    "model_options",
    "reference_pictures",
    "hooks",
    "hooked_conditioning",
    "vae",
    "latents",
    "latent_math",
    "latent_operations",
    "empty_latents",
    "saving",
    "advanced_saving",
    "loading",
    "images",
    "image_transforms",
    "upscale_models",
    "latent_upscalers",
    "image_regions",
    "colors",
    "video_latents",
    "joint_latents",
    "latent_pieces",
    "dance_segments",
    "video_pictures",
    "predictions",
    "painter",
    "shaders.glsl",
    "poses",
    "bounding_boxes",
    "upscale_conditioning",
    "turned_views",
    "image_only_checkpoints",
    "stable_cascade",
    "video_conditioning.wan",
    "video_conditioning.wan_control",
    "video_conditioning.wan_animate",
    "video_conditioning.wan_animate_2",
    "video_conditioning.wan_camera",
    "video_conditioning.wan_move",
    "video_conditioning.wan_sound",
    "video_conditioning.hunyuan",
    "video_conditioning.hunyuan_refining",
    "video_conditioning.cosmos",
    "video_conditioning.ltx",
    "video_conditioning.minimax_h3",
    "masks",
    "batches",
    "resizing",
    "compositing",
    "post_processing",
    "strings",
    "primitives",
    "logic",
    "loops",
    "numbers",
    "cameras",
    "moge",
    "point_maps",
    "depth_anything",
    "depth_maps",
    "triposplat",
    "splats",
    "curves",
    "json_prompts",
    "saved_conditioning",
    "structured_text",
    "comparisons",
    "text_preview",
    "animations",
    "latent_files",
    "audio",
    "audio_files",
    "video",
    "front_end_files",
    "audio_latents",
    "audio_vae",
    "audio_encoders",
    "ltx_audio",
    "mesh_files",
    "mesh_textures",
    "mesh_baking",
    "meshes",
    "mesh_processing",
    "mesh_conditioning",
    "model_views",
    "placeholders",
    "custom_sampling.runs",
    "custom_sampling.samplers",
    "datasets.texts",
    "datasets.images",
    "datasets.files",
    "datasets.training",
    "custom_sampling.schedulers",
    "custom_sampling.sigmas",
    "custom_sampling.noises",
    "custom_sampling.guiders",
)


def _classes_of(module: ModuleType) -> Iterator[type[Node]]:
    """The node classes that a module defines, in the order in which it does."""
    for name, value in vars(module).items():
        is_node = isinstance(value, type) and issubclass(value, Node)
        if is_node and value.__module__ == module.__name__ and not name.startswith("_"):
            yield value


NODE_CLASSES: dict[str, type[Node]] = {
    node.NODE_NAME or node.__name__: node
    for name in _MODULES
    for node in _classes_of(import_module(f"nodes.{name}"))
}

DISPLAY_NAMES: dict[str, str] = {
    name: node.DISPLAY_NAME or name for name, node in NODE_CLASSES.items()
}

# All classes of this process: ours, and those of node packs once these are loaded. The loader fills
# them; packs see them as `nodes.NODE_CLASS_MAPPINGS`, and may look at them at any time.
ALL_CLASSES: dict[str, type[Any]] = dict(NODE_CLASSES)
ALL_DISPLAY_NAMES: dict[str, str] = dict(DISPLAY_NAMES)
