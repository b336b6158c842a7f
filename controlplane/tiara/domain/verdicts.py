# SPDX-License-Identifier: Apache-2.0
"""What a verdict means, in one sentence for operators."""

from __future__ import annotations

from tiara.domain.layout import Verdict

_MEANING = {
    Verdict.FORWARDED: "sent to the backend; its connection is in the table",
    Verdict.FORWARDED_UNTRACKED: "sent to the backend that selection gives; the table has no room for it",
    Verdict.FORWARDED_STRAY: "sent to the backend that selection gives: FIN or RST of no connection",
    Verdict.ARP_ANSWERED: "a question for a VIP, answered with the port's MAC address",
    Verdict.ARP_LEARNED: "an answer of a next hop that was asked for",
    Verdict.ICMP_ANSWERED: "a ping of a VIP, answered",
    Verdict.TO_KERNEL: "for this machine's own address: handed to the kernel",
    Verdict.TRUNCATED: "shorter than its headers say",
    Verdict.NOT_IPV4: "neither IPv4 nor ARP",
    Verdict.BAD_HEADER: "a header's version or length is impossible",
    Verdict.BAD_CHECKSUM: "the IPv4 header's checksum is wrong",
    Verdict.FRAGMENT: "a fragment; fragments are not carried",
    Verdict.TTL_EXPIRED: "its TTL is used up",
    Verdict.NOT_FOR_US: "neither a VIP nor an own address, or another machine's MAC address",
    Verdict.UNSUPPORTED_PROTOCOL: "a VIP, but neither TCP nor UDP nor ping",
    Verdict.NO_SERVICE: "a VIP, but no service has this protocol and port",
    Verdict.NO_BACKEND: "the pool has no backend for it",
    Verdict.NO_NEIGHBOUR: "the next hop's MAC address is not known yet; it is asked for",
    Verdict.TOO_BIG: "over the port's MTU with the tunnel's headers",
    Verdict.NO_ROOM: "no room before the frame for the tunnel's headers",
    Verdict.NOT_CONFIGURED: "no configuration has reached the data plane yet",
    Verdict.MARTIAN: "from an address that no host may have",
    Verdict.SOURCE_DENIED: "it begins a connection, and the service does not allow its source",
    Verdict.RATE_LIMITED: "it begins a connection, over the service's new connections a second",
    Verdict.BACKEND_FULL: "it begins a connection, and every backend tried has as many as it may",
    Verdict.VLAN: "tagged twice, or with a provider's tag",
}


def meaning(verdict: Verdict) -> str:
    """Empty where there is nothing to add to its name."""
    return _MEANING.get(verdict, "")
