"""An engine that listens on TCP: what a container runs, and what a cluster does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.engines.engine import engine_command, engine_environment, hub_tokens
from server.key_variables import ENGINE_KEY, hidden_from
from server.sizing.preflight import check_models, check_packages
from server.supervision.process import child_environment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from server.profile import Profile


def standalone_engine(
    profile: Profile, host: str, port: int, folder: Path, key_variables: Iterable[str] = ()
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The command and the whole environment of the one engine of a profile, in which VLLM_API_KEY is its key.

    Args:
        profile: Of one engine, and nothing else.
        host: Where it listens.
        port: And on which port.
        folder: For its temporary files.
        key_variables: Hold keys of other servers, and are kept from it.

    Raises:
        PreflightError: vLLM or the model is not there.
    """
    check_packages(profile)
    check_models(profile)
    (engine,) = profile.engines
    # Whoever set a key for it means that it is asked for.
    hidden = hidden_from(ENGINE_KEY, *hub_tokens(engine), others=key_variables)
    environment = engine_environment(engine, folder, on_gpu=profile.device.on_gpu)
    return engine_command(engine, ("--host", host, "--port", str(port))), child_environment(environment, hidden)
