# SPDX-License-Identifier: Apache-2.0
"""Checks of the machine: they need neither daemon."""

from __future__ import annotations

from collections.abc import Iterator

from tiara.doctor.facts import Facts, Link, Machine
from tiara.doctor.finding import Finding, ok, skipped, warning, wrong
from tiara.domain.layout import LAYOUT_ID

PAGE_BYTES = 2 << 20
NET_ADMIN, NET_RAW, IPC_LOCK, SYS_ADMIN, BPF = 12, 13, 14, 21, 39
RELEASED_YEAR = 2026
STORE_WRONG_BYTES, STORE_LOW_BYTES = 16 << 20, 256 << 20

_CAPABILITIES: dict[str, dict[str, tuple[int, ...]]] = {
    "af_packet": {"NET_RAW": (NET_RAW,), "NET_ADMIN": (NET_ADMIN,)},
    "af_xdp": {
        "NET_RAW": (NET_RAW,),
        "NET_ADMIN": (NET_ADMIN,),
        "SYS_ADMIN": (BPF, SYS_ADMIN),
        "IPC_LOCK": (IPC_LOCK,),
    },
    "eal": {"NET_ADMIN": (NET_ADMIN,)},
}
_NO_IO = "no data plane runs here: say how one would be started, as --io af_packet:eth1"
_QUICK_CLOCKS = ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "xen")


def hugepages(facts: Facts) -> Iterator[Finding]:
    """2 MiB pages, enough of them for the segment."""
    name, machine = "huge pages", facts.machine
    wanted = pages_wanted(machine)
    reserve = f"echo {max(wanted, machine.pages_total)} > /proc/sys/vm/nr_hugepages"
    mount = "mount -t hugetlbfs -o pagesize=2M none /dev/hugepages"
    complain = wrong if machine.dataplane.io == "eal" else warning
    if machine.segment is not None:
        yield _segment_pages(name, machine)
    elif machine.pages_total == 0:
        yield complain(name, "there are none: the table is slower in 4 KiB pages", f"{reserve} && {mount}")
    elif not machine.hugetlbfs:
        yield warning(name, "no hugetlbfs of 2 MiB pages is mounted that this user may write", mount)
    elif machine.pages_free < wanted:
        missing = machine.pages_total + wanted - machine.pages_free
        what = f"{machine.pages_free} are free, a new segment takes {wanted}"
        yield complain(name, what, f"echo {missing} > /proc/sys/vm/nr_hugepages")
    else:
        yield ok(name, f"{machine.pages_free} of 2 MiB free, a new segment takes {wanted}")


def pages_wanted(machine: Machine) -> int:
    """For a segment as the data plane's arguments say: table, heap, and 16 MiB of the rest."""
    slots = 8
    while slots < machine.dataplane.connections:
        slots *= 2
    return -(-(slots * 16 + (machine.dataplane.heap_mb + 16 << 20)) // PAGE_BYTES)


def _segment_pages(name: str, machine: Machine) -> Finding:
    assert machine.segment is not None
    path = machine.segment.path
    if machine.segment.huge:
        return ok(name, f"the segment is in 2 MiB pages: {path}")
    free = f"{machine.pages_free} huge pages are free"
    remedy = (
        "reserve huge pages, dump the connections, stop both daemons, remove the file and load them again"
    )
    return warning(name, f"the segment is in 4 KiB pages, lookups are slower; {free}: {path}", remedy)


def layout(facts: Facts) -> Iterator[Finding]:
    """A segment that is there is one that these programs know."""
    name, segment = "segment", facts.machine.segment
    if segment is None:
        yield ok(name, "none yet: the data plane makes it")
    elif segment.layout_id is None:
        yield skipped(name, f"{segment.path} may not be read by this user")
    elif segment.layout_id != LAYOUT_ID:
        yield wrong(
            name,
            f"{segment.path} has layout {segment.layout_id:016x}, these programs have {LAYOUT_ID:016x}",
            "with the old version: tiara connections dump FILE; then remove the segment, start the new one, "
            "and tiara connections load FILE",
        )
    else:
        yield ok(name, f"{segment.path} has these programs' layout, {LAYOUT_ID:016x}")


def privileges(facts: Facts) -> Iterator[Finding]:
    """What tiara-dataplane asks for at its start."""
    name, machine = "privileges", facts.machine
    io = machine.dataplane.io
    if machine.dataplane.running:
        yield ok(name, "the data plane had what it needs when it started")
        return
    if not io:
        yield skipped(name, _NO_IO)
        return
    lacking = [
        need
        for need, numbers in _CAPABILITIES[io].items()
        if not any(machine.capabilities >> number & 1 for number in numbers)
    ]
    if lacking:
        listed = " ".join(f"CAP_{need}" for need in lacking)
        remedy = f"start it as root, or in its systemd unit: AmbientCapabilities={listed}"
        yield wrong(name, f"this user lacks {listed} for --io {io}", remedy)
    elif not machine.tun:
        remedy = "modprobe tun, or give the container --device /dev/net/tun; else start with --no-kernel"
        yield wrong(name, "/dev/net/tun cannot be opened, and the own address needs a TAP", remedy)
    else:
        yield ok(name, f"this user may start it with --io {io}")


def port(facts: Facts) -> Iterator[Finding]:
    """The interface that the data plane takes over."""
    name, machine = "port", facts.machine
    dataplane, link = machine.dataplane, machine.port
    if not dataplane.io:
        yield skipped(name, _NO_IO)
    elif dataplane.io == "eal":
        yield skipped(name, "DPDK owns it: tiara-dataplane says at its start what it cannot do")
    elif dataplane.elsewhere:
        yield skipped(name, "the data plane runs in another network namespace: run tiara doctor there")
    elif link is None:
        what = f"there is no interface {dataplane.interface} in this network namespace"
        yield wrong(name, what, "give --io one that `ip link` shows")
    else:
        yield from _port_faults(name, machine, link) or [ok(name, _port_text(link))]


def _port_text(link: Link) -> str:
    return f"{link.name}: {link.driver or 'driver unknown'}, queues {link.queues}, MTU {link.mtu_bytes}"


def _port_faults(name: str, machine: Machine, link: Link) -> list[Finding]:
    faults = [*_taken(name, machine, link), *_queues(name, machine, link)]
    if not machine.dataplane.running:
        return faults
    if not link.up:
        faults.append(wrong(name, f"{link.name} is down", f"ip link set {link.name} up"))
    if link.merging is None:
        faults.append(skipped(name, f"whether {link.name} merges frames: ethtool is not here"))
    elif link.merging:
        switches = " ".join(f"{feature} off" for feature in link.merging)
        what = f"{link.name} merges or splits frames: they are not what was on the wire"
        faults.append(wrong(name, what, f"ethtool -K {link.name} {switches}"))
    if link.forwarding and link.rp_filter != 1:
        what = f"the kernel forwards what arrives at {link.name} too: servers get it twice"
        faults.append(wrong(name, what, f"sysctl -w net.ipv4.conf.{link.name}.forwarding=0"))
    return faults


def _taken(name: str, machine: Machine, link: Link) -> Iterator[Finding]:
    """Who takes over an interface that others use cuts them off."""
    if link.addresses:
        what = f"{link.name} has {link.addresses[0]}, which is not reached while the data plane has it"
        yield warning(name, what, f"ip address delete {link.addresses[0]} dev {link.name}")
    if link.name in machine.default_routes:
        what = f"{link.name} carries the default route, which is cut while the data plane has it"
        yield wrong(name, what, "give --io another interface, or --take-interface to do without that route")


def _queues(name: str, machine: Machine, link: Link) -> Iterator[Finding]:
    """af_xdp has the interface's queues and no more; af_packet makes its own."""
    workers, queues = machine.dataplane.workers, link.queues
    if machine.dataplane.io == "af_xdp" and workers != queues:
        what = f"{link.name} has {queues} queues and {workers} workers are to have one each"
        yield wrong(
            name, what, f"start it with --workers {queues}, or ethtool -L {link.name} combined {workers}"
        )


def clock(facts: Facts) -> Iterator[Finding]:
    """Certificates, tokens, drain deadlines and the history go by the wall clock; workers by the CPU's."""
    name, machine = "clock", facts.machine
    if machine.now.year < RELEASED_YEAR:
        what = f"it is {machine.now:%Y-%m-%d} here: before this version was made"
        yield wrong(name, what, "timedatectl set-ntp true")
    elif machine.synchronized is None:
        yield skipped(name, "whether it is synchronized: timedatectl does not say here")
    elif not machine.synchronized:
        yield warning(name, "it is not synchronized", "timedatectl set-ntp true")
    else:
        yield ok(name, "synchronized")
    if machine.clock_source not in _QUICK_CLOCKS:
        what = f"the kernel's time comes from {machine.clock_source}, which is slow to read"
        yield warning(
            name, what, "boot with tsc=reliable if the CPU's counter is sound (dmesg | grep -i tsc)"
        )
    elif not machine.steady_tsc:
        remedy = "on the hypervisor, pass the CPU's invariant TSC through"
        yield warning(name, "the CPU's counter may stop or change its pace: busy shares are off", remedy)
    else:
        yield ok(name, f"steady counter, kernel's time by {machine.clock_source}")


def store(facts: Facts) -> Iterator[Finding]:
    """Room for the configuration and its history."""
    name, free, path = "store", facts.machine.store_free_bytes, facts.machine.store
    if free is None:
        yield skipped(name, f"{path} cannot be looked at by this user")
        return
    what = f"{free >> 20} MiB are free for {path}"
    remedy = f"make room there (df {path.rpartition('/')[0]}), or start tiara-controlplane with --store FILE"
    if free < STORE_WRONG_BYTES:
        yield wrong(name, f"{what}: writes will be refused", remedy)
    elif free < STORE_LOW_BYTES:
        yield warning(name, what, remedy)
    else:
        yield ok(name, what)
