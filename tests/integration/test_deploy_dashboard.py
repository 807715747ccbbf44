"""The dashboard asks only for metrics that the gateway, vLLM and the translator really export."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from scripts.demo.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.demo.stack import Stack

DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/babelview.json").read_text())
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


def get(stack: Stack, path: str) -> str:
    with urllib.request.urlopen(stack.endpoint.removesuffix("/v1") + path) as answer:
        text: str = answer.read().decode()
        return text


def names_of(page: str) -> Iterator[str]:
    """Names of all series that a page may have, of those without a sample too."""
    for family in text_string_to_metric_families(page):
        yield from (family.name + suffix for suffix in SUFFIXES.get(family.type, ("",)))
        yield from (sample.name for sample in family.samples)


@pytest.fixture(scope="module")
def exported(stack: Stack) -> set[str]:
    """As Prometheus finds them: the gateway's page, and those that its discovery names."""
    pages = [get(stack, "/metrics")]
    pages += [get(stack, t["labels"]["__metrics_path__"]) for t in json.loads(get(stack, "/metrics/targets"))]
    return {name for page in pages for name in names_of(page)}


def asked(panel: dict[str, Any]) -> set[str]:
    expressions = " ".join(target["expr"] for target in panel.get("targets", []))
    return set(re.findall(r"(?:babelview_|vllm:)\w+", expressions))


@pytest.mark.parametrize("panel", [p for p in DASHBOARD["panels"] if p["type"] != "row"], ids=lambda p: p["title"])
def test_a_panel_asks_for_what_there_is(panel: dict[str, Any], exported: set[str]) -> None:
    assert asked(panel)
    assert asked(panel) <= exported


def test_prometheus_asks_where_the_gateway_answers(stack: Stack) -> None:
    jobs = {
        job["job_name"]: job for job in yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())["scrape_configs"]
    }
    assert jobs["gateway"]["static_configs"] == [{"targets": ["gateway:8000"]}]
    (discovery,) = jobs["parts"]["http_sd_configs"]
    found = json.loads(get(stack, discovery["url"].removeprefix("http://gateway:8000")))
    assert {target["labels"]["replica"] for target in found} >= {"llava-next-video-7b", "llama-3.2-11b-vision"}


def test_the_dashboard_finds_its_data_source() -> None:
    sources = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if "datasource" in panel} == {sources[0]["uid"]}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
