"""Where text encoders look for files that prompts need."""

from __future__ import annotations

from models.text.combinations import TextFolders
from nodes.context import NodeFolders


def text_folders(folders: NodeFolders) -> TextFolders:
    """Embeddings and tokenizers of this installation."""
    return TextFolders(
        embeddings=tuple(folders.kind_folders("embeddings")),
        tokenizers=tuple(folders.kind_folders("tokenizers")),
    )
