"""Nodes that give words of a prompt a place in the picture."""

from __future__ import annotations

from models.conditioning import Conditioning
from models.gligen import Gligen, Phrase, grounded_at, load_gligen
from models.text.handle import TextHandle
from nodes.base import MAX_RESOLUTION, FileOptions, Node, inputs
from nodes.missing_parts import need_text_encoder

_SIDE = ("INT", {"default": 64, "min": 8, "max": MAX_RESOLUTION, "step": 8})
_OFFSET = ("INT", {"default": 0, "min": 0, "max": MAX_RESOLUTION, "step": 8})


class GLIGENLoader(Node):
    """Loads layers that listen to words in boxes."""

    CATEGORY = "loaders"
    REQUIRED = inputs(gligen_name=(FileOptions("gligen"),))
    RETURN_TYPES = ("GLIGEN",)

    def run(self, gligen_name: str) -> tuple[Gligen]:
        """Those for words alone, in the original layout and in that of diffusers."""
        path = self.context.folders.full_path("gligen", gligen_name)
        return (load_gligen(path, self.context.policy),)


class GLIGENTextBoxApply(Node):
    """Says what is to be where in the picture."""

    CATEGORY = "conditioning/gligen"
    REQUIRED = inputs(
        conditioning_to=("CONDITIONING",),
        clip=("CLIP",),
        gligen_textbox_model=("GLIGEN",),
        text=("STRING", {"multiline": True, "dynamicPrompts": True}),
        width=_SIDE,
        height=_SIDE,
        x=_OFFSET,
        y=_OFFSET,
    )
    RETURN_TYPES = ("CONDITIONING",)

    def run(
        self,
        conditioning_to: Conditioning,
        clip: TextHandle | None,
        gligen_textbox_model: Gligen,
        text: str,
        width: int,
        height: int,
        x: int,
        y: int,
    ) -> tuple[Conditioning]:
        """A box in pixels; boxes add up. It acts for as long as the conditioning does."""
        encoder = need_text_encoder(clip)
        _, pooled = encoder.encode_from_tokens(encoder.tokenize(text), return_pooled=True)
        phrase = Phrase(words=pooled[0], left=x, top=y, width=width, height=height)
        return (grounded_at(conditioning_to, gligen_textbox_model, phrase),)
