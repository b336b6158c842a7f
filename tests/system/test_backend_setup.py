# SPDX-License-Identifier: Apache-2.0
"""tiara backend-setup on a server: what it prints makes --check content, and what is undone is named."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiara.cli.main import cli

NAMESPACE = "tiara-backend-setup"
TIARA = str(Path(sys.executable).parent / "tiara")
CONF = "/proc/sys/net/ipv4/conf"
L2 = ("web", "--mode=l2", "--vip=198.18.100.1", "--vip=198.18.101.0/24")
MAC = "02:00:00:00:00:07"
VXLAN = ("far", "--mode=vxlan", "--vip=198.18.100.1", "--vni=7", "--vxlan-port=4790", f"--inner-mac={MAC}")


def printed(*arguments: str) -> str:
    """The commands, as any machine prints them."""
    return CliRunner().invoke(cli, ["--server=unix:/nowhere/api.sock", "backend-setup", *arguments]).stdout


class Server:
    """A namespace with one interface, as a machine comes."""

    def shell(self, script: str) -> None:
        """Runs it in the namespace, as root does."""
        subprocess.run([*self._inside(), "sh", "-e"], input=script, text=True, check=True)

    def setup(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """tiara backend-setup there."""
        command = [*self._inside(), TIARA, "--server=unix:/nowhere/api.sock", "backend-setup", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def missing(self, *arguments: str) -> list[str]:
        """What --check finds wanting."""
        done = self.setup(*arguments, "--check", "--json")
        found = json.loads(done.stdout)
        missing = [f"{step['what']}; {step['fault']}" for step in found if not step["ok"]]
        assert done.returncode == (1 if missing else 0)
        return missing

    def _inside(self) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{NAMESPACE}", "--"]


@pytest.fixture
def server() -> Iterator[Server]:
    """A new one for each test."""
    subprocess.run(["ip", "netns", "delete", NAMESPACE], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    made = Server()
    made.shell(
        f"""
        ip link set lo up
        ip link add eth0 type veth peer name wire
        ip link set wire mtu 9000 up
        ip link set eth0 up
        ip address add 198.18.0.11/24 dev eth0
        for i in all default eth0; do echo 1 > {CONF}/$i/rp_filter; done
        """
    )
    yield made
    subprocess.run(["ip", "netns", "delete", NAMESPACE], check=True)


@pytest.mark.parametrize("arguments", [L2, VXLAN], ids=["l2", "vxlan"])
def test_what_is_printed_is_enough(server: Server, arguments: tuple[str, ...]) -> None:
    """Nothing is there at first; the script makes all of it, once and again."""
    vips = sum(argument.startswith("--vip=") for argument in arguments)
    assert len(server.missing(*arguments)) >= 3 + vips
    script = server.setup(*arguments).stdout
    for _ in range(2):
        server.shell(script)
        assert server.missing(*arguments) == []
    assert "missing" not in server.setup(*arguments, "--check").stdout


UNDONE = [
    (L2, "ip address delete 198.18.100.1/32 dev lo", "198.18.100.1 on lo", "no interface has it"),
    (L2, "ip address delete 198.18.101.0/24 dev lo", "198.18.101.0/24 on lo", "no interface has it"),
    (L2, "ip address add 198.18.100.1/32 dev eth0", "198.18.100.1 on lo", "it is on eth0"),
    (L2, f"echo 0 > {CONF}/all/arp_ignore", "arp_ignore", "it is 0"),
    (L2, f"echo 1 > {CONF}/all/arp_announce", "arp_announce", "it is 1"),
    (L2, f"echo 1 > {CONF}/eth0/rp_filter", "rp_filter 2 for eth0", "it is 1 (strict)"),
    (L2, "ip link set eth0 mtu 1400", "MTU of eth0 at least 1500", "it is 1400"),
    (VXLAN, "ip link set eth0 mtu 1549", "MTU of eth0 at least 1550", "it is 1549"),
    (VXLAN, "ip link set tiara7 down", "tiara7: VXLAN 7", "tiara7 is down"),
    (VXLAN, "ip link set tiara7 address 02:00:00:00:00:08", "tiara7: VXLAN 7", "MAC 02:00:00:00:00:08"),
    (VXLAN, f"echo 1 > {CONF}/tiara7/rp_filter", "rp_filter 0 for tiara7", "it is 1 (strict)"),
    (VXLAN, f"echo 2 > {CONF}/tiara7/rp_filter", "rp_filter 0 for tiara7", "it is 2, and the device has no"),
    (VXLAN, f"echo 1 > {CONF}/all/rp_filter", "rp_filter 0 for tiara7", "it is 1 (strict)"),
]


@pytest.mark.parametrize(("arguments", "undo", "what", "fault"), UNDONE)
def test_each_thing_undone_is_named(
    server: Server, arguments: tuple[str, ...], undo: str, what: str, fault: str
) -> None:
    """It is missing, with what is there instead; the same script mends it, or says what to take off."""
    script = printed(*arguments)
    server.shell(script)
    server.shell(undo)
    missing = server.missing(*arguments)
    (found,) = (text for text in missing if what in text)
    assert fault in found
    # without its device or another MAC's there is none whose rp_filter could be looked at
    assert [text for text in missing if what not in text and "rp_filter" not in text] == []
    if "it is on eth0" not in fault and "MAC" not in fault:
        server.shell(script)
        assert server.missing(*arguments) == []


@pytest.mark.parametrize(
    ("device", "fault"),
    [
        ("type vxlan id 8 dstport 4790", "VXLAN 8"),
        ("type vxlan id 7 dstport 4789", "port 4789"),
        ("type veth peer name other", "is no VXLAN device"),
    ],
)
def test_another_device_of_that_name(server: Server, device: str, fault: str) -> None:
    """It is not taken for the pool's: what is different is named."""
    server.shell(f"ip link add tiara7 address {MAC} {device}")
    server.shell(printed(*VXLAN))
    assert any(fault in text for text in server.missing(*VXLAN))


def test_a_device_of_another_name_will_do(server: Server) -> None:
    """What counts is what it unpacks."""
    server.shell(printed(*VXLAN, "--device=vx0"))
    assert server.missing(*VXLAN) == []
    server.shell("ip link set vx0 down")
    assert any("vx0 is down" in text for text in server.missing(*VXLAN))


def test_other_interfaces_stay_as_strict(server: Server) -> None:
    """`all` must be 0 for the tunnel: what it said is said of each other interface instead."""
    server.shell(f"echo 0 > {CONF}/eth0/rp_filter; echo 2 > {CONF}/wire/rp_filter")
    server.shell(printed(*VXLAN))
    values = [f"[ $(cat {CONF}/{name}/rp_filter) = {value} ]" for name, value in STRICT.items()]
    server.shell("; ".join(values))


STRICT = {"all": 0, "tiara7": 0, "eth0": 1, "wire": 2, "lo": 1}


def test_a_large_mtu_stays(server: Server) -> None:
    """The script never makes it smaller."""
    server.shell("ip link set eth0 mtu 9000")
    server.shell(printed(*VXLAN))
    assert server.missing(*VXLAN, "--mtu=8950") == []


def test_no_such_interface(server: Server) -> None:
    """The option that names it is named."""
    assert any("give --interface" in text for text in server.missing(*L2, "--interface=eno1"))
