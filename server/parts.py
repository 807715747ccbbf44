"""Which processes a profile means, with their addresses."""

from __future__ import annotations

import os
import secrets
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from server.cluster.parts import cluster_parts
from server.engines.engine import engine_parts
from server.gateway.config import GatewayConfig, GatewaySettings, Replica, ServedModel
from server.gateway.keyring import check_exposure
from server.key_variables import CLUSTER_KEY, GATEWAY_KEYS, HUB_TOKENS, SECOND_OPINION_KEY, TRANSLATOR_KEYS, hidden_from
from server.sizing.preflight import bind
from server.supervision.part import PYTHON, Part, Probe

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from server.profile import CaptionerProfile, EngineProfile, GatewayProfile, Profile, TranslatorProfile

LOOPBACK = "127.0.0.1"
DEMO = "demo"
"""The translator's model that is shipped with it."""
OURS = "BABELVIEW_"
"""Environment variables of all our commands begin so."""
OPTIONS_PREFIX = "BABELVIEW_TRANSLATOR_"
"""Environment variables of the translator's own options begin so."""
GATEWAY_STOP_S = 3.0
"""How much longer the gateway may take to stop than it waits for requests in flight."""
CAPTIONER_STOP_S = 25.0
"""More than it gives requests in flight (20 s)."""


def open_gateway_socket(gateway: GatewayProfile) -> socket.socket:
    """The socket the gateway will serve.

    The supervisor keeps it open, so that while the gateway is restarted the port stays ours, and who connects
    waits instead of being refused.

    Raises:
        PreflightError: it cannot listen there.
    """
    listener = bind(gateway.host, gateway.port, "gateway", "--port")
    listener.listen(1024)
    return listener


def stack_parts(profile: Profile, runtime: Path, listener: socket.socket, logs: Path | None = None) -> list[Part]:
    """The parts of a profile, the gateway first; `runtime` is a private folder for sockets and configuration.

    What outlives the stack is kept beside its `logs`; None: within `runtime`, where it does not.

    Raises:
        PreflightError: the translator's port is taken, or the gateway would be open to everybody.
    """
    keys = url_key_variables(profile)
    on_gpu = profile.device.on_gpu
    key = secrets.token_urlsafe(32) if any(engine.ray for engine in profile.engines) else None
    engines = [
        engine_parts(engine, runtime, keys, on_gpu=on_gpu)
        if engine.ray is None or key is None
        else cluster_parts(engine, profile, runtime, key, keys)
        for engine in profile.engines
    ]
    translators = (
        [_translator_part(profile.translator, keys)] if profile.translator and profile.translator.model else []
    )
    here = profile.captioner is not None and profile.captioner.url is None
    captioner = str(runtime / "captioner.sock") if here else None
    config = gateway_config(profile, engines, translators[0].address if translators else None, captioner)
    gateway = _gateway_part(config, runtime, listener, keys, key)
    captioners = []
    if here and profile.captioner:
        port = listener.getsockname()[1]
        folder = Path(profile.captioner.folder or (logs or runtime) / f"captioner-{port}")
        captioners = [_captioner_part(profile.captioner, config, gateway.address, folder, keys)]
    return [gateway, *chain.from_iterable(engines), *translators, *captioners]


def url_key_variables(profile: Profile) -> frozenset[str]:
    """The environment variables with keys of replicas elsewhere, which only the gateway asks."""
    return frozenset(engine.url_key_variable for engine in profile.engines if engine.url_key_variable)


def gateway_config(
    profile: Profile,
    engines: Sequence[Sequence[Part]] = (),
    translator: str | None = None,
    captioner: str | None = None,
) -> GatewayConfig:
    """What the gateway must know; the profile's `[gateway]` has its settings under the same names.

    Args:
        profile: What is served.
        engines: The processes of each engine of the profile; none: all run elsewhere.
        translator: Its address, if it runs here.
        captioner: Its socket, if it runs here.
    """
    processes = engines or [()] * len(profile.engines)
    models = tuple(_served_model(*pair) for pair in zip(profile.engines, processes, strict=True))
    if translator is None and profile.translator:
        translator = profile.translator.url
    if captioner is None and profile.captioner:
        captioner = profile.captioner.url
    settings = {name: getattr(profile.gateway, name) for name in GatewaySettings.__struct_fields__}
    return GatewayConfig(models=models, translator=translator, captioner=captioner, **settings)


def _served_model(engine: EngineProfile, parts: Sequence[Part]) -> ServedModel:
    here = [
        Replica(
            name=part.name.removeprefix("vllm-"),
            **_where(part),
            sleep_group=engine.sleep_group,
            poison_log=str(part.poison_log) if part.poison_log else None,
        )
        for part in parts
    ]
    elsewhere = [
        Replica(name=f"{engine.name}@{url}", url=url, key_variable=engine.url_key_variable) for url in engine.urls
    ]
    return ServedModel(
        name=engine.name,
        aliases=engine.aliases,
        replicas=(*here, *elsewhere),
        task=engine.task,
        max_model_len=engine.max_model_len,
        max_frames=engine.max_frames,
        fewest_frames=engine.fewest_frames,
        max_images=engine.max_images,
        tools=engine.tool_parser is not None,
    )


def _where(part: Part) -> dict[str, str | None]:
    """How the gateway finds the server of a part."""
    if part.probe.address_file is not None:
        return {"address_file": str(part.probe.address_file), "key_variable": CLUSTER_KEY}
    return {"socket": str(part.public_socket or part.probe.socket)}


def _gateway_part(
    config: GatewayConfig, runtime: Path, listener: socket.socket, keys: frozenset[str], cluster_key: str | None
) -> Part:
    path = runtime / "gateway.json"
    config.write(path)
    host, port = listener.getsockname()[:2]
    check_exposure(host, config)
    reached = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104  # the other way round
    address = f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
    return Part(
        name="gateway",
        what="OpenAI API",
        command=(
            *(*PYTHON, "-m", "server.gateway"),
            *("--config", str(path), "--fd", str(listener.fileno())),
        ),
        address=f"{address}/v1",
        probe=Probe(address, "/health/live"),
        ready_probe=Probe(address, "/health"),
        stop_grace_s=config.timeouts.finish_s + GATEWAY_STOP_S,
        vital=True,
        pass_fds=(listener.fileno(),),
        env={CLUSTER_KEY: cluster_key} if cluster_key else {},
        hidden=hidden_from(GATEWAY_KEYS, TRANSLATOR_KEYS, *keys),
    )


def _translator_part(translator: TranslatorProfile, keys: frozenset[str]) -> Part:
    assert translator.model is not None
    here = translator.model == DEMO or Path(translator.model).expanduser().is_dir()
    hidden = hidden_from(TRANSLATOR_KEYS, SECOND_OPINION_KEY, *(() if here else HUB_TOKENS), others=keys)
    # Its options in the environment are for `babelview translate`: here the profile says all, as `check` has read it.
    options = {name for name in os.environ if name.startswith(OPTIONS_PREFIX)} - {TRANSLATOR_KEYS, SECOND_OPINION_KEY}
    # Looked at and let go: the translator opens its port itself.
    with bind(LOOPBACK, translator.port, "translator", "--translator-port") as trial:
        port = trial.getsockname()[1]
    address = f"http://{LOOPBACK}:{port}"
    return Part(
        name="translator",
        what=translator.model,
        command=(
            *(*PYTHON, "-m", "translator", "--model", translator.model),
            *("--host", LOOPBACK, "--port", str(port)),
            *translator.args,
        ),
        address=address,
        probe=Probe(address, "/health"),
        start_timeout_s=600.0,
        hidden=hidden | options,
    )


def _captioner_part(
    captioner: CaptionerProfile, config: GatewayConfig, gateway: str, folder: Path, keys: frozenset[str]
) -> Part:
    """The captioner asks back at the gateway, with the keys that come to it, and has none of its own."""
    assert config.captioner is not None
    translator = ("--translator", gateway.removesuffix("/v1")) if config.translator else ("--no-translator",)
    # Options in the environment are for `babelview batch` and `captioner`: here the profile says all.
    options = {name for name in os.environ if name.startswith(OURS)}
    return Part(
        name="captioner",
        what="captions over HTTP",
        command=(
            *(*PYTHON, "-m", "client.captioner"),
            *("--socket", config.captioner, "--folder", str(folder.absolute())),
            *("--base-url", gateway, *translator),
            *captioner.args,
        ),
        address=f"{gateway}/captions",
        probe=Probe("http://captioner", "/health", Path(config.captioner)),
        start_timeout_s=120.0,
        stop_grace_s=CAPTIONER_STOP_S,
        hidden=hidden_from(others=keys) | options,
    )
