"""The manifests against Kubernetes' schemas, against our parsers, and against each other."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from client.captioner.command import command as captions
from server.alone import at_urls, find_engine
from server.cli import cli
from server.engines.engine import engine_arguments, engine_environment
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
POLICIES = {each["metadata"]["name"]: each["spec"] for _, each in DOCUMENTS if each["kind"] == "NetworkPolicy"}
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


@pytest.mark.parametrize("name", WORKLOADS)
def test_it_is_reached_by_those_that_ask_it_and_no_others(name: str) -> None:
    address = re.compile(rf"http://([\w-]+\.)?{name}:")
    askers = {other for other in WORKLOADS if any(address.search(argument) for argument in container(other)["args"])}
    assert POLICIES[name]["podSelector"] == {"matchLabels": {"app": name}}
    assert POLICIES[name]["policyTypes"] == ["Ingress"]
    (rule,) = POLICIES[name]["ingress"]
    assert rule["ports"] == [{"port": container(name)["ports"][0]["containerPort"]}]
    if name == "gateway":  # it has keys
        assert "from" not in rule
    else:
        assert {each["podSelector"]["matchLabels"]["app"] for each in rule["from"]} == askers == {"gateway"}


SPEC = {
    *("name", "repository", "tag", "modelURL", "replicaCount", "requestCPU", "requestMemory", "requestGPU", "shmSize"),
    *("env", "vllmConfig"),
}
"""What each model of the chart vllm-stack 0.1.12 needs: without the first eight its templates fail or start nothing."""
MAY_HAVE = {"pvcStorage", "hf_token", "extraVolumes", "extraVolumeMounts"}
CONFIG = {"enablePrefixCaching", "maxModelLen", "maxNumSeqs", "gpuMemoryUtilization", "extraArgs"}
"""Names of its `values.schema.json`, which lets unknown ones pass without a word."""
BY_THE_CHART = {"--model", "--max-model-len", "--max-num-seqs", "--gpu-memory-utilization"}
"""Arguments that its templates make of other values."""
OF_A_SHARED_GPU = {"--kv-cache-memory-bytes"}
"""In the profile three engines share a GPU; in the chart each has its own, and fills it."""


def options(arguments: list[str]) -> list[tuple[str, ...]]:
    """Arguments by option, each with its values."""
    number = 0

    def option(argument: str) -> int:
        nonlocal number
        number += argument.startswith("--")
        return number

    return [tuple(group) for _, group in groupby(arguments, option)]


@pytest.mark.parametrize("spec", HELM["servingEngineSpec"]["modelSpec"], ids=lambda it: it["name"])
def test_the_production_stack_starts_what_the_profile_says(spec: dict[str, Any]) -> None:
    engine = find_engine(load_profile("gpu-80gb"), ENGINES[spec["name"]])
    assert SPEC <= spec.keys() <= SPEC | MAY_HAVE
    assert (f"{spec['repository']}:{spec['tag']}") == container(spec["name"])["image"]
    assert spec["modelURL"].removeprefix("/babelview/") == engine.model.removeprefix("./")
    assert spec["replicaCount"] == WORKLOADS[spec["name"]]["spec"]["replicas"]
    config = spec["vllmConfig"]
    assert config.keys() == CONFIG
    assert (config["maxModelLen"], config["maxNumSeqs"]) == (engine.max_model_len, engine.max_requests)
    ours = options(engine_arguments(engine, ()))
    assert options(config["extraArgs"]) == [it for it in ours if it[0] not in BY_THE_CHART | OF_A_SHARED_GPU]
    variables = {each["name"]: each["value"] for each in spec["env"]}
    expected = engine_environment(engine, Path("/tmp"), on_gpu=True)
    assert variables | {"TMPDIR": "/tmp"} == expected
    assert "TMPDIR" not in variables
    if engine.local_model is not None:
        (volume,) = spec["extraVolumes"]
        assert volume in WORKLOADS[spec["name"]]["spec"]["template"]["spec"]["volumes"]
        assert spec["extraVolumeMounts"][0] in container(spec["name"])["volumeMounts"]


def test_the_production_stack_has_all_engines_hardened_alike() -> None:
    serving = HELM["servingEngineSpec"]
    assert serving.keys() == {"runtimeClassName", "securityContext", "containerSecurityContext", "modelSpec"}
    assert {spec["name"] for spec in serving["modelSpec"]} == ENGINES.keys()
    pod = WORKLOADS["vision"]["spec"]["template"]["spec"]
    assert serving["securityContext"] == pod["securityContext"]
    hardened = container("vision")["securityContext"]
    assert serving["containerSecurityContext"].items() <= hardened.items()
