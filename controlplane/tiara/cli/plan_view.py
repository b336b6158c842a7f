# SPDX-License-Identifier: Apache-2.0
"""A plan as people read it."""

from rich.text import Text

from tiara.cli import change, output, values
from tiara.v1 import configuration_pb2 as pb


def draw(plan: pb.Plan) -> Text:
    """Changes, moved rows, connections, overrides, what must be allowed, and the plan's revision."""
    changes = change.table(plan.changes, counted=plan.counted) if plan.changes else None
    return output.stack([changes, _rows(plan), Text("\n").join(_sentences(plan))])


def draw_difference(plan: pb.Plan) -> Text:
    """Changes only."""
    if not plan.changes:
        return Text(f"no difference from revision {plan.revision}")
    totals = Text(f"{change.totals(plan.changes)} from revision {plan.revision}")
    return output.stack([change.table(plan.changes), totals])


def _rows(plan: pb.Plan) -> Text | None:
    if not plan.pools:
        return None
    titles = ["Pool", ">Rows moved", ">Of", "Share"]
    return output.table(titles, [_row(pool) for pool in plan.pools])


def _row(pool: pb.PoolRows) -> list[output.Cell]:
    share = values.share(pool.moved / pool.rows) if pool.rows else "no backend can be chosen"
    return [values.short(pool.backend_pool), values.count(pool.moved), values.count(pool.rows), share]


def _sentences(plan: pb.Plan) -> list[Text]:
    return [*_totals(plan), *_connections(plan), *_overrides(plan), *_removals(plan)]


def _totals(plan: pb.Plan) -> list[Text]:
    if not plan.changes:
        return [Text(f"nothing to do: revision {plan.revision} is as declared")]
    return [Text(f"{change.totals(plan.changes)}; holds for revision {plan.revision}")]


def _connections(plan: pb.Plan) -> list[Text]:
    if not plan.changes:
        return []
    if not plan.counted:
        return [Text("connections are not counted: there is no table yet", "yellow")]
    affected = values.count(plan.affected_connections)
    text = f"{affected} of {values.count(plan.live_connections)} live connections lose their server"
    return [Text(text, "red" if plan.affected_connections else "")]


def _overrides(plan: pb.Plan) -> list[Text]:
    return [
        Text(
            f"{values.short(found.backend)} is {'drained' if found.draining else 'disabled'}"
            " by an operator: stays so",
            "yellow",
        )
        for found in plan.overrides
    ]


def _removals(plan: pb.Plan) -> list[Text]:
    return [Text(f"needs --allow-removal: {reason}", "red") for reason in plan.removal_reasons]
