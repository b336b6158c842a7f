# SPDX-License-Identifier: Apache-2.0
"""What the kernel says about this machine: /proc, /sys, `ip -json` and ethtool. Nothing is changed."""

from __future__ import annotations

import json
import mmap
import os
import re
import struct
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tiara.cli.realserver import CONF
from tiara.doctor import running
from tiara.doctor.facts import Dataplane, Link, Machine, Route, Segment
from tiara.domain.layout import MEMBERS

_PAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
_CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_PAGE_BYTES = 2 << 20
_MERGING = {
    "generic-receive-offload": "gro",
    "large-receive-offload": "lro",
    "tcp-segmentation-offload": "tso",
    "generic-segmentation-offload": "gso",
    "rx-vlan-offload": "rxvlan",
}
_TELLS_S = 10.0


def machine(instance: str, dataplane: Dataplane, backends: Sequence[str]) -> Machine:
    """All of it; `backends` are the addresses whose routes are wanted."""
    store = _store(instance)
    mounts = _hugetlbfs()
    total, free = (_number(_PAGES / name) for name in ("nr_hugepages", "free_hugepages"))
    here = not dataplane.elsewhere
    return Machine(
        dataplane=dataplane,
        pages_total=total,
        pages_free=free,
        hugetlbfs=next((mount for mount in mounts if os.access(mount, os.W_OK)), ""),
        segment=_segment(instance, mounts),
        capabilities=_capabilities(),
        tun=os.access("/dev/net/tun", os.R_OK | os.W_OK),
        port=_link(dataplane.interface) if here and dataplane.interface else None,
        kernel=_link(dataplane.kernel_interface) if here and dataplane.kernel_interface else None,
        default_routes=tuple(route["dev"] for route in _ip("route", "show", "default") if "dev" in route),
        routes={address: _route(address) for address in backends if here},
        neighbours=_neighbours(dataplane.kernel_interface) if here else {},
        now=datetime.now(UTC),
        synchronized=_synchronized(),
        clock_source=_text(_CLOCK_SOURCE),
        steady_tsc=_has_steady_tsc(),
        store=str(store),
        store_free_bytes=_free(store),
    )


def _told(*command: str) -> str:
    """What a program prints; empty: it is not here, or refuses."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TELLS_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _ip(*words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_told("ip", "-json", "-details", *words) or "[]")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    return int(_text(path) or 0)


def _link(name: str) -> Link | None:
    """Asked of the kernel's socket, not of /sys, which may be of another network namespace."""
    found = _ip("address", "show", "dev", name)
    if not found:
        return None
    link = found[0]
    return Link(
        name,
        link["mtu"],
        "UP" in link.get("flags", ()),
        _driver(link),
        queues(_told("ethtool", "--show-channels", name)),
        tuple(
            f"{at['local']}/{at['prefixlen']}"
            for at in link.get("addr_info", ())
            if at.get("family") == "inet"
        ),
        merging(_told("ethtool", "--json", "--show-features", name)),
        _setting(name, "forwarding") == 1,
        max(_setting("all", "rp_filter"), _setting(name, "rp_filter")),
    )


def _driver(link: Mapping[str, Any]) -> str:
    said = re.search(r"^driver: (.+)$", _told("ethtool", "--driver", link["ifname"]), re.MULTILINE)
    return said[1] if said else link.get("linkinfo", {}).get("info_kind", "")


def queues(channels: str) -> int:
    """Pairs of queues in use, of what `ethtool --show-channels` prints; 1 where it prints nothing."""
    current = channels.partition("Current hardware settings:")[2]
    found = {name: int(number) for name, number in re.findall(r"^(\w+):\s+(\d+)$", current, re.MULTILINE)}
    return min(found.get("RX", 0), found.get("TX", 0)) + found.get("Combined", 0) or 1


def merging(features: str) -> tuple[str, ...] | None:
    """Offloads that are on and change frames, of what `ethtool --json --show-features` prints."""
    if not features:
        return None
    (found,) = json.loads(features)
    return tuple(name for feature, name in _MERGING.items() if found.get(feature, {}).get("active"))


def _setting(interface: str, name: str) -> int:
    return _number(CONF / interface / name)


def _route(address: str) -> Route:
    found = _ip("route", "get", address)
    if not found or "dev" not in found[0]:
        return Route()
    return Route(found[0]["dev"], found[0].get("gateway", ""))


def _neighbours(interface: str) -> dict[str, str]:
    found = _ip("neighbour", "show", "dev", interface) if interface else []
    return {one["dst"]: one.get("state", ["NONE"])[0] for one in found}


def _hugetlbfs() -> list[str]:
    """Mounts of 2 MiB pages, in the order in which the data plane tries them."""
    lines = [line.split() for line in _text(running.PROC / "mounts").splitlines()]
    return [folder for _, folder, kind, *_ in lines if kind == "hugetlbfs" and _is_2_mib(folder)]


def _is_2_mib(folder: str) -> bool:
    try:
        return os.statvfs(folder).f_bsize == _PAGE_BYTES
    except OSError:
        return False


def _segment(instance: str, mounts: Sequence[str]) -> Segment | None:
    for folder in (*mounts, "/dev/shm"):
        for path in sorted(Path(folder).glob(f"tiara-{instance}.*")):
            return Segment(str(path), path.stat().st_size, folder != "/dev/shm", _layout_id(path))
    return None


def _layout_id(path: Path) -> int | None:
    member = MEMBERS["tiara_segment"]["layout_id"]
    with (
        suppress(OSError, ValueError),
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory,  # hugetlbfs has no read
    ):
        return int(struct.unpack_from("<Q", memory, member.offset)[0])
    return None


def _capabilities() -> int:
    said = re.search(r"^CapEff:\s*([0-9a-f]+)$", _text(running.PROC / "self/status"), re.MULTILINE)
    return int(said[1], 16) if said else 0


def _synchronized() -> bool | None:
    said = _told("timedatectl", "show", "--property=NTPSynchronized", "--value").strip()
    return {"yes": True, "no": False}.get(said)


def _has_steady_tsc() -> bool:
    """An Arm core's counter is steady by its architecture."""
    said = re.search(r"^flags\s*:(.*)$", _text(running.PROC / "cpuinfo"), re.MULTILINE)
    return said is None or {"constant_tsc", "nonstop_tsc"} <= set(said[1].split())


def _store(instance: str) -> Path:
    process = running.find("tiara-controlplane", instance)
    named = process.options.get("--store", "") if process else ""
    return Path(named or f"/var/lib/tiara/{instance}/store.db")


def _free(path: Path) -> int | None:
    """For whoever may write there: where the folder is not made yet, of the one that it comes into."""
    for folder in path.parents:
        with suppress(FileNotFoundError, NotADirectoryError):
            try:
                found = os.statvfs(folder)
            except PermissionError:
                return None
            return found.f_bavail * found.f_frsize
    return None
