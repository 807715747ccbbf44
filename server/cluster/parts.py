"""The agents of engines on a cluster: parts of the stack, one for each replica."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from server.cluster.agent import NO_MACHINE, NO_ROOM
from server.cluster.host import STOP_GRACE_S
from server.cluster.order import Order
from server.engines.engine import STAGES, part_names
from server.engines.engine_health import PATH as CORE_HEALTH
from server.key_variables import hidden_from
from server.profile import DEMO_PREFIX, Profile
from server.supervision.part import PYTHON, Part, Probe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from server.profile import EngineProfile

AGENT_STOP_S = 10.0
"""More than the engine may take: for Ray."""


def cluster_parts(
    engine: EngineProfile, profile: Profile, runtime: Path, key: str, key_variables: Iterable[str] = ()
) -> list[Part]:
    """A process for each replica of `engine`, which has Ray run it and says where it is.

    Args:
        engine: With a reservation.
        profile: Which it belongs to.
        runtime: A private folder for orders and addresses.
        key: Which the engines ask for.
        key_variables: Hold keys of other servers.
    """
    assert engine.ray is not None
    alone = Profile(
        engines=(replace(engine, model=_model(engine), ray=None, replicas=1, urls=()),), device=profile.device
    )
    parts = []
    for name in part_names(engine):
        order = runtime / f"{name}.order"
        Order(name=name, cluster=profile.ray.address, reservation=engine.ray, profile=alone, key=key).write(order)
        address, heartbeat = runtime / f"{name}.address", runtime / f"{name}.heartbeat"
        parts.append(
            Part(
                name=f"vllm-{name}",
                what=engine.name,
                command=(*PYTHON, "-m", "server.cluster", *map(str, (order, address, heartbeat))),
                heartbeat=heartbeat,
                hidden=hidden_from(others=key_variables),
                address="on the cluster",
                probe=Probe("", CORE_HEALTH, address_file=address),
                poison_log=runtime / f"{name}.poison",
                start_timeout_s=engine.start_timeout_s,
                stop_grace_s=STOP_GRACE_S + AGENT_STOP_S,
                first_stage="joining the cluster",
                stages=(
                    (NO_ROOM, "waiting for room"),
                    (NO_MACHINE, "no machine of the cluster is large enough"),
                    *STAGES,
                ),
            )
        )
    return parts


def _model(engine: EngineProfile) -> str:
    """The model as it is called on other machines: those of this project lie elsewhere there."""
    folder = engine.local_model
    return engine.model if folder is None or engine.model.startswith(DEMO_PREFIX) else str(folder.absolute())
