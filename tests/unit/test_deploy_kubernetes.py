"""The manifests against Kubernetes' schemas, against our parsers, and against each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from client.captioner.command import command as captions
from server.alone import at_urls, find_engine
from server.cli import cli
from server.engines.engine import engine_arguments
from server.parts import gateway_config
from server.profile import load_profile
from translator.cli import translate

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
DOCUMENTS = [
    (path.name, each) for path in sorted(FOLDER.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text()) if each
]
WORKLOADS = {each["metadata"]["name"]: each for _, each in DOCUMENTS if each["kind"] in {"Deployment", "StatefulSet"}}
SERVICES = {each["metadata"]["name"]: each for _, each in DOCUMENTS if each["kind"] == "Service"}
ENGINES = {"vision": "llama-3.2-11b-vision", "video": "llava-next-video-7b", "speech": "whisper-large-v3-turbo"}
HELM = yaml.safe_load((FOLDER.parent / "vllm-production-stack.yaml").read_text())


def container(name: str) -> dict[str, Any]:
    (found,) = WORKLOADS[name]["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def variables(name: str) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in container(name).get("env", ())}


def parsed(name: str) -> dict[str, Any]:
    """The options of a command of the server."""
    chosen, *arguments = container(name)["args"]
    with cli.commands[chosen].make_context(chosen, arguments) as context:
        return dict(context.params)


@pytest.mark.parametrize(("file", "document"), DOCUMENTS, ids=lambda it: it if isinstance(it, str) else it["kind"])
def test_it_follows_the_schema(file: str, document: dict[str, Any]) -> None:
    assert kubernetes_validate.validate(document, "1.34", strict=True) == "1.34"


def test_a_mistake_would_be_found() -> None:
    wrong = SERVICES["gateway"] | {"spec": {"selektor": {}}}
    with pytest.raises(kubernetes_validate.ValidationError, match="selektor"):
        kubernetes_validate.validate(wrong, "1.34", strict=True)


@pytest.mark.parametrize("name", WORKLOADS)
def test_it_is_hardened_and_reached(name: str) -> None:
    spec, found = WORKLOADS[name]["spec"], container(name)
    pod = spec["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert found["securityContext"]["readOnlyRootFilesystem"] is True
    assert found["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert re.fullmatch(r"babelview/\w+:0\.1\.0", found["image"])
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels == SERVICES[name]["spec"]["selector"]
    (port,) = found["ports"]
    assert SERVICES[name]["spec"]["ports"][0]["port"] == port["containerPort"]
    volumes = {each["name"] for each in pod["volumes"]}
    volumes |= {each["metadata"]["name"] for each in spec.get("volumeClaimTemplates", ())}
    assert {each["name"] for each in found["volumeMounts"]} == volumes


@pytest.mark.parametrize(("name", "model"), ENGINES.items())
def test_an_engines_command_starts_a_model_of_its_profile(name: str, model: str) -> None:
    options = parsed(name)
    assert (options["model"], options["host"], options["port"]) == (model, "0.0.0.0", 8000)
    assert find_engine(load_profile(variables(name)["BABELVIEW_PROFILE"]), model).sleep_group is None
    assert container(name)["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_the_gateway_knows_every_replica() -> None:
    options = parsed("gateway")
    profile = load_profile(variables("gateway")["BABELVIEW_PROFILE"])
    config = gateway_config(at_urls(profile, dict(options["engines"]), options["translator"], options["captioner"]))
    found = {model.name: [str(replica.url) for replica in model.replicas] for model in config.models}
    assert found == {
        model: [f"http://{name}-{number}.{name}:8000" for number in range(WORKLOADS[name]["spec"]["replicas"])]
        for name, model in ENGINES.items()
    }
    assert {variables(name)["BABELVIEW_PROFILE"] for name in (*ENGINES, "gateway")} == {"gpu-80gb"}


def test_translator_and_captioner_are_where_the_others_look_for_them() -> None:
    options = parsed("gateway")
    translator = translate.make_context("translate", list(container("translator")["args"])).params
    assert options["translator"] == f"http://translator:{translator['port']}"
    captioner = captions.make_context("captioner", list(container("captioner")["args"])).params
    assert options["captioner"] == f"http://captioner:{captioner['captioner_port']}"
    assert captioner["base_url"] == f"http://gateway:{options['port']}/v1"
    assert {each["mountPath"] for each in container("captioner")["volumeMounts"]} >= {
        str(captioner["captioner_folder"])
    }


@pytest.mark.parametrize("spec", HELM["servingEngineSpec"]["modelSpec"], ids=lambda it: it["name"])
def test_the_production_stack_has_the_arguments_of_the_profile(spec: dict[str, Any]) -> None:
    engine = find_engine(load_profile("gpu-80gb"), ENGINES[spec["name"]])
    ours = engine_arguments(engine, ())
    assert (f"{spec['repository']}:{spec['tag']}") == container(spec["name"])["image"]
    assert spec["modelURL"].removeprefix("/babelview/") == engine.model.removeprefix("./")
    config = spec["vllmConfig"]
    assert (config["maxModelLen"], config["maxNumSeqs"]) == (engine.max_model_len, engine.max_requests)
    for argument in config["extraArgs"]:
        assert argument in ours, argument
