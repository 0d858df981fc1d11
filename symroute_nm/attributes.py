"""Attributes of netlink messages as bytes, struct nlattr in linux/netlink.h."""

import struct
from typing import AbstractSet, Iterator, Tuple

_LENGTH = struct.Struct("=I")  # of the message, the first field of its header
_HEADER = struct.Struct("=HH")
SIZE = _HEADER.size  # of an attribute's header
_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER


def walk(content: bytes, offset: int, end: int) -> Iterator[Tuple[int, int, int]]:
    """The attributes between two offsets: type, where it begins, its length with its header."""
    while offset + SIZE <= end:
        kind, length = head(content, offset)
        yield kind, offset, length
        offset += max(SIZE, _align(length))


def head(content: bytes, offset: int) -> Tuple[int, int]:
    """Type and length, with the header, of the attribute that begins there."""
    length, kind = _HEADER.unpack_from(content, offset)
    return kind & _TYPE_MASK, length


def make(kind: int, value: bytes) -> bytes:
    """An attribute with that value."""
    return _HEADER.pack(SIZE + len(value), kind) + value + bytes(_align(len(value)) - len(value))


def pick(content: bytes, offset: int, size: int, asked: AbstractSet[int]) -> bytes:
    """The message that begins at `offset` with the attributes alone whose types are `asked` for.

    `size` is that of its header and fixed fields, in bytes.
    """
    end = offset + _LENGTH.unpack_from(content, offset)[0]
    parts = [content[offset + _LENGTH.size : offset + size]]
    parts += (content[at : min(at + max(SIZE, _align(length)), end)]
              for kind, at, length in walk(content, offset + size, end) if kind in asked)
    rest = b"".join(parts)
    return _LENGTH.pack(_LENGTH.size + len(rest)) + rest


def _align(length: int) -> int:
    return (length + 3) & ~3  # NLA_ALIGN
