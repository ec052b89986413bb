"""Text encoders from files of their own: which encoders they hold, and for which model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from models.errors import InvalidInput, PartMissing
from models.families.clip_text import TOKENS, clip_of
from models.families.language import language_of
from models.families.t5_text import is_umt5, t5_of
from models.memory import Policy
from models.text.combinations import (
    EncoderFile,
    TextFolders,
    text_of_files,
    vocabulary_of,
)
from models.text.families import (
    CHROMA,
    FLUX,
    SD1,
    SD2,
    SD3,
    SDXL,
    SDXL_REFINER,
    STABLE_AUDIO,
    WAN,
    Combination,
)
from models.text.handle import TextHandle
from models.text.language.families import ALONE, LANGUAGE_KINDS
from models.text.ltx2 import ltx2_text
from models.weights import Weights

# What loaders call a kind of model -> the families that are so called.
KINDS: Final[Mapping[str, tuple[Combination, ...]]] = {
    "stable_diffusion": (SD1, SD2, SDXL, SDXL_REFINER),
    "sdxl": (SDXL, SDXL_REFINER),
    "sd3": (SD3,),
    "flux": (FLUX,),
    "chroma": (CHROMA,),
    "stable_audio": (STABLE_AUDIO,),
    "wan": (WAN,),
    **LANGUAGE_KINDS,
}

_BY_WIDTH: Final = {768: "l", 1024: "h", 1280: "g"}
_UNKNOWN: Final = ""


def text_of_type(
    kind: str, files: Sequence[Weights], policy: Policy, folders: TextFolders
) -> TextHandle:
    """The handle of opened files, in any order, for a kind of model (see KINDS).

    Raises InvalidInput for kinds that are not built and for encoders that no such model has,
    PartMissing for a file without a text encoder.
    """
    if kind == "ltxv" and len(files) == 2:
        joined = ltx2_text(files, policy, folders)
        if joined is not None:
            return joined
    found = [(key, file) for weights in files for key, file in encoders_in(weights)]
    alone = [ALONE[key] for key, _ in found if key in ALONE]
    for combination in (*KINDS.get(kind, ()), *alone):
        chosen = _chosen(combination, found)
        if chosen is not None:
            handle = text_of_files(combination, chosen, policy, folders)
            if handle is not None:
                return handle
    if kind not in KINDS:
        raise InvalidInput(
            f"text encoders of the type '{kind}' are not supported; these are: {', '.join(KINDS)}"
        )
    raise InvalidInput(
        f"a model of the type '{kind}' has no such text encoders: "
        f"{', '.join(key or 'a CLIP of an unknown size' for key, _ in found)}. It takes "
        + " or ".join("+".join(one.uses) for one in KINDS.get(kind, ()))
    )


def encoders_in(weights: Weights) -> Iterator[tuple[str, EncoderFile]]:
    """The encoders of a file: "l", "g", "t5xxl", "umt5xxl", ...; "" for a CLIP of unknown width.

    Raises PartMissing if there are none.
    """
    parts = list(_parts(weights))
    if not parts:
        known = f"Known are CLIP, T5 and language models of the kinds {', '.join(ALONE)}."
        raise PartMissing(weights.path, "text encoder that is known", known)
    for number, (key, part) in enumerate(parts, start=1):
        name = "text_encoder" if number == 1 else f"text_encoder_{number}"
        yield key, EncoderFile(weights=part, part=name, vocabulary=vocabulary_of(weights))


def _parts(weights: Weights) -> Iterator[tuple[str, Weights]]:
    """The file as one encoder, or what lies below the prefixes that families have for theirs."""
    key = _key_of(weights)
    if key is not None:
        yield key, weights
        return
    seen: set[str] = set()
    for combinations in KINDS.values():
        for combination in combinations:
            for prefix in (p for use in combination.uses.values() for p in use.prefixes):
                part = weights.below(prefix)
                key = _key_of(part)
                inside = next(iter(part.tensors), "")
                if key is not None and prefix + inside not in seen:
                    seen.add(prefix + inside)
                    yield key, part


def _key_of(weights: Weights) -> str | None:
    """The encoder that these tensors are; None if they are none that is known."""
    language = language_of(weights)
    if language is not None:
        return language[0].name
    t5 = t5_of(weights)
    if t5.tensors:
        return "umt5xxl" if is_umt5(t5) else "t5xxl"
    clip = clip_of(weights)
    return _BY_WIDTH.get(clip.shape(TOKENS)[1], _UNKNOWN) if clip.tensors else None


def _chosen(
    combination: Combination, found: Sequence[tuple[str, EncoderFile]]
) -> dict[str, EncoderFile] | None:
    """Each encoder of the family with its file; None if files and family do not fit.

    A CLIP of a width that no known encoder has takes the first place that is free.
    """
    chosen: dict[str, EncoderFile] = {}
    for key, file in sorted(found, key=lambda one: one[0] == _UNKNOWN):
        free = [place for place in combination.uses if place not in chosen]
        if key == _UNKNOWN:
            key = next((place for place in free if place != "t5xxl"), _UNKNOWN)
        if key not in free:
            return None
        chosen[key] = file
    is_whole = len(chosen) == len(combination.uses) or combination.is_partial
    return chosen if is_whole else None
