"""Where files live: model folders by kind, input/output/temp/user; names made into safe paths.

Standard library only, so that the server process can list model files without torch.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

from executor.extra_paths import ExtraPath, read_extra_paths
from executor.listing import Listing, list_files

FileType = Literal["input", "output", "temp"]

CACHE_FOLDER: Final = ".darkroom"  # in the user folder: what can be made again

MODEL_EXTENSIONS: Final = frozenset(
    {".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"}
)

# Kind -> subfolders of models/, searched in this order; clients see the kinds in this order.
MODEL_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "checkpoints": ("checkpoints",),
    "configs": ("configs",),
    "loras": ("loras",),
    "vae": ("vae",),
    "text_encoders": ("text_encoders", "clip"),
    "diffusion_models": ("unet", "diffusion_models"),
    "clip_vision": ("clip_vision",),
    "style_models": ("style_models",),
    "embeddings": ("embeddings",),
    "diffusers": ("diffusers",),
    "vae_approx": ("vae_approx",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "gligen": ("gligen",),
    "upscale_models": ("upscale_models",),
    "latent_upscale_models": ("latent_upscale_models",),
    "custom_nodes": (),
    "hypernetworks": ("hypernetworks",),
    "photomaker": ("photomaker",),
    "classifiers": ("classifiers",),
    "model_patches": ("model_patches",),
    "audio_encoders": ("audio_encoders",),
    # Later than 0.8.0
    "background_removal": ("background_removal",),
    "frame_interpolation": ("frame_interpolation",),
    "geometry_estimation": ("geometry_estimation",),
    "optical_flow": ("optical_flow",),
    "detection": ("detection",),
    "datasets": (),
    "fonts": (),
    # Of our own
    "tokenizers": ("tokenizers",),
}

# These lie beside models/, not in it.
BASE_KINDS: Final = frozenset({"custom_nodes", "datasets", "fonts"})

# Kind -> extensions of its files, where they are not those of models; empty: every file.
KIND_EXTENSIONS: Final[Mapping[str, frozenset[str]]] = {
    "configs": frozenset({".yaml"}),
    "datasets": frozenset(),
    "fonts": frozenset({".ttf", ".otf"}),
    "tokenizers": frozenset({".json", ".model"}),
}

# Models that workflows save land in the output folder; these subfolders of it are searched too.
OUTPUT_MODEL_FOLDERS: Final[Mapping[str, str]] = {
    "checkpoints": "checkpoints",
    "text_encoders": "clip",
    "vae": "vae",
    "diffusion_models": "diffusion_models",
    "loras": "loras",
}

# Kinds that list other files of the folders of a kind; clients see them where packs make them.
KIND_VIEWS: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    "unet_gguf": ("diffusion_models", frozenset({".gguf"})),
    "clip_gguf": ("text_encoders", MODEL_EXTENSIONS | {".gguf"}),
}

KIND_ALIASES: Final[Mapping[str, str]] = {"unet": "diffusion_models", "clip": "text_encoders"}


_LONGEST_PART: Final = 255  # bytes, of names in file systems
# What Windows takes for devices, with any extension.
_DEVICE: Final = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:[.:].*)?", re.I
)


# Errors of a folder in which nothing may be made: of its mount, or of its owner.
READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class FolderError(Exception):
    """A name or a folder kind cannot be used.

    FolderError
    ├── UnknownKind      no such kind of model folder, or of file folder
    ├── OutsideFolder    the name leads out of its folder, or is none that a folder should hold
    ├── FileNotListed    no folder of that kind holds a file of that name
    └── FileOfOthers     it belongs to another API key (executor.worker.owned_folders)
    """


class UnknownKind(FolderError):
    """There is no folder of this kind."""

    def __init__(self, kind: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no folder kind '{kind}'; known kinds: {', '.join(known)}")
        self.kind = kind


class OutsideFolder(FolderError):
    """The name leads out of the folder it belongs to, or is none that a folder should hold."""

    def __init__(self, name: str, root: Path, reason: str = "") -> None:
        # Clients read this: it must not tell them where the folder lies.
        super().__init__(
            f"the name {name!r} cannot be used: {reason}"
            if reason
            else f"the name {name!r} leads out of its folder; use a name inside '{root.name}'"
        )
        self.name = name
        self.root = root


class FileNotListed(FolderError):
    """No folder of the kind holds a file of that name."""

    def __init__(self, kind: str, name: str, folders: Sequence[Path]) -> None:
        searched = ", ".join(str(folder) for folder in folders)
        super().__init__(f"there is no file {name!r} in the '{kind}' folders ({searched})")
        self.kind = kind
        self.name = name
        self.folders = tuple(folders)


def inside(root: Path, relative: str, *, links_to: Iterable[Path] | None = None) -> Path:
    """The path, existing or not, of a name below `root`. Every name that a client gives goes here.

    Raises OutsideFolder for an absolute name, `..`, a backslash, NUL, or what no path can hold.
    Names are taken as they are: nothing is decoded or expanded. Without `links_to` symbolic links
    are followed wherever they lead: for folders that only their owner writes, such as those of
    models. With it they may lead into `root` and these folders only, and names of devices of other
    systems are refused: for folders that clients write, or read at will.
    """
    parts = relative.split("/")
    if relative.startswith("/") or os.pardir in parts or "\0" in relative:
        raise OutsideFolder(relative, root)
    if "\\" in relative:
        raise OutsideFolder(relative, root, "it has a backslash; folders are separated by '/'")
    try:
        os.fsencode(relative)
    except UnicodeEncodeError:
        raise OutsideFolder(relative, root, "it is no text") from None
    target = os.path.normpath(os.path.join(os.path.abspath(root), relative))  # noqa: PTH100, PTH118
    if links_to is not None:
        if any(_DEVICE.fullmatch(part) for part in parts):
            raise OutsideFolder(relative, root, "it is the name of a device")
        if not _leads_into(target, root, links_to):
            raise OutsideFolder(relative, root, "a link leads out of the folder")
    return Path(target)


def _leads_into(path: str, root: Path, others: Iterable[Path]) -> bool:
    """Whether a path lies, once all links are followed, in `root` or one of the others."""
    real = os.path.realpath(path)
    return any(
        real == folder or real.startswith(folder.rstrip(os.sep) + os.sep)
        for folder in map(os.path.realpath, (root, *others))
    )


def split_annotation(name: str) -> tuple[str, FileType | None]:
    """`"cat.png [output]"` -> `("cat.png", "output")`; the one character before `[` goes too."""
    for file_type in get_args(FileType):
        suffix = f"[{file_type}]"
        if name.endswith(suffix):
            return name[: -len(suffix) - 1], file_type
    return name, None


@dataclass(kw_only=True)
class Folders:
    """All folders of one installation. `models` may be extended while the process runs."""

    base: Path  # root of everything that is not placed elsewhere
    input: Path  # images that clients upload
    output: Path  # results that are kept
    temp: Path  # previews; emptied at start
    user: Path  # settings and workflows of users
    models_root: Path  # holds one folder a kind
    models: MutableMapping[str, list[Path]]  # kind -> folders in search order
    extensions: MutableMapping[str, frozenset[str]]  # kind -> in lower case; empty: every file
    _listings: dict[str, tuple[tuple[Path, ...], frozenset[str], Listing]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def build(
        cls,
        base: Path,
        *,
        output_dir: Path | None = None,
        input_dir: Path | None = None,
        temp_dir: Path | None = None,
        user_dir: Path | None = None,
        models_dir: Path | None = None,
        extra_configs: Iterable[Path] = (),
        extra_checkpoints: Iterable[Path] = (),
    ) -> Folders:
        """The folders of `base` with overrides; nothing is made on disk (see `make`).

        `temp_dir` is the folder that holds `temp/`, as the flag `--temp-directory` has it.
        `extra_configs` are YAML files of further model folders; `extra_checkpoints` are searched
        for checkpoints after all others. Raises ExtraPathsError for an unreadable YAML file.
        """
        base = _absolute(base)
        output = _absolute(output_dir or base / "output")
        models_root = _absolute(models_dir or base / "models")
        folders = cls(
            base=base,
            input=_absolute(input_dir or base / "input"),
            output=output,
            temp=_absolute(temp_dir or base) / "temp",
            user=_absolute(user_dir or base / "user"),
            models_root=models_root,
            models={
                kind: _standard_folders(base, models_root, output, kind) for kind in MODEL_KINDS
            },
            extensions={**dict.fromkeys(MODEL_KINDS, MODEL_EXTENSIONS), **KIND_EXTENSIONS},
        )
        extras = [extra for config in extra_configs for extra in read_extra_paths(config)]
        extras += [ExtraPath(kind="checkpoints", path=_absolute(p)) for p in extra_checkpoints]
        # Each default goes to the front, so that the last one added is searched first.
        for extra in reversed([extra for extra in extras if extra.is_default]):
            folders.add(extra)
        for extra in extras:
            if not extra.is_default:
                folders.add(extra)
        return folders

    @property
    def custom_nodes(self) -> list[Path]:
        """Folders that hold node packs, in search order."""
        return self.models["custom_nodes"]

    def add(self, extra: ExtraPath) -> None:
        """Search one more folder; a default one before the others. New kinds list every file."""
        kind = KIND_ALIASES.get(extra.kind, extra.kind)
        self.extensions.setdefault(kind, frozenset())
        paths = list(self.models.get(kind, ()))
        if extra.path in paths:
            if not extra.is_default:
                return
            paths.remove(extra.path)
        paths.insert(0 if extra.is_default else len(paths), extra.path)
        self.models[kind] = paths

    def make(self) -> None:
        """Make what is missing: input, output, temp, user, one folder a kind. Raises OSError.

        Those of kinds only where that is allowed: they are read, and may be mounted read-only.
        """
        for path in (self.input, self.output, self.temp, self.user):
            path.mkdir(parents=True, exist_ok=True)
        for kind in MODEL_KINDS:
            root = self.base if kind in BASE_KINDS else self.models_root
            try:
                (root / kind).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                if error.errno not in READ_ONLY:
                    raise

    def kind_folders(self, kind: str) -> list[Path]:
        """The folders of a kind (or of one of the old names `unet`, `clip`), in search order."""
        if kind in KIND_VIEWS and kind not in self.models:
            kind, _ = KIND_VIEWS[kind]
        try:
            return self.models[KIND_ALIASES.get(kind, kind)]
        except KeyError:
            raise UnknownKind(kind, self.models) from None

    def filename_list(self, kind: str) -> list[str]:
        """Sorted names of a kind's files, relative to their folders, links followed.

        Answered from memory as long as no folder below has changed.
        """
        folders = tuple(self.kind_folders(kind))
        kind = KIND_ALIASES.get(kind, kind)
        _, of_view = KIND_VIEWS.get(kind, ("", frozenset[str]()))
        extensions = self.extensions.get(kind, of_view)
        known = self._listings.get(kind)
        if known is None or known[:2] != (folders, extensions) or not known[2].is_current():
            known = (folders, extensions, list_files(folders, extensions))
            self._listings[kind] = known
        return list(known[2].names)

    def find(self, kind: str, name: str) -> Path | None:
        """The first file of that name, or None. Raises OutsideFolder for a name that leaves."""
        for folder in self.kind_folders(kind):
            path = inside(folder, name)
            if os.path.isfile(path):  # noqa: PTH113  (Path.is_file raises for too long a name)
                return path
        return None

    def full_path(self, kind: str, name: str) -> Path:
        """As `find`, but a missing file raises FileNotListed."""
        path = self.find(kind, name)
        if path is None:
            raise FileNotListed(kind, name, self.kind_folders(kind))
        return path

    def directory(self, file_type: str) -> Path:
        """The folder of `input`, `output` or `temp`; raises UnknownKind for another word."""
        if file_type not in get_args(FileType):
            raise UnknownKind(file_type, get_args(FileType))
        path: Path = getattr(self, file_type)
        return path

    def file_path(self, file_type: str, relative: str) -> Path:
        """A path (existing or not) inside input, output or temp; raises OutsideFolder."""
        return self.below(self.directory(file_type), relative)

    def below(self, root: Path, relative: str) -> Path:
        """A path (existing or not) inside a folder that clients read or write.

        Links in it may lead into the folders that clients may name, and nowhere else. Raises
        OutsideFolder.
        """
        return inside(root, relative, links_to=self._open())

    def is_reachable(self, path: str) -> bool:
        """Whether a link in input, output or temp leads to where clients may read."""
        return _leads_into(path, self.input, self._open())

    def _open(self) -> Iterator[Path]:
        """The folders that clients may name files in. Not those of users: they are theirs alone."""
        yield from (self.input, self.output, self.temp)
        for kind, paths in self.models.items():
            if kind != "custom_nodes":  # code, and what packs keep beside it
                yield from paths

    def annotated_path(self, name: str, default: FileType = "input") -> Path:
        """The path of `name`, `name [output]`, ... (existing or not); raises OutsideFolder."""
        plain, file_type = split_annotation(name)
        path = self.file_path(file_type or default, plain)
        if any(len(os.fsencode(part)) > _LONGEST_PART for part in plain.split("/")):
            reason = (
                f"it is longer than {_LONGEST_PART} bytes"  # asked for such a file, Path raises
            )
            raise OutsideFolder(f"{plain[:40]}...", path.parent, reason)
        return path


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100  (links stay as they are named)


def _standard_folders(base: Path, models_root: Path, output: Path, kind: str) -> list[Path]:
    if kind in BASE_KINDS:
        return [base / kind]
    paths = [models_root / name for name in MODEL_KINDS[kind]]
    if kind in OUTPUT_MODEL_FOLDERS:
        paths.append(output / OUTPUT_MODEL_FOLDERS[kind])
    return paths
