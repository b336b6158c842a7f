# SPDX-License-Identifier: Apache-2.0
"""What became of sent packets: which backend got them, and whether each connection stayed on one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tiara.traffic.wire import Key, Segment, segments

Frames = Iterable[tuple[int, bytes]]
"""Time in ns and bytes of each frame."""


@dataclass(frozen=True)
class Received:
    """A capture. Its packets count for `backend`, or, where that is empty, for who they are sent to."""

    frames: Frames
    backend: str = ""


@dataclass
class Share:
    """What one backend got."""

    connections: int = 0
    packets: int = 0


@dataclass(frozen=True)
class Moved:
    """A connection whose packets reached more than one backend; packets count from 1."""

    connection: Key
    packets: dict[str, list[int]]


@dataclass
class Report:
    """Packets that were sent, and what was found of them. Reordered: within a connection."""

    connections: int = 0
    unseen: int = 0
    sent: int = 0
    received: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    altered: int = 0
    shares: dict[str, Share] = field(default_factory=dict)
    moved: list[Moved] = field(default_factory=list)

    @property
    def is_consistent(self) -> bool:
        """Something arrived, and every connection reached one backend."""
        return self.received > 0 and not self.moved

    @property
    def is_flawless(self) -> bool:
        """Consistent, and each packet arrived once, in order and as it was sent."""
        return self.is_consistent and not (self.lost or self.duplicated or self.reordered or self.altered)

    def as_json(self) -> dict[str, Any]:
        """Plain values, all of them."""
        return {
            "consistent": self.is_consistent,
            "flawless": self.is_flawless,
            "connections": self.connections,
            "unseen": self.unseen,
            "sent": self.sent,
            "received": self.received,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "reordered": self.reordered,
            "altered": self.altered,
            "shares": {
                backend: {"connections": share.connections, "packets": share.packets}
                for backend, share in self.shares.items()
            },
            "moved": [{"connection": str(each.connection), "packets": each.packets} for each in self.moved],
        }


@dataclass
class _Flow:
    """A connection: sent packets by number, arrivals in order of time."""

    sent: dict[int, bytes] = field(default_factory=dict)
    arrivals: list[tuple[int, int, str]] = field(default_factory=list)  # time, number, backend


class CheckError(ValueError):
    """What was given cannot be checked; the message says why."""


def check(sent: Frames, received: Iterable[Received]) -> Report:
    """Finds every sent packet in what was received.

    A packet is known by its connection and its IPv4 identification, which no forwarding changes.
    Bare frames to a MAC address that was sent to are the sent ones themselves, and not counted.

    Raises:
        CheckError: nothing was sent, or two sent packets cannot be told apart.
    """
    flows, sent_to = _sent(sent)
    report = Report(connections=len(flows), sent=sum(len(flow.sent) for flow in flows.values()))
    for capture in received:
        for time_ns, frame in capture.frames:
            if (found := _arrival(frame, flows, sent_to)) is None:
                continue
            flow = flows[found.key]
            flow.arrivals.append((time_ns, found.number, capture.backend or found.place))
            report.altered += flow.sent[found.number] != found.l4
    shares: defaultdict[str, Share] = defaultdict(Share)
    for key, flow in flows.items():
        _judge(key, flow, report, shares)
    report.shares = dict(sorted(shares.items()))
    return report


def _sent(frames: Frames) -> tuple[dict[Key, _Flow], set[str]]:
    flows: defaultdict[Key, _Flow] = defaultdict(_Flow)
    sent_to: set[str] = set()
    for _, frame in frames:
        for segment in segments(frame):
            sent = flows[segment.key].sent
            if segment.number in sent:
                raise CheckError(
                    f"{segment.key}: two sent packets have the IPv4 identification {segment.number}; "
                    "give what `tiara traffic run --pcap` wrote, of one run"
                )
            sent[segment.number] = segment.l4
            sent_to.add(segment.mac)
    if not flows:
        raise CheckError("no TCP or UDP packet was sent; give what `tiara traffic run --pcap` wrote")
    return dict(flows), sent_to


def _arrival(frame: bytes, flows: dict[Key, _Flow], sent_to: set[str]) -> Segment | None:
    """The sent packet in this frame."""
    for segment in segments(frame):
        flow = flows.get(segment.key)
        if flow is not None and segment.number in flow.sent:
            is_sent_itself = not segment.outer and segment.mac in sent_to
            return None if is_sent_itself else segment
    return None


def _judge(key: Key, flow: _Flow, report: Report, shares: defaultdict[str, Share]) -> None:
    flow.arrivals.sort(key=lambda arrival: arrival[0])
    times_seen = Counter(number for _, number, _ in flow.arrivals)
    by_backend: defaultdict[str, list[int]] = defaultdict(list)
    highest = 0
    for _, number, backend in flow.arrivals:
        by_backend[backend].append(number)
        report.reordered += number < highest
        highest = max(highest, number)
    report.received += len(times_seen)
    report.lost += len(flow.sent) - len(times_seen)
    report.duplicated += len(flow.arrivals) - len(times_seen)
    report.unseen += not flow.arrivals
    for backend, numbers in by_backend.items():
        shares[backend].connections += 1
        shares[backend].packets += len(numbers)
    if len(by_backend) > 1:
        report.moved.append(Moved(key, dict(by_backend)))
