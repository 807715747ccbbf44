"""The handlers of `/v1/captions/jobs`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import hdrs, web

from client.captioner import sse
from client.captioner.callers import Caller
from client.captioner.job_store import FAILED
from client.errors import RejectedError

if TYPE_CHECKING:
    from client.captioner.incoming import Incoming
    from client.captioner.job_store import StoredJob
    from client.captioner.jobs import Jobs

PATH = "/v1/captions/jobs"


class JobRoutes:
    """Takes jobs, and tells of them: each belongs to the key that made it, and to others there is none."""

    def __init__(self, jobs: Jobs, incoming: Incoming) -> None:
        """For these jobs."""
        self._jobs, self._incoming = jobs, incoming

    def add(self, router: web.UrlDispatcher) -> None:
        """Add the paths."""
        for path, *handlers in (
            (PATH, ("POST", self.create), ("GET", self.all)),
            (f"{PATH}/{{id}}", ("GET", self.one), ("DELETE", self.delete)),
            (f"{PATH}/{{id}}/events", ("GET", self.events)),
        ):
            for method, handler in handlers:
                router.add_route(method, path, handler)

    async def create(self, request: web.Request) -> web.Response:
        """Take the files of a request, and describe them later."""
        caller = Caller(request)
        with self._incoming.receive(request) as upload:
            asked, items = await self._incoming.read(request, upload)
            if asked.stream:
                message = f"stream: a job is followed at {PATH}/ID/events"
                raise RejectedError(400, message, param="stream", code="invalid_parameter")
            job = await self._jobs.add(caller.owner, caller.key, items, upload)
        return _json(self._jobs.summary(job), 202, {hdrs.LOCATION: f"{PATH}/{job.id}"})

    async def all(self, request: web.Request) -> web.Response:
        """List the jobs of a key, without what came of them."""
        jobs = await asyncio.to_thread(self._jobs.store.all_of, Caller(request).owner)
        return _json({"object": "list", "data": [self._jobs.summary(job) for job in jobs]})

    async def one(self, request: web.Request) -> web.Response:
        """Tell how far a job is, or what came of it."""
        return _json(await self._jobs.told(await self._found(request)))

    async def delete(self, request: web.Request) -> web.Response:
        """End a job, and forget it."""
        job = await self._found(request)
        await asyncio.shield(self._jobs.remove(job))
        return _json({"id": job.id, "object": "captions.job", "deleted": True})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Tell what happens to a job, until it has ended."""
        job = await self._found(request)
        if (feed := self._jobs.feed(job)) is None:
            job = await self._found(request)  # it may have ended just now
            kind = "error" if job.status == FAILED else "done"
            return await sse.send_all(request, [{"type": kind, **await self._jobs.told(job)}])
        with feed.follow() as follower:
            return await sse.send(request, follower, [feed.progress_event(self._jobs.summary(job)["status"])])

    async def _found(self, request: web.Request) -> StoredJob:
        job_id = request.match_info["id"]
        job = await asyncio.to_thread(self._jobs.store.find, job_id, Caller(request).owner)
        if job is None:
            raise RejectedError(404, f"there is no job {job_id[:60]}", code="not_found")
        return job


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type="application/json", headers=headers)
