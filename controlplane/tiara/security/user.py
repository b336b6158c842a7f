# SPDX-License-Identifier: Apache-2.0
"""The user and group that the process runs as, once what root alone can make is there."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tiara.security.listener import StartError


def group_id(name: str) -> int:
    """By name or number. ``StartError``: there is none."""
    if name.isdecimal():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise StartError(f"--group {name!r}: there is no such group on this machine") from None


def become(name: str, folders: Sequence[Path], group: int | None = None) -> None:
    """Is that user from now on, with its groups and ``group``. Folders that it has to make are the user's.

    ``StartError``: there is no such user, this process is not root, or the user may not write a folder.
    """
    user = _user(name)
    if os.geteuid() != user.pw_uid:
        if os.geteuid() != 0:
            raise StartError(f"--user {name} needs root at the start; or start it as that user, without it")
        for folder in folders:
            _make(folder, user)
        _change(user, group)
    for folder in folders:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StartError(f"{folder} cannot be written by the user {name}: chown -R {name} {folder}")


def _make(folder: Path, user: pwd.struct_passwd) -> None:
    """One that is there stays whose it is: it may be everybody's, or hold what root put there."""
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o755)
        os.chown(folder, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _change(user: pwd.struct_passwd, group: int | None) -> None:
    """The groups first: after the last line nothing of root is left, in no thread."""
    groups = {*os.getgrouplist(user.pw_name, user.pw_gid), *([] if group is None else [group])}
    os.setgroups(sorted(groups))
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise StartError(f"--user {name!r}: there is no such user on this machine") from None
