"""`python -m server.cluster ORDER ADDRESS_FILE HEARTBEAT`: have a cluster run one engine, until SIGTERM."""

from __future__ import annotations

import asyncio
import os
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
    wanted = Order.decode(order.read_bytes())
    # Ray puts the current folder of a driver before all else on the path of its actors: a user's own `server.py` there
    # would be imported in the place of our `server`.
    os.chdir(order.parent)
    return asyncio.run(Agent(wanted, address_file, heartbeat).run())


if __name__ == "__main__":
    sys.exit(run(agent, None, "python -m server.cluster"))
