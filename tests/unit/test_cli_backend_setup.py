# SPDX-License-Identifier: Apache-2.0
"""tiara backend-setup: what it asks the control plane, what it prints, and IPIP on a made-up host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_fake import World, serving
from click.testing import CliRunner, Result
from tiara.cli.main import cli
from tiara.cli.realserver import Host, Plan, check

Tiara = Callable[[str], Result]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A control plane with two pools and their services."""
    with serving(tmp_path / "api.sock") as found:
        yield found


@pytest.fixture
def tiara(tmp_path: Path) -> Tiara:
    """Runs a command line; whether anybody listens is the test's."""

    def run(line: str) -> Result:
        return CliRunner().invoke(cli, ["--server", f"unix:{tmp_path}/api.sock", *line.split()])

    return run


def fill(tiara: Tiara) -> None:
    """Pools web (l2) and far (vxlan)."""
    for line in (
        "pool create web --mode l2",
        "pool create far --mode vxlan --vni 7 --vxlan-port 4790 --inner-mac 02:00:00:00:00:07",
        "pool create idle --mode l2",
        "service create a --frontend tcp:198.18.100.9:80 --frontend tcp:198.18.100.9:443 --pool web",
        "service create b --frontend udp:198.18.100.10:53 --pool web",
        "service create c --frontend tcp:198.18.100.2:80 --pool far",
    ):
        assert tiara(line).exit_code == 0, line


def test_all_from_the_control_plane(tiara: Tiara, world: World) -> None:
    """Mode, VNI, port, inner MAC, and each VIP of the pool's services once, in order."""
    fill(tiara)
    web = tiara("backend-setup web").stdout
    assert [line.split()[3] for line in web.splitlines() if line.startswith("ip address")] == [
        "198.18.100.9/32",
        "198.18.100.10/32",
    ]
    assert "vxlan" not in web
    far = tiara("backend-setup far").stdout
    assert "ip link add tiara7 address 02:00:00:00:00:07 type vxlan id 7 dstport 4790 nolearning\n" in far
    assert "ip address replace 198.18.100.2/32 dev lo\n" in far


def test_what_is_given_counts(tiara: Tiara, world: World) -> None:
    """Options beside what the control plane says."""
    fill(tiara)
    far = tiara(
        "backend-setup far --vip 198.18.100.0/24 --vni 9 --interface ens3 --mtu 1400 --device vx"
    ).stdout
    assert "ip link add vx address 02:00:00:00:00:07 type vxlan id 9 dstport 4790" in far
    assert "dev lo\n" in far and "198.18.100.0/24 dev lo" in far and "198.18.100.2" not in far
    assert "ip link set dev ens3 mtu 1450" in far


def test_without_a_control_plane(tiara: Tiara) -> None:
    """Mode and VIPs are enough; less is refused with what to give."""
    result = tiara("backend-setup web --mode l2 --vip 198.18.100.1")
    assert (result.exit_code, result.stderr) == (0, "")
    result = tiara("backend-setup far --mode vxlan --vip 198.18.100.1")
    assert (result.exit_code, "type vxlan id 1 dstport 4789" in result.stdout) == (0, True)
    assert "VXLAN's defaults are taken" in result.stderr
    result = tiara("backend-setup web --mode l2")
    assert result.exit_code == 3
    assert "Without one: give --mode and --vip" in result.stderr


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("backend-setup none", 1, "backendPools/none does not exist"),
        ("backend-setup idle", 2, "no service uses pool idle yet: give --vip"),
        ("backend-setup far --mode l2", 2, "pool far forwards by vxlan, not by l2"),
        ("backend-setup web --vip 198.18.100", 2, "'198.18.100' is neither an IPv4 address nor a prefix"),
        ("backend-setup web --vip 198.18.100.1/24", 2, "has host bits set"),
        ("backend-setup web --interface a;b", 2, "'a;b' is no interface's name"),
        ("backend-setup far --inner-mac 02:00", 2, "'02:00' is no MAC address"),
    ],
)
def test_refused(tiara: Tiara, world: World, line: str, code: int, message: str) -> None:
    """Nothing is printed that a shell could run."""
    fill(tiara)
    result = tiara(line)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr


def test_vips_come_last(tiara: Tiara) -> None:
    """Before ARP is silenced a VIP on a server would be a second answer to the balancer's."""
    for mode in ("l2", "vxlan --vni 7", "ipip"):
        commands = [
            line
            for line in tiara(f"backend-setup web --mode {mode} --vip 198.18.100.1").stdout.splitlines()
            if not line.startswith("#")
        ]
        assert commands[-1] == "ip address replace 198.18.100.1/32 dev lo"


IPIP = Plan("web", "ipip", ("198.18.100.1",))


def link(name: str, **fields: Any) -> dict[str, Any]:
    """As `ip -j -d address` has it."""
    return {"ifname": name, "flags": ["UP"], "mtu": 1520, "addr_info": [], **fields}


def device(**data: Any) -> dict[str, Any]:
    """An IPIP device."""
    return link(
        "tunl0", linkinfo={"info_kind": "ipip", "info_data": {"remote": "any", "local": "any"} | data}
    )


@pytest.fixture
def host(tmp_path: Path) -> Callable[..., Host]:
    """A server with everything but its tunnel device."""
    settings = {"all": {"arp_ignore": 1, "arp_announce": 2, "rp_filter": 0}, "tunl0": {"rp_filter": 0}}
    for name, values in settings.items():
        (tmp_path / name).mkdir()
        for setting, value in values.items():
            (tmp_path / name / setting).write_text(f"{value}\n")
    lo = link("lo", addr_info=[{"family": "inet", "local": "198.18.100.1", "prefixlen": 32}])
    return lambda *links: Host([lo, link("eth0"), *links], tmp_path)


def faults(plan: Plan, host: Host) -> list[str]:
    """What is wrong."""
    return [found.fault for found in check(plan, host) if found.fault]


def test_ipip(host: Callable[..., Host], tmp_path: Path) -> None:
    """A device that unpacks from anywhere, up and not strict about sources."""
    assert faults(IPIP, host(device())) == []
    assert faults(IPIP, host()) == ["no device does that (tunl0 is to)", "there is no tunl0"]
    assert faults(IPIP, host(device(remote="198.18.0.2")))[0] == "no device does that (tunl0 is to)"
    assert faults(IPIP, host(device() | {"flags": []})) == ["tunl0 is down"]
    (tmp_path / "tunl0" / "rp_filter").write_text("1\n")
    assert faults(IPIP, host(device())) == ["it is 1 (strict)"]
    (tmp_path / "all" / "rp_filter").write_text("2\n")
    assert faults(IPIP, host(device())) == ["it is 2, and the device has no address"]
    addressed = device() | {"addr_info": [{"family": "inet", "local": "198.18.100.1", "prefixlen": 32}]}
    assert faults(IPIP, host(addressed)) == []


def test_ipip_needs_20_more_bytes(host: Callable[..., Host]) -> None:
    """Of the interface towards the balancer."""
    narrow = host(device())
    narrow.link("eth0")["mtu"] = 1519  # type: ignore[index]
    assert faults(IPIP, narrow) == ["it is 1519"]
