"""`python -m server.gateway --config FILE --fd N`: serve a socket that the supervisor opened."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

from aiohttp import web

from server.gateway.app import create_app
from server.gateway.config import GatewayConfig

FINISH_S = 5.0
"""How long requests in flight may take after SIGTERM."""


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m server.gateway", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="written by the supervisor")
    parser.add_argument("--fd", type=int, required=True, help="a listening socket, inherited")
    args = parser.parse_args()
    app = create_app(GatewayConfig.read(args.config))
    web.run_app(
        app,
        sock=socket.socket(fileno=args.fd),
        handler_cancellation=True,  # client gone: the engine need not go on
        shutdown_timeout=FINISH_S,
        access_log=None,
        print=None,
    )


if __name__ == "__main__":
    main()
