"""Which processes a profile means, with their addresses."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from server.engine import engine_part
from server.gateway.config import GatewayConfig, Limits, Replica, ServedModel
from server.part import Part, Probe
from server.preflight import bind

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from server.profile import GatewayProfile, Profile, TranslatorProfile

LOOPBACK = "127.0.0.1"
GATEWAY_STOP_S = 8.0
"""A little longer than the gateway itself waits for requests in flight."""


def open_gateway_socket(gateway: GatewayProfile) -> socket.socket:
    """The socket the gateway will serve.

    The supervisor keeps it open, so that while the gateway is restarted the port stays ours, and who connects
    waits instead of being refused.

    Raises:
        PreflightError: it cannot listen there.
    """
    listener = bind(gateway.host, gateway.port, "gateway")
    listener.listen(1024)
    return listener


def stack_parts(profile: Profile, runtime: Path, listener: socket.socket) -> list[Part]:
    """The parts of a profile, the gateway first; `runtime` is a private folder for sockets and configuration.

    Raises:
        PreflightError: the translator's port is taken.
    """
    engines = [engine_part(engine, runtime) for engine in profile.engines]
    translator = _translator_part(profile.translator) if profile.translator else None
    config = GatewayConfig(
        models=tuple(
            ServedModel(
                name=engine.name,
                aliases=engine.aliases,
                replicas=(Replica(name=engine.name, socket=str(part.probe.socket)),),
                max_model_len=engine.max_model_len,
                max_frames=engine.max_frames,
                max_images=engine.max_images,
            )
            for engine, part in zip(profile.engines, engines, strict=True)
        ),
        translator=translator.address if translator else None,
        limits=Limits(max_body_bytes=profile.gateway.max_body_mib << 20),
    )
    gateway = _gateway_part(config, runtime, listener)
    return [gateway, *engines, *([translator] if translator else [])]


def _gateway_part(config: GatewayConfig, runtime: Path, listener: socket.socket) -> Part:
    path = runtime / "gateway.json"
    config.write(path)
    host, port = listener.getsockname()[:2]
    reached = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104  # the other way round
    address = f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
    return Part(
        name="gateway",
        what="OpenAI API",
        command=(
            sys.executable,
            "-m",
            "server.gateway",
            "--config",
            str(path),
            "--fd",
            str(listener.fileno()),
        ),
        address=f"{address}/v1",
        probe=Probe(f"{address}/health/live"),
        stop_grace_s=GATEWAY_STOP_S,
        pass_fds=(listener.fileno(),),
    )


def _translator_part(translator: TranslatorProfile) -> Part:
    # Looked at and let go: the translator opens its port itself.
    with bind(LOOPBACK, translator.port, "translator") as trial:
        port = trial.getsockname()[1]
    address = f"http://{LOOPBACK}:{port}"
    return Part(
        name="translator",
        what=translator.model,
        command=(
            *(sys.executable, "-m", "translator", "--model", translator.model),
            *("--host", LOOPBACK, "--port", str(port)),
            *translator.args,
        ),
        address=address,
        probe=Probe(f"{address}/health"),
        start_timeout_s=600.0,
    )
