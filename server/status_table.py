"""`python -m server status`: the parts of the running stack as a table."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import orjson
from rich.markup import escape
from rich.table import Table

from server.machine import GIB
from server.status import ask

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_PORT = 8000
NOT_READY = 1
NOTHING_RUNS = 3
TIMEOUT_S = 10.0
COLOURS = {"ready": "green", "starting": "yellow", "unhealthy": "yellow", "restarting": "yellow"}


def print_status(port: int, console: Console, *, as_json: bool) -> int:
    """Ask the supervisor and the gateway behind a port, print what they say.

    Returns:
        0 everything is ready, 1 something is not, 3 nothing runs there.
    """
    told = ask(port) or {"parts": []}
    told["gateway"] = _gateway_health(told.get("endpoint", f"http://127.0.0.1:{port}/v1"))
    if not told["parts"] and told["gateway"] is None:
        console.print(f"nothing runs behind port {port}: no supervisor of yours and no gateway on loopback")
        return NOTHING_RUNS
    if as_json:
        console.print_json(orjson.dumps(told).decode())
    else:
        _print_tables(told, console)
    well = [part["state"] == "ready" for part in told["parts"]]
    return 0 if all(well) and (told["gateway"] or {}).get("status") == "ok" else NOT_READY


def _gateway_health(endpoint: str) -> dict[str, Any] | None:
    """What the gateway's `/health` says; None if it does not answer."""
    url = endpoint.removesuffix("/v1") + "/health"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310  # http, made above
            body = answer.read()
    except urllib.error.HTTPError as refusal:  # 503 says in its body what is not well
        with refusal:
            body = refusal.read()
    except OSError:
        return None
    try:
        said: dict[str, Any] = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return said


def _print_tables(told: dict[str, Any], console: Console) -> None:
    if told["parts"]:
        table = Table(title=f"Babelview at {told['endpoint']}, supervisor {told['pid']}", title_justify="left")
        for column in ("part", "state", "pid", "up for", "restarts", "memory", "ended last because"):
            right = column in {"pid", "up for", "restarts", "memory"}
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
                escape(part["last_end"] or ""),
            )
        console.print(table)
    else:
        console.print("no supervisor of yours behind this port; the gateway says:")
    if told["gateway"] is None:
        console.print("[bold red]the gateway does not answer[/]")
        return
    console.print_json(orjson.dumps(told["gateway"]).decode())


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
