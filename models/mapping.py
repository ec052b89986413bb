"""Tensors of a file that is mapped into memory, and whose pages can be given back."""

from __future__ import annotations

import math
import mmap
import weakref
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

# safetensors' name of a number type -> torch's
DTYPES: Final = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8,
    "BOOL": torch.bool, "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2": torch.float8_e5m2, "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
}  # fmt: skip

MOST_VALUES: Final = 2**63 - 1  # that torch can count


class MappedFile(mmap.mmap):
    """A file in memory. Its tensors keep it alive: this object is the buffer that they lie in."""

    start: int  # address of the first byte

    def tensor(self, dtype: str, shape: tuple[int, ...], begin: int, end: int) -> Tensor:
        """The tensor between two positions in the file.

        Raises KeyError for a type that torch lacks, ValueError for a shape.
        """
        kind = DTYPES[dtype]
        if begin == end:  # then sizes beside a 0 are bounded by nothing
            if math.prod(filter(None, shape)) > MOST_VALUES:
                raise ValueError(f"a tensor without values has the shape {list(shape)}")
            return torch.empty(shape, dtype=kind)
        count = (end - begin) // kind.itemsize
        return torch.frombuffer(self, dtype=kind, count=count, offset=begin).reshape(shape)

    def holds(self, address: int) -> bool:
        """Whether an address in memory is in this file."""
        return self.start <= address < self.start + len(self)

    def release(self, address: int, size: int) -> None:
        """Drop the whole pages of a range from memory; who reads it again gets the file's."""
        first = -(-(address - self.start) // mmap.PAGESIZE) * mmap.PAGESIZE
        last = (address - self.start + size) // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first:
            self.madvise(mmap.MADV_DONTNEED, first, last - first)


_files: weakref.WeakSet[MappedFile] = weakref.WeakSet()


def map_file(path: Path) -> MappedFile:
    """The file in memory. Raises OSError or ValueError if it cannot be mapped."""
    with path.open("rb") as file:
        # A copy on writing, because torch has no tensors that cannot be written to.
        mapped = MappedFile(file.fileno(), 0, access=mmap.ACCESS_COPY)
    mapped.start = torch.frombuffer(mapped, dtype=torch.uint8, count=1).data_ptr()
    _files.add(mapped)
    return mapped


def release_pages(tensor: Tensor) -> None:
    """Give the pages of a mapped tensor back; others are left alone.

    For tensors that have been converted: what lies in memory besides the result is the file's and
    can be read again. Nobody writes to the tensors of a mapped file.
    """
    if tensor.device.type != "cpu":
        return
    address = tensor.data_ptr()
    for mapped in _files:
        if mapped.holds(address):
            mapped.release(address, tensor.nbytes)
            return
