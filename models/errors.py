"""Everything that can go wrong with a model file or a model.

ModelError
├── ModelFileError                the file cannot be used (has the path)
│   ├── CheckpointUnreadable      missing, empty, truncated, or not in a format we read
│   ├── UnsafeCheckpoint          a pickle that asks for more than tensors
│   ├── UnknownModelFamily        tensors that fit no known family
│   ├── UnsupportedLayout         a known family in a shape that cannot be built
│   ├── PartMissing               a part that was asked for (VAE, text encoder) is not in the file
│   └── PackageMissing            an optional package reads such files, and is not installed
├── VocabularyMissing             the CLIP vocabulary is not installed
├── TokenizerMissing              no file of the T5 tokenizer was found
├── LanguageTokenizerMissing      no file of a language model's tokenizer was found
└── InvalidInput                  a tensor or option that the model cannot take
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

# What errors say that torch has no class for: of the machine's memory, of pinned memory, and of
# cuBLAS and cuDNN, which take memory by themselves.
_OUT_OF_MEMORY: Final = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "ALLOCATION_FAILED",
)


class ModelError(Exception):
    """A model cannot be loaded or used."""


class ModelFileError(ModelError):
    """The model file cannot be used."""

    def __init__(self, path: Path, reason: str, advice: str) -> None:
        super().__init__(f"cannot load '{path}': {reason}. {advice}")
        self.path = path
        self.reason = reason


class CheckpointUnreadable(ModelFileError):
    """The file is missing, empty, truncated or not in a format we read."""

    def __init__(
        self, path: Path, reason: str, advice: str = "Download or copy the file again."
    ) -> None:
        super().__init__(path, reason, advice)


class UnsafeCheckpoint(ModelFileError):
    """The pickle asks for more than tensors; it was not executed."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            path,
            f"it is a pickle that holds more than tensors, and was not executed ({reason})",
            "Use a .safetensors version of this model.",
        )


class UnknownModelFamily(ModelFileError):
    """The tensors fit no known model family."""

    def __init__(
        self, path: Path, known: list[str], example: str, architecture: str | None = None
    ) -> None:
        stated = "" if architecture is None else f" of the architecture '{architecture}'"
        super().__init__(
            path,
            f"its tensors{stated} (such as '{example}') fit no known model family",
            f"Known families: {', '.join(known)}.",
        )
        self.known = known


class UnsupportedLayout(ModelFileError):
    """The family is known, but this arrangement of layers cannot be built."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason, "Use a checkpoint in the original layout of its family.")


class PartMissing(ModelFileError):
    """A part that was asked for is not in the file."""

    def __init__(self, path: Path, part: str, advice: str | None = None) -> None:
        usual = f"Load the {part} from a file of its own."
        super().__init__(path, f"it holds no {part}", usual if advice is None else advice)
        self.part = part


class PackageMissing(ModelFileError):
    """An optional package that reads such files is not installed."""

    def __init__(self, path: Path, package: str, extra: str) -> None:
        super().__init__(
            path,
            f"the package '{package}' is not installed",
            f"Install it: pip install 'darkroom-server[{extra}]'.",
        )
        self.package = package


class VocabularyMissing(ModelError):
    """The CLIP vocabulary is not installed; `pip install open_clip_torch` brings it."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class TokenizerMissing(ModelError):
    """No file of the T5 tokenizer was found, nor could it be fetched."""

    def __init__(self, folders: Sequence[Path], files: Sequence[str]) -> None:
        where = str(folders[0]) if folders else "models/tokenizers/t5xxl"
        super().__init__(
            f"the T5 tokenizer is missing: put {' or '.join(files)} of T5 v1.1 (any size) "
            f"into the folder '{where}'"
        )
        self.folders = list(folders)


class LanguageTokenizerMissing(ModelError):
    """No file of a language model's tokenizer was found, and its model file holds none."""

    def __init__(self, kind: str, places: Sequence[Path]) -> None:
        where = " or as ".join(f"'{place}'" for place in places)
        super().__init__(
            f"the tokenizer of this '{kind}' language model is missing: put the tokenizer.json "
            f"that the model was published with there as {where}"
        )
        self.kind = kind
        self.places = list(places)


class InvalidInput(ModelError):
    """A tensor or an option that the model cannot take."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, that of a device or the machine's."""
    # By name: who asks may do without torch.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _OUT_OF_MEMORY)
