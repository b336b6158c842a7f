# SPDX-License-Identifier: Apache-2.0
"""Rules for single values. Each raises ``InvalidField`` with the field's path."""

from __future__ import annotations

import ipaddress
import re

from tiara.domain.errors import InvalidField

_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_UID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_PATH = re.compile(r"/[!-~]{0,1023}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?", re.ASCII)
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.ASCII)


def shown(text: str) -> str:
    """The value as an error message quotes it: escaped, at most 80 characters."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def check_id(field: str, text: str) -> str:
    """1 to 63 of a-z, 0-9 and "-", a letter first, no "-" at the end."""
    if not text:
        raise InvalidField(field, "must be set")
    if not _ID.fullmatch(text):
        raise InvalidField(
            field, f"{shown(text)} is no id: 1 to 63 of a-z, 0-9 and '-', a letter first, no '-' at the end"
        )
    return text


def check_uid(field: str, text: str) -> str:
    """32 hex digits, lower case."""
    if not _UID.fullmatch(text):
        raise InvalidField(field, f"{shown(text)} is no uid: 32 hex digits, lower case")
    return text


def check_range(field: str, value: int, low: int, high: int) -> int:
    """``low <= value <= high``."""
    if not low <= value <= high:
        raise InvalidField(field, f"{value} is not in {low} to {high}")
    return value


def check_ipv4(field: str, text: str) -> str:
    """A unicast IPv4 address of a host in canonical text."""
    if not text:
        raise InvalidField(field, "must be set")
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise InvalidField(
            field, f"{shown(text)} is no IPv4 address in canonical text, as '198.18.0.11'"
        ) from None
    first = int(address) >> 24
    if first in (0, 127) or first >= 224:
        raise InvalidField(field, f"{text} is no unicast address of a host")
    return text


def check_prefix(field: str, text: str) -> ipaddress.IPv4Network:
    """An IPv4 prefix, no bit set behind its length; a bare address is a prefix of 32 bits."""
    try:
        return ipaddress.IPv4Network(text)
    except ValueError:
        raise InvalidField(
            field, f"{shown(text)} is no IPv4 prefix, as '198.18.64.0/24', or has bits behind its length"
        ) from None


def check_canonical_prefix(field: str, text: str) -> str:
    """The same in canonical text: address and length."""
    if str(check_prefix(field, text)) != text:
        raise InvalidField(field, f"{shown(text)} is no IPv4 prefix in canonical text, as '198.18.64.0/24'")
    return text


def check_path(field: str, text: str) -> str:
    """Path and query of an HTTP request: printable ASCII, "/" first, no fragment, at most 1024 bytes."""
    if not _PATH.fullmatch(text) or "#" in text:
        raise InvalidField(
            field,
            f"{shown(text)} is no path: printable ASCII without space and '#', '/' first, at most 1024 bytes",
        )
    return text


def check_host(field: str, text: str) -> str:
    """A Host header: a host name or IPv4 address, perhaps with a port."""
    if not _HOST.fullmatch(text) or int(text.partition(":")[2] or 1) not in range(1, 65536):
        raise InvalidField(
            field, f"{shown(text)} is no host: a name or an IPv4 address, as 'www.example.org:8080'"
        )
    return text


def check_mac(field: str, text: str) -> str:
    """A unicast MAC address in canonical text: lower case, colons."""
    if not _MAC.fullmatch(text):
        raise InvalidField(
            field, f"{shown(text)} is no MAC address in canonical text, as '02:54:49:41:52:41'"
        )
    if int(text[:2], 16) & 1 or text == "00:00:00:00:00:00":
        raise InvalidField(field, f"{text} is no unicast MAC address")
    return text
