# SPDX-License-Identifier: Apache-2.0
"""Words that may not appear: in the hot path, in C that is shared, and anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

from . import csource
from .tree import Finding, Result, Tree

HOT = ("dataplane/path", "dataplane/offload", "dataplane/table")

_ALLOCATES = (
    "malloc calloc realloc free aligned_alloc posix_memalign alloca strdup rte_malloc rte_zmalloc rte_free"
)
_PRINTS = (
    "printf fprintf dprintf sprintf snprintf vsnprintf puts fputs perror syslog rte_log RTE_LOG RTE_LOG_LINE"
)
_LOCKS = "pthread_\\w+ mtx_\\w+ sem_\\w+ rte_spinlock_\\w+ rte_rwlock_\\w+"
_SYSTEM = (
    "usleep nanosleep sleep sched_yield ioctl open close read write pread pwrite mmap munmap madvise "
    "send recv sendto recvfrom sendmsg recvmsg poll syscall getenv time clock_gettime gettimeofday "
    "rte_eal_\\w+ rte_delay_\\w+ sigaction fork"
)
_ENDS = "abort exit _exit assert rte_panic rte_exit"

_MENDS = (
    (_ALLOCATES, "allocates", "use memory that was set up before the workers run"),
    (_PRINTS, "prints", "count an event or give a verdict"),
    (_LOCKS, "locks", "use a 16-byte compare-and-swap or a worker's own memory"),
    (_SYSTEM, "makes a system call", "do it in app/ or port/ on the main core"),
    (_ENDS, "ends the process", "return a status or a verdict"),
)
_CALLS = tuple(
    (re.compile(rf"(?<![\w.>])({'|'.join(words.split())})\s*\("), what, mend) for words, what, mend in _MENDS
)
_VOLATILE = re.compile(r"(?<!asm )(?<!asm__ )\bvolatile\b")

_MARKERS = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
_MACHINE_PATH = re.compile(r"(?<![\w.$}/~-])/(?:work|root|home/\w+|Users/\w+)/\w")
_REGISTRY = re.compile(
    r"\b(?:pypi\.org|(?:files\.)?pythonhosted\.org|registry\.npmjs\.org|crates\.io|deb\.debian\.org"
    r"|proxy\.golang\.org|registry-1\.docker\.io|[\w.-]*(?:pypi|mirror|artifactory|nexus|registry)[\w-]*"
    r"\.(?:internal|local|corp|lan))\b"
)
_DLOPEN = re.compile(r"\.dlopen\s*\(")

_ANYWHERE = (
    (_MARKERS, "a note to self", "do it, or open an issue and drop the note"),
    (_MACHINE_PATH, "a path of one machine", "make it relative to the root or an argument"),
    (_REGISTRY, "a registry's host name", "leave it to the machine's own configuration"),
)


def check(tree: Tree) -> Result:
    """All forbidden words."""
    return Result([*_hot(tree), *_anywhere(tree), *_abi_mode(tree)])


def _hot(tree: Tree) -> Iterator[Finding]:
    for path in tree.under(*HOT, ends=(".c", ".h")):
        for at, line in enumerate(csource.code(tree.text(path)).splitlines(), 1):
            for pattern, what, mend in _CALLS:
                for match in pattern.finditer(line):
                    yield Finding(f"{path}:{at}", f"forbidden in the hot path: {match[1]} {what}", mend)
            if _VOLATILE.search(line):
                yield Finding(
                    f"{path}:{at}", "forbidden in the hot path: volatile", "use the __atomic builtins"
                )


def _anywhere(tree: Tree) -> Iterator[Finding]:
    for path in tree.under("", ends=("",)):
        for at, line in enumerate(tree.text(path).splitlines(), 1):
            for pattern, what, mend in _ANYWHERE:
                if match := pattern.search(line):
                    yield Finding(f"{path}:{at}", f"forbidden: {match[0].strip()} is {what}", mend)


def _abi_mode(tree: Tree) -> Iterator[Finding]:
    for path in tree.under("controlplane", "bench", "script", ends=(".py",)):
        for at, line in enumerate(tree.text(path).splitlines(), 1):
            if _DLOPEN.search(line):
                yield Finding(
                    f"{path}:{at}", "forbidden: cffi's ABI mode checks no sizes", "use tiara.native._libtiara"
                )
