"""One part alone, without the supervisor: what a container runs, where something else starts and watches it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from msgspec.structs import replace

from server.engines.standalone import standalone_engine
from server.errors import ProfileError
from server.gateway.keyring import check_exposure
from server.gateway.logs import set_up_logs
from server.gateway.serve import serve
from server.parts import gateway_config, open_gateway_socket, url_key_variables
from server.profile import CaptionerProfile, TranslatorProfile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.profile import EngineProfile, Profile


def run_engine(profile: Profile, name: str, host: str, port: int) -> NoReturn:
    """Become the engine that serves the model `name`, listening on TCP.

    Raises:
        ProfileError: the profile serves no such model, or it takes turns with another.
        PreflightError: vLLM or the model is not there.
    """
    engine = find_engine(profile, name)
    if engine.sleep_group is not None:
        raise ProfileError(f"{name} shares its GPU with others (sleep_group): only `babelview up` can start it")
    alone = replace(profile, engines=(replace(engine, ray=None),), translator=None, captioner=None)
    command, environment = standalone_engine(alone, host, port, Path(tempfile.gettempdir()), url_key_variables(profile))
    os.execvpe(command[0], command, environment)  # noqa: S606  # it takes our place


def run_gateway(
    profile: Profile, urls: Mapping[str, str], translator: str | None, captioner: str | None = None
) -> None:
    """Serve the gateway alone, until SIGTERM.

    Args:
        profile: Which models there are, and their limits.
        urls: Base URL of each engine, by the name of its model; of several replicas with commas between.
        translator: Base URL of the translator; None: there is none.
        captioner: The same of the captioner.

    Raises:
        ProfileError: a URL is not right, or a model has none.
        PreflightError: it cannot listen, or would without a key.
    """
    remote = at_urls(profile, urls, translator, captioner)
    config = gateway_config(remote)
    check_exposure(remote.gateway.host, config)
    set_up_logs(as_json=config.json_logs)
    with open_gateway_socket(remote.gateway) as listener:
        asyncio.run(serve(config, listener))


def at_urls(profile: Profile, urls: Mapping[str, str], translator: str | None, captioner: str | None = None) -> Profile:
    """The profile with every engine elsewhere.

    Raises:
        ProfileError: a URL is not right, or a model has none.
    """
    for name in urls:
        find_engine(profile, name)
    if missing := [engine.name for engine in profile.engines if engine.name not in urls and not engine.urls]:
        raise ProfileError(f"where is {', '.join(missing)} served? Each model of the profile needs --engine NAME=URL")
    try:
        engines = tuple(
            replace(engine, replicas=0, gpus=(), sleep_group=None, ray=None, urls=tuple(urls[engine.name].split(",")))
            if engine.name in urls
            else replace(engine, replicas=0, gpus=(), sleep_group=None, ray=None)
            for engine in profile.engines
        )
        sidecar = TranslatorProfile(url=translator) if translator else None
        captions = CaptionerProfile(url=captioner) if captioner else None
    except ValueError as error:
        raise ProfileError(f"--engine NAME=URL: {error}") from error
    return replace(profile, engines=engines, translator=sidecar, captioner=captions)


def find_engine(profile: Profile, name: str) -> EngineProfile:
    """The engine that serves a model.

    Raises:
        ProfileError: there is none; names those that are there.
    """
    for engine in profile.engines:
        if name == engine.name:
            return engine
    raise ProfileError(f"no model {name!r} in this profile: {', '.join(engine.name for engine in profile.engines)}")
