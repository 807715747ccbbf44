"""`python -m server.cluster ORDER ADDRESS_FILE HEARTBEAT`: have a cluster run one engine, until SIGTERM."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from server.cluster.agent import Agent
from server.cluster.order import Order
from server.command import CONTEXT, Command, run

PATH = click.Path(path_type=Path)


@click.command("cluster", cls=Command, context_settings=CONTEXT)
@click.argument("order", type=PATH)
@click.argument("address_file", type=PATH)
@click.argument("heartbeat", type=PATH)
def agent(order: Path, address_file: Path, heartbeat: Path) -> int:
    """Have a cluster run one engine, as an order says that the supervisor wrote."""
    return asyncio.run(Agent(Order.decode(order.read_bytes()), address_file, heartbeat).run())


if __name__ == "__main__":
    sys.exit(run(agent, None, "python -m server.cluster"))
