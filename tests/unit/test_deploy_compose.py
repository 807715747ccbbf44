"""compose.yaml against the Compose specification, against our parsers, and against what it must never do."""

from __future__ import annotations

import json
import re
import socket
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from client.captioner.command import command as captions
from server.alone import at_urls, find_engine
from server.cli import cli
from server.parts import gateway_config, stack_parts
from server.profile import load_profile
from translator.cli import translate

if TYPE_CHECKING:
    from server.supervision.part import Part

ROOT = Path(__file__).parents[2]
OURS = ("vision", "video", "translator", "gateway")
RESET = object()


class Loader(yaml.SafeLoader):
    """YAML with Compose's `!reset`, which takes a key of the file below away."""


Loader.add_constructor("!reset", lambda *_: RESET)


def merged(below: Any, over: Any) -> Any:
    """As Compose lays one file over another."""
    if not isinstance(below, dict) or not isinstance(over, dict):
        return over
    keys = [key for key in {**below, **over} if over.get(key) is not RESET]
    return {
        key: merged(below[key], over[key]) if key in below and key in over else {**below, **over}[key] for key in keys
    }


def load(*names: str) -> dict[str, Any]:
    content: Any = {}
    for name in names:
        content = merged(content, yaml.load((ROOT / name).read_text(), Loader))  # a SafeLoader
    assert isinstance(content, dict)
    return content


STACKS = {"gpu": load("compose.yaml"), "cpu": load("compose.yaml", "compose.cpu.yaml")}
SERVICES = [(machine, name) for machine, content in STACKS.items() for name in content["services"]]


def filled(text: str) -> str:
    """With the defaults of `${VARIABLE:-default}`."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def command(machine: str, name: str) -> list[str]:
    return [filled(str(word)) for word in STACKS[machine]["services"][name]["command"]]


def profile_of(machine: str, name: str) -> str:
    return filled(STACKS[machine]["services"][name]["environment"]["BABELVIEW_PROFILE"])


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Part]:
    """The parts as the supervisor starts and probes them."""
    profile = load_profile("demo").with_settings(translator_port=0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return {part.name: part for part in stack_parts(profile, tmp_path_factory.mktemp("run"), listener)}


@pytest.fixture(scope="module")
def specification() -> Any:
    """A validator of the Compose specification's schema, as the package check-jsonschema ships it."""
    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())
    return jsonschema.validators.validator_for(schema)(schema)


@pytest.mark.parametrize("machine", STACKS)
def test_it_follows_the_specification(machine: str, specification: Any) -> None:
    specification.validate(STACKS[machine])


def test_a_mistake_would_be_found(specification: Any) -> None:
    wrong = {"services": {"vision": {"image": "x", "read_onyl": True}}}
    with pytest.raises(jsonschema.ValidationError, match="read_onyl"):
        specification.validate(wrong)


def parsed(machine: str, name: str) -> tuple[str, dict[str, Any]]:
    """A service's command of the server, and its options."""
    chosen, *arguments = command(machine, name)
    with cli.commands[chosen].make_context(chosen, arguments) as context:
        return chosen, context.params


@pytest.mark.parametrize(("machine", "name"), [(s, n) for s, n in SERVICES if n in {"vision", "video"}])
def test_an_engines_command_starts_a_model_of_its_profile(machine: str, name: str) -> None:
    chosen, options = parsed(machine, name)
    engine = find_engine(load_profile(profile_of(machine, name)), options["model"])
    assert engine.sleep_group is None, "nobody could let it take turns"
    assert (chosen, options["host"], options["port"]) == ("engine", "0.0.0.0", 8000)
    assert bool(engine.max_images) == (name == "vision")


@pytest.mark.parametrize("machine", STACKS)
def test_the_gateways_command_knows_every_engine_and_the_translator(machine: str) -> None:
    _, options = parsed(machine, "gateway")
    profile = load_profile(profile_of(machine, "gateway"))
    config = gateway_config(at_urls(profile, dict(options["engines"]), options["translator"], options["captioner"]))
    services = STACKS[machine]["services"]
    assert len({profile_of(machine, name) for name in ("vision", "video", "gateway")}) == 1
    for model in config.models:
        (replica,) = model.replicas
        host, port = re.fullmatch(r"http://(\w+):(\d+)", str(replica.url)).groups()  # type: ignore[union-attr]
        _, asked = parsed(machine, host)
        assert (asked["model"], str(asked["port"])) == (model.name, port)
    translator = translate.make_context("translate", command(machine, "translator")).params
    assert config.translator == f"http://translator:{translator['port']}"
    captioner = captions.make_context("captioner", command(machine, "captioner")).params
    assert config.captioner == f"http://captioner:{captioner['captioner_port']}"
    assert (captioner["base_url"], captioner["translator"]) == ("http://gateway:8000/v1", "http://gateway:8000")
    assert services["captioner"]["volumes"] == [f"captions:{captioner['captioner_folder']}"]
    assert options["host"] == "0.0.0.0"
    assert services["gateway"]["ports"] == ["${BABELVIEW_ADDRESS:-127.0.0.1}:${BABELVIEW_PORT:-8000}:8000"]


@pytest.mark.parametrize(("machine", "model"), [("gpu", "facebook/nllb-200-distilled-600M"), ("cpu", "demo")])
def test_the_translators_command_is_understood(machine: str, model: str) -> None:
    params = translate.make_context("translate", command(machine, "translator")).params
    said = {name: params[name] for name in ("model", "host", "port", "device")}
    assert said == {"model": model, "host": "0.0.0.0", "port": 8003, "device": "cpu"}


@pytest.mark.parametrize(("machine", "name"), SERVICES)
def test_it_is_hardened(machine: str, name: str) -> None:
    service = STACKS[machine]["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "ipc", "cap_add", "user"} & service.keys()
    assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize(("machine", "name"), SERVICES)
def test_only_the_gateway_and_the_dashboards_have_ports_and_on_loopback(machine: str, name: str) -> None:
    service = STACKS[machine]["services"][name]
    assert ("ports" in service) == (name in {"gateway", "grafana"})
    for port in service.get("ports", []):
        assert filled(port).startswith("127.0.0.1:")
    assert "inner" in service["networks"]
    assert STACKS[machine]["networks"]["inner"]["internal"] is True


@pytest.mark.parametrize(
    ("name", "part"), [("vision", "vllm-llama-3.2-11b-vision"), ("translator", "translator"), ("gateway", "gateway")]
)
def test_health_checks_ask_what_the_supervisor_asks(probes: dict[str, Part], name: str, part: str) -> None:
    service = STACKS["gpu"]["services"][name]
    script = service["healthcheck"]["test"][-1]
    compile(script, name, "exec")
    port = 8003 if name == "translator" else 8000
    assert f"'http://127.0.0.1:{port}{probes[part].probe.path}'" in script


def test_gpus_are_reserved_only_where_there_are_some() -> None:
    for name in ("vision", "video"):
        (device,) = STACKS["gpu"]["services"][name]["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
        assert "deploy" not in STACKS["cpu"]["services"][name]


@pytest.mark.parametrize(("machine", "name"), SERVICES)
def test_what_is_mounted_is_there(machine: str, name: str) -> None:
    content = STACKS[machine]
    for volume in content["services"][name].get("volumes", []):
        source, target, *mode = volume.split(":")
        if source.startswith("."):
            assert (ROOT / source).exists(), source
            assert mode == ["ro"]
        else:
            assert source in content["volumes"]
        assert target.startswith("/")


@pytest.mark.parametrize(("machine", "name"), SERVICES)
def test_images_have_a_version(machine: str, name: str) -> None:
    image, _, tag = STACKS[machine]["services"][name]["image"].rpartition(":")
    assert image
    assert re.search(r"\d+\.\d+", tag)


def test_secrets_come_from_the_environment() -> None:
    for content in STACKS.values():
        assert all(set(secret) == {"environment"} for secret in content["secrets"].values())
        for service in content["services"].values():
            for name, value in service.get("environment", {}).items():
                if re.search(r"KEY|TOKEN|PASSWORD", name):
                    assert re.match(r"\$\{\w+:[-?]", value), name
