"""Attributes of netlink messages as bytes, struct nlattr in linux/netlink.h."""

import struct
from typing import AbstractSet

_LENGTH = struct.Struct("=I")  # of the message, the first field of its header
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER


def pick(content: bytes, offset: int, size: int, asked: AbstractSet[int]) -> bytes:
    """The message that begins at `offset` with the attributes alone whose types are `asked` for.

    `size` is that of its header and fixed fields, in bytes.
    """
    at = offset + size
    end = offset + _LENGTH.unpack_from(content, offset)[0]
    parts = [content[offset + _LENGTH.size : at]]
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(content, at)
        following = at + max(_ATTRIBUTE.size, (length + 3) & ~3)
        if kind & _TYPE_MASK in asked:
            parts.append(content[at : min(following, end)])
        at = following
    rest = b"".join(parts)
    return _LENGTH.pack(_LENGTH.size + len(rest)) + rest
