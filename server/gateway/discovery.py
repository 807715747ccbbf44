"""Metrics of the gateway, and of everything behind it: engines listen on sockets that Prometheus cannot reach."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import aiohttp
import msgspec
from aiohttp import hdrs, web
from prometheus_client import CONTENT_TYPE_LATEST

from server.errors import RequestError
from server.gateway.api_types import Target
from server.gateway.refusals import unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.gateway.metrics import Metrics
    from server.gateway.pool import Pool

TIMEOUT_S = 5.0


class Discovery:
    """The handlers of `/metrics` and of what is below it."""

    def __init__(self, pools: Sequence[Pool], metrics: Metrics) -> None:
        self._metrics = metrics
        self._servers = {upstream.name: (pool, upstream) for pool in pools for upstream in pool.upstreams}

    async def metrics(self, _: web.Request) -> web.Response:
        """The page of the gateway's own metrics."""
        return web.Response(body=self._metrics.page(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST})

    async def metrics_of(self, request: web.Request) -> web.Response:
        """Those of one engine, or of the translator, passed through.

        Raises:
            RequestError: 404, there is none of that name; 503, it does not answer.
        """
        found = self._servers.get(request.match_info["name"])
        if found is None:
            names = ", ".join(self._servers)
            raise RequestError(404, f"there is no such part; there are {names}", code="not_found")
        _, upstream = found
        try:
            status, page = await upstream.get("/metrics", TIMEOUT_S)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unavailable(upstream.name) from error
        if status != 200:
            raise RequestError(404, f"{upstream.name} has no metrics", code="not_found")
        return web.Response(body=page, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST})

    async def targets(self, request: web.Request) -> web.Response:
        """All of them, in the form of Prometheus' HTTP service discovery."""
        found = [
            Target(
                targets=[request.host],
                labels={
                    "__metrics_path__": f"/metrics/of/{quote(name, safe='')}",
                    "model": pool.name,
                    "replica": name,
                },
            )
            for name, (pool, _) in self._servers.items()
        ]
        return web.Response(body=msgspec.json.encode(found), content_type="application/json")
