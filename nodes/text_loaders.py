"""Nodes that load text encoders from files of their own."""

from __future__ import annotations

from typing import Final

from models.load import load_ltx2_text, load_text
from models.text.handle import TextHandle
from nodes.base import FileOptions, Node, inputs
from nodes.schema import SchemaNode
from nodes.text_folders import text_folders

_FILE: Final = (FileOptions("text_encoders"),)
_DEVICE: Final = (["default", "cpu"], {"advanced": True})
_TYPES: Final = [
    "stable_diffusion", "stable_cascade", "sd3", "stable_audio", "mochi", "ltxv", "pixart",
    "cosmos", "lumina2", "wan", "hidream", "chroma", "ace", "omnigen2", "qwen_image",
    "hunyuan_image", "flux2", "ovis",
    # of later releases
    "longcat_image", "cogvideox", "lens", "pixeldit", "ideogram4", "boogu", "krea2", "joyimage",
    "mage", "minimax", "yue2", "flux3", "moss_image", "fibo2",
]  # fmt: skip
_TYPES_OF_TWO: Final = [
    "sdxl", "sd3", "flux", "hunyuan_video", "hidream", "hunyuan_image", "hunyuan_video_15",
    "kandinsky5", "kandinsky5_image", "ltxv", "newbie",
]  # fmt: skip


class _TextLoader(Node):
    CATEGORY = "advanced/loaders"
    RETURN_TYPES = ("CLIP",)

    def load(self, kind: str, names: list[str], device: str = "default") -> tuple[TextHandle]:
        """Files in any order: which encoder each one holds is seen from its tensors."""
        folders, policy = self.context.folders, self.context.policy
        if device == "cpu":
            policy = policy.on_cpu()
        paths = [folders.full_path("text_encoders", name) for name in names]
        return (load_text(kind, paths, policy, text_folders(self.context.services)),)


class CLIPLoader(_TextLoader):
    """Loads a text encoder from a file of its own."""

    DISPLAY_NAME = "Load CLIP"
    REQUIRED = inputs(clip_name=_FILE, type=(_TYPES,))
    OPTIONAL = inputs(device=_DEVICE)

    def run(self, clip_name: str, type: str, device: str = "default") -> tuple[TextHandle]:
        """`cpu` has it compute there, whatever the device is."""
        return self.load(type, [clip_name], device)


class DualCLIPLoader(_TextLoader):
    """Loads two text encoders: CLIP-L and CLIP-G of SDXL, two of SD 3's, CLIP-L and T5 of Flux."""

    REQUIRED = inputs(clip_name1=_FILE, clip_name2=_FILE, type=(_TYPES_OF_TWO,))
    OPTIONAL = inputs(device=_DEVICE)

    def run(
        self, clip_name1: str, clip_name2: str, type: str, device: str = "default"
    ) -> tuple[TextHandle]:
        """`cpu` has them compute there, whatever the device is."""
        return self.load(type, [clip_name1, clip_name2], device)


class TripleCLIPLoader(_TextLoader, SchemaNode):
    """Loads the three text encoders of SD 3: CLIP-L, CLIP-G and T5."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_sd3"
    REQUIRED = inputs(clip_name1=_FILE, clip_name2=_FILE, clip_name3=_FILE)

    def run(self, clip_name1: str, clip_name2: str, clip_name3: str) -> tuple[TextHandle]:
        """In any order."""
        return self.load("sd3", [clip_name1, clip_name2, clip_name3])


class LTXAVTextEncoderLoader(_TextLoader, SchemaNode):
    """Loads the text encoder of LTX-2: Gemma 3, and the projection that its checkpoint has."""

    DISPLAY_NAME = "LTXV Audio Text Encoder Loader"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_lt_audio"
    REQUIRED = inputs(text_encoder=_FILE, ckpt_name=(FileOptions("checkpoints"),))
    OPTIONAL = inputs(device=(["default", "cpu"], {"default": "default", "advanced": True}))

    def run(self, text_encoder: str, ckpt_name: str, device: str = "default") -> tuple[TextHandle]:
        """`cpu` has it compute there, whatever the device is."""
        folders, policy = self.context.folders, self.context.policy
        handle = load_ltx2_text(
            folders.full_path("text_encoders", text_encoder),
            folders.full_path("checkpoints", ckpt_name),
            policy.on_cpu() if device == "cpu" else policy,
            text_folders(self.context.services),
        )
        return (handle,)


class QuadrupleCLIPLoader(_TextLoader, SchemaNode):
    """Loads the four text encoders of HiDream, which is not supported: it says so."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_hidream"
    REQUIRED = inputs(clip_name1=_FILE, clip_name2=_FILE, clip_name3=_FILE, clip_name4=_FILE)

    def run(
        self, clip_name1: str, clip_name2: str, clip_name3: str, clip_name4: str
    ) -> tuple[TextHandle]:
        """In any order."""
        return self.load("hidream", [clip_name1, clip_name2, clip_name3, clip_name4])
