# SPDX-License-Identifier: Apache-2.0
"""`tiara import ipvsadm`: what `ipvsadm -Sn` prints, as lb.yaml that says what is not the same."""

from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner, Result
from tiara import client
from tiara.cli import lbfile
from tiara.cli.main import cli
from tiara.v1 import backend_pool_pb2 as pool_pb
from tiara.v1.configuration_pb2 import Configuration

# As printed by ipvsadm 1.31.
PLAIN = """\
-A -t 198.18.100.1:80 -s wrr
-a -t 198.18.100.1:80 -r 198.18.0.11:80 -g -w 3
-a -t 198.18.100.1:80 -r 198.18.0.12:80 -g -w 0
-A -u 198.18.100.2:53 -s mh -b mh-fallback,mh-port
-a -u 198.18.100.2:53 -r 198.18.0.21:53 -i -w 1 --tun-type ipip
-a -u 198.18.100.2:53 -r 198.18.0.22:53 -i -w 1
"""
# By somebody's own hand, with long options.
BY_HAND = """\
# restored at boot
/sbin/ipvsadm --add-service --tcp-service 198.18.100.1:443 --scheduler wlc --persistent
ipvsadm --add-server --tcp-service 198.18.100.1:443 --real-server 198.18.0.11:443 --gatewaying --weight 2

"""


def run(text: str, *options: str) -> Result:
    """The command with this as its input."""
    return CliRunner().invoke(cli, ["import", "ipvsadm", "-", *options], text)


def imported(text: str, *options: str) -> Configuration:
    """What is printed, read as plan and apply read it."""
    done = run(text, *options)
    assert done.exit_code == 0, done.stderr
    return lbfile.parse("lb.yaml", done.stdout).configuration


def test_services_servers_and_their_way() -> None:
    """One pool a service; -g is direct return, -i is IPIP; weights, 0 too, and names of addresses."""
    made = imported(PLAIN)
    assert made.owner == "ipvsadm"
    assert [pool.name for pool in made.backend_pools] == [
        "backendPools/tcp-198-18-100-1-80",
        "backendPools/udp-198-18-100-2-53",
    ]
    assert [pool.forwarding_mode for pool in made.backend_pools] == [
        pool_pb.FORWARDING_MODE_L2_DIRECT_RETURN,
        pool_pb.FORWARDING_MODE_IPIP,
    ]
    assert [(b.name.rpartition("/")[2], b.address, b.weight, b.port) for b in made.backends] == [
        ("b-198-18-0-11", "198.18.0.11", 3, 0),
        ("b-198-18-0-12", "198.18.0.12", 0, 0),
        ("b-198-18-0-21", "198.18.0.21", 1, 0),
        ("b-198-18-0-22", "198.18.0.22", 1, 0),
    ]
    web, dns = made.virtual_services
    assert list(web.frontends) == [client.parse_frontend("tcp:198.18.100.1:80")]
    assert list(dns.frontends) == [client.parse_frontend("udp:198.18.100.2:53")]
    assert [web.backend_pool, dns.backend_pool] == [pool.name for pool in made.backend_pools]


def test_long_options_comments_and_the_program_s_name() -> None:
    """Files written by hand are taken as ipvsadm -R takes them."""
    made = imported(BY_HAND, "--owner", "edge")
    assert made.owner == "edge"
    assert [b.weight for b in made.backends] == [2]


@pytest.mark.parametrize(
    ("scheduler", "comment"),
    [
        ("wlc", "# wlc: weights count here, held connections do not\n- name: backendPools/"),
        ("lc", "# lc: weights count here, held connections do not; all weights are 1\n"),
        ("dh", "# dh: it chooses by destination"),
        ("fo", "# fo: it uses the heaviest server only"),
        ("mine", "# mine: this scheduler is not known; here by weight"),
        ("wlc -M 255.255.255.0", "# netmask 255.255.255.0: each client address is for itself here"),
        ("wlc -o", "# one-packet scheduling: here"),
        ("wlc -p 360", "# persistence: by client address"),
    ],
)
def test_what_is_not_the_same_is_a_comment(scheduler: str, comment: str) -> None:
    """Above its pool."""
    text = run(PLAIN.replace("-s wrr", f"-s {scheduler}")).stdout
    assert f"\n{comment}" in text


@pytest.mark.parametrize(
    ("options", "affine"),
    [
        ("-s sh", True),
        ("-s sh -b sh-fallback,sh-port", False),
        ("-s mh", True),
        ("-s mh -b mh-port", False),
        ("-s wrr", False),
        ("-s wrr -p 360", True),
        ("-s mh -b mh-port -p", True),
    ],
)
def test_what_chooses_by_client_address_has_source_affinity(options: str, affine: bool) -> None:
    """Source hashing, Maglev and persistence look at the client's address, with -port at its port too."""
    made = imported(PLAIN.replace("-s wrr", options))
    assert [pool.source_affinity for pool in made.backend_pools] == [affine, False]


@pytest.mark.parametrize("scheduler", ["wrr", "rr", "mh", "sh", "wlc", "lc", "dh", "fo", "mine"])
def test_schedulers_are_policies(scheduler: str) -> None:
    """Round robin is weighted round robin, all others are Maglev."""
    pool = imported(PLAIN.replace("-s wrr", f"-s {scheduler}")).backend_pools[0]
    wanted = {"wrr", "rr"} & {scheduler}
    assert pool.policy == (
        pool_pb.SELECTION_POLICY_WEIGHTED_ROUND_ROBIN if wanted else pool_pb.SELECTION_POLICY_MAGLEV
    )


def test_schedulers_without_weights() -> None:
    """rr and lc do not look at weights; a server of weight 0 gets nothing all the same."""
    assert [b.weight for b in imported(PLAIN.replace("wrr", "rr")).backends][:2] == [1, 0]


def test_limits_of_servers_and_services_without_servers() -> None:
    """An upper threshold is taken over; what is left out is said."""
    text = "-A -t 198.18.100.1:80 -s wrr\n-a -t 198.18.100.1:80 -r 198.18.0.11:80 -g -w 1 -x 100 -y "
    assert [backend.max_connections for backend in imported(f"{text}0\n").backends] == [100]
    assert "threshold" not in run(f"{text}0\n").stdout
    assert "\n# 198.18.0.11: its lower threshold is left out" in run(f"{text}80\n").stdout
    assert "\n# no server: direct return is taken\n" in run("-A -t 198.18.100.1:80 -s wrr\n").stdout


WEB = "-A -t 198.18.100.1:80 -s wrr\n-a -t 198.18.100.1:80 -r 198.18.0.11:80 -g -w 1\n"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("-A -f 7 -s wlc", "firewall marks are not there"),
        ("-A --sctp-service 198.18.100.1:80 -s wlc", "SCTP is not there"),
        ("-A -t [fd00::1]:80 -s wlc", "IPv6 is not there yet"),
        ("-A -t 198.18.100.9:0 -s wlc -p 360", "port 0 (every port) is not there"),
        ("-A -t www.example.org:http -s wlc", "is not ADDRESS:PORT in numbers: save with ipvsadm -Sn"),
        ("-A -t 198.18.100.9:80 -s wlc --pe sip", "persistence engine sip is not there"),
        ("-A -t 198.18.100.1:80 -s wlc", "this service is there already"),
        ("-a -t 198.18.100.1:80 -r 198.18.0.12:80 -m -w 1", "NAT (-m) is not there"),
        ("-a -t 198.18.100.1:80 -r 198.18.0.12:8080 -g -w 1", "port 8080 is not the service's 80"),
        ("-a -t 198.18.100.1:80 -r 198.18.0.12:80 -i -w 1", "all by -g or all by -i"),
        ("-a -t 198.18.100.1:80 -r 198.18.0.11:80 -g -w 1", "this server is there already"),
        ("-a -t 198.18.100.1:80 -r 198.18.0.12:80 -g -w 70000", "weight 70000 is not 0 to 65535"),
        ("-a -t 198.18.100.1:80 -r 198.18.0.12:80 -i --tun-type gue --tun-port 6080", "tunnels by gue"),
        ("-a -t 198.18.100.9:80 -r 198.18.0.12:80 -g -w 1", "its service is not in a line above"),
        ("-a -t 198.18.100.1:80 -g", "-r is missing"),
        ("-a -t 198.18.100.1:80 -r", "-r needs a value"),
        ("-a -r 198.18.0.12:80 -g", "names no service"),
        ("-E -t 198.18.100.1:80 -s rr", "-E is not known"),
        ("-t 198.18.100.1:80", "is neither -A nor -a"),
        ("TCP  198.18.100.1:80 wlc", "TCP is not known: wanted is what ipvsadm -Sn prints"),
        ("-A -t '198.18.100.1", "cannot be read"),
    ],
)
def test_what_is_not_there_is_refused_or_left_out(line: str, reason: str) -> None:
    """With its line and the reason; with --skip-unsupported it is a comment, and the rest is imported."""
    refused = run(f"{WEB}{line}\n")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"tiara: stdin:3: {line}: ")
    assert reason in refused.stderr
    assert refused.stderr.endswith("nothing is printed; --skip-unsupported leaves such lines out\n")
    left_out = run(f"{WEB}{line}\n", "--skip-unsupported")
    assert f"\n# left out, line 3: {line}: " in left_out.stdout
    assert lbfile.parse("", left_out.stdout).configuration == imported(WEB)


def test_a_service_goes_with_all_of_its_servers() -> None:
    """Left there without servers it would only drop its clients' packets."""
    nat = "-A -t 198.18.100.3:80 -s rr\n-a -t 198.18.100.3:80 -r 198.18.0.31:80 -m -w 1\n"
    mark = "-A -f 1 -s rr\n-a -f 1 -r 198.18.0.31:0 -g -w 1\n"
    done = run(nat + mark + WEB, "--skip-unsupported")
    assert lbfile.parse("", done.stdout).configuration == imported(WEB)
    reasons = [line.rpartition(": ")[2] for line in done.stdout.splitlines() if "left out, line" in line]
    assert reasons == [
        "none of its servers can be taken over",
        "servers answer by direct return only, -g or -i",
        "services are addresses and ports",
        "its service is not taken over",
    ]


def test_a_file_by_name(tmp_path: Path) -> None:
    """Which the messages and the header name."""
    rules = tmp_path / "rules"
    rules.write_text(dedent(PLAIN))
    done = CliRunner().invoke(cli, ["import", "ipvsadm", str(rules)])
    assert done.stdout.startswith(f"# From {rules}, as ipvsadm -Sn printed it. Connections")
