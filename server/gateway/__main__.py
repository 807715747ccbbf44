"""`python -m server.gateway --config FILE --fd N`: serve a socket that the supervisor opened."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import click

from server.command import CONTEXT, Command, run
from server.gateway.config import GatewayConfig
from server.gateway.logs import set_up_logs
from server.gateway.serve import serve


@click.command("gateway", cls=Command, context_settings=CONTEXT)
@click.option("--config", type=click.Path(path_type=Path), required=True, help="Written by the supervisor.")
@click.option("--fd", type=int, required=True, help="A listening socket, inherited.")
def gateway(config: Path, fd: int) -> int:
    """Serve a socket that the supervisor opened, until SIGTERM."""
    settings = GatewayConfig.read(config)
    set_up_logs(as_json=settings.json_logs)
    asyncio.run(serve(settings, socket.socket(fileno=fd)))
    return 0


if __name__ == "__main__":
    sys.exit(run(gateway, None, "python -m server.gateway"))
