"""`babelview status`: the parts of the running stack as a table."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import orjson
from prometheus_client.parser import text_string_to_metric_families
from rich.markup import escape
from rich.table import Table

from server.key_variables import CLIENT_KEY
from server.sizing.machine import GIB
from server.status import ask

if TYPE_CHECKING:
    from rich.console import Console

NOT_READY = 1
NOTHING_RUNS = 3
TIMEOUT_S = 10.0
IN_FLIGHT = "babelview_gateway_replica_in_flight"
COLOURS = {"ready": "green", "starting": "yellow", "unhealthy": "yellow", "restarting": "yellow"}


def print_status(port: int, console: Console, *, as_json: bool) -> int:
    """Ask the supervisor and the gateway behind a port, print what they say.

    Returns:
        0 everything is ready, 1 something is not, 3 nothing runs there.
    """
    told = ask(port) or {"parts": []}
    gateway = told.get("endpoint", f"http://127.0.0.1:{port}/v1").removesuffix("/v1")
    health = _get(f"{gateway}/health")
    told["gateway"] = orjson.loads(health) if health else None
    if as_json and not told["parts"] and told["gateway"] is None:
        console.print_json(orjson.dumps(told).decode())
        return NOTHING_RUNS
    if not told["parts"] and told["gateway"] is None:
        console.print(
            f"nothing runs behind port {port}: no supervisor of yours and no gateway on loopback; "
            "babelview up starts them"
        )
        return NOTHING_RUNS
    in_flight = _in_flight(_get(f"{gateway}/metrics"))
    for part in told["parts"]:
        part["in_flight"] = in_flight.get(part["name"].removeprefix("vllm-"))
    if as_json:
        console.print_json(orjson.dumps(told).decode())
    else:
        _print_tables(told, console)
    well = [part["state"] == "ready" for part in told["parts"]]
    return 0 if all(well) and (told["gateway"] or {}).get("status") == "ok" else NOT_READY


def _get(url: str) -> bytes | None:
    """A page of the gateway, whatever its status; None if it does not answer, or wants another key than ours."""
    key = os.environ.get(CLIENT_KEY)
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310  # http, made above
            body: bytes = answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.read() if refusal.status == 503 else None  # it says in its body what is not well
    except OSError:
        return None
    return body


def _in_flight(page: bytes | None) -> dict[str, int]:
    """Requests at each replica, as the gateway counts them."""
    families = text_string_to_metric_families((page or b"").decode())
    samples = (sample for family in families if family.name == IN_FLIGHT for sample in family.samples)
    return {sample.labels["replica"]: int(sample.value) for sample in samples}


def _print_tables(told: dict[str, Any], console: Console) -> None:
    if told["parts"]:
        table = Table(title=f"Babelview at {told['endpoint']}, supervisor {told['pid']}", title_justify="left")
        for column in ("part", "state", "pid", "up for", "restarts", "memory", "in flight", "ended last because"):
            right = column in {"pid", "up for", "restarts", "memory", "in flight"}
            table.add_column(column, justify="right" if right else "left", overflow="fold")
        for part in told["parts"]:
            colour = COLOURS.get(part["state"], "bold red")
            table.add_row(
                part["name"],
                f"[{colour}]{part['state']}[/]",
                str(part["pid"] or "-"),
                _duration(part["uptime_s"]),
                str(part["restarts"]),
                f"{part['memory_bytes'] / GIB:.2f} GiB" if part["memory_bytes"] else "-",
                "-" if part["in_flight"] is None else str(part["in_flight"]),
                escape(part["last_end"] or ""),
            )
        console.print(table)
    else:
        console.print("no supervisor of yours behind this port; the gateway says:")
    if told["gateway"] is None:
        console.print("[bold red]the gateway does not answer[/]")
        return
    if told["parts"] and told["gateway"].get("status") == "ok":
        console.print("the endpoint answers: ok")
    else:
        console.print_json(orjson.dumps(told["gateway"]).decode())


def _duration(duration_s: float | None) -> str:
    if duration_s is None:
        return "-"
    minutes, rest = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
