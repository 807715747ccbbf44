"""`python -m server.gateway --config FILE --fd N`: serve a socket that the supervisor opened."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from pathlib import Path

from server.errors import PreflightError
from server.gateway.config import GatewayConfig
from server.gateway.logs import set_up_logs
from server.gateway.serve import serve


def main() -> int:
    """Serve until SIGTERM; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m server.gateway", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="written by the supervisor")
    parser.add_argument("--fd", type=int, required=True, help="a listening socket, inherited")
    args = parser.parse_args()
    config = GatewayConfig.read(args.config)
    set_up_logs(as_json=config.json_logs)
    try:
        asyncio.run(serve(config, socket.socket(fileno=args.fd)))
    except PreflightError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
