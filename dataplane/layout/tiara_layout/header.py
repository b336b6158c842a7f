# SPDX-License-Identifier: Apache-2.0
"""What DWARF does not keep: a header's comments, and the declarations handed to cffi."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_COMMENT = re.compile(r"/\*(.*?)\*/", re.DOTALL)
_BLOCK = re.compile(
    r"(?P<doc>/\*(?:(?!\*/).)*\*/\n)?(?P<kind>struct|enum) (?P<name>\w+) \{\n(?P<body>.*?)\n\};", re.DOTALL
)
_LINE = re.compile(r"^\s*(?P<code>[^/]*?)[;,]?\s*/\*(?P<text>.*?)\*/\s*$")
_LAST_WORD = re.compile(r"(\w+)(?:\[\w+\])*\s*(?:=.*)?$")


@dataclass
class Comments:
    """Of one struct or enum: the text above it and the text beside each member."""

    above: str = ""
    beside: dict[str, str] = field(default_factory=dict)


def comments(text: str) -> dict[str, Comments]:
    """Comments by the tag of the struct or enum they belong to."""
    found: dict[str, Comments] = {}
    for block in _BLOCK.finditer(text):
        found[block["name"]] = Comments(_plain(block["doc"] or ""), _beside(block["body"]))
    return found


def declarations(text: str) -> str:
    """C declarations without comments and preprocessor lines, as cffi wants them."""
    code = _COMMENT.sub("", text)
    lines = [line.rstrip() for line in code.splitlines() if not line.lstrip().startswith("#")]
    return re.sub(r"\n{2,}", "\n", "\n".join(lines)).strip() + "\n"


def between_marks(text: str, begin: str = "/* CFFI-BEGIN */", end: str = "/* CFFI-END */") -> str:
    """The part of tiara.h that is meant for cffi."""
    return text[text.index(begin) + len(begin) : text.index(end)]


def _plain(comment: str) -> str:
    body = comment.strip().removeprefix("/*").removesuffix("*/")
    return " ".join(line.strip().removeprefix("*").strip() for line in body.splitlines()).strip()


def _beside(body: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in body.splitlines():
        match = _LINE.match(line)
        name = _LAST_WORD.search(match["code"].strip()) if match else None
        if match and name:
            found[name[1]] = match["text"].strip()
    return found
