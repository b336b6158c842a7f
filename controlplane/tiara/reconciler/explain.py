# SPDX-License-Identifier: Apache-2.0
"""What the data plane would do with a packet, by names."""

from __future__ import annotations

from tiara.domain.dataplane import BackendSpec
from tiara.domain.errors import InvalidField
from tiara.domain.layout import State, Status, Verdict
from tiara.domain.observed import ConnectionView, ExplanationView, SelectionView
from tiara.domain.packet import TCP_FIN, TCP_RST, TCP_SYN, PacketFlow, client_frame, outer_headers
from tiara.domain.verdicts import meaning
from tiara.native import NativeError, Segment
from tiara.native.explain import Explanation, NativeLookup
from tiara.reconciler.actuator import Actuator

_TIER_CPU, _TIER_CARD = "cpu", "card"


def explain_packet(actuator: Actuator, packet: PacketFlow | bytes) -> ExplanationView:
    """Of a client's packet to the port, or of a frame as it is. Changes nothing."""
    segment = actuator.segment
    now = segment.describe()  # the port is the running data plane's
    frame = packet if isinstance(packet, bytes) else client_frame(packet, now.port_mac)
    return _view(actuator, _explained(segment, frame), now.dataplane_live)


def _explained(segment: Segment, frame: bytes) -> Explanation:
    try:
        return segment.explain(frame)
    except NativeError as error:
        if error.status is Status.INVALID:
            raise InvalidField(error.field, error.message) from None
        raise


def _view(actuator: Actuator, found: Explanation, live: bool) -> ExplanationView:
    backend = _backend(actuator, found.backend_idx)
    flow = found.flow
    return ExplanationView(
        verdict=found.verdict.label,
        meaning=meaning(found.verdict),
        way=found.way,
        events=tuple(event.label for event in found.events),
        tier=_tier(found),
        generation=found.generation,
        dataplane_live=live,
        flow=PacketFlow(
            flow.protocol, flow.client_address, flow.client_port, flow.address, flow.port, flow.tcp_flags
        )
        if flow
        else None,
        service=_service(actuator, found.lookup),
        selection=_selection(actuator, found.lookup),
        connection=_before(actuator, found.lookup),
        state=None if found.state is State.EMPTY else found.state,
        fresh=found.fresh,
        backend=(backend.pool, backend.backend) if backend else None,
        forwarding=backend.forward.label if backend else "",
        outer=outer_headers(found.frame, found.ip_offset, backend.forward.label)
        if backend and found.frame
        else None,
        frame=found.frame,
    )


def _tier(found: Explanation) -> str:
    """A card forwards what is in the midst of a connection that it has (docs/design/0016, R7)."""
    before = found.lookup.before if found.lookup else None
    flags = found.flow.tcp_flags if found.flow else 0
    held = before is not None and before.offloaded and found.verdict is Verdict.FORWARDED
    return _TIER_CARD if held and not flags & (TCP_SYN | TCP_FIN | TCP_RST) else _TIER_CPU


def _backend(actuator: Actuator, idx: int | None) -> BackendSpec | None:
    return actuator.held.backend_by_idx.get(idx) if idx is not None else None


def _service(actuator: Actuator, lookup: NativeLookup | None) -> str:
    spec = actuator.held.service_by_idx.get(lookup.service_idx) if lookup else None
    return spec.service if spec else ""


def _selection(actuator: Actuator, lookup: NativeLookup | None) -> SelectionView | None:
    if lookup is None:
        return None
    backend = _backend(actuator, lookup.row_backend_idx)
    return SelectionView(
        lookup.hash,
        lookup.buckets,
        lookup.row,
        lookup.row_count,
        (backend.pool, backend.backend) if backend else None,
    )


def _before(actuator: Actuator, lookup: NativeLookup | None) -> ConnectionView | None:
    return actuator.view(lookup.before) if lookup and lookup.before else None
