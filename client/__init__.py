"""Babelview's client: asks a served model about folders of pictures and videos.

It needs nothing of the server but its address: the two meet over HTTP alone.

The way of a picture: `batch` -> `cli.run` (options, what is wrong for all files) -> `sources.gather` (names) ->
`pipeline`, which joins the `stages` -> `stages.find.Find` (`sources.fetch`, `media.load.identify`; `resume` says what
is missing of it) -> `stages.decode.Load` (`media.loaders`: processes; in one of them `media.load` -> `media.image`) ->
`stages.ask.Ask` (`checks.review` -> `endpoints.chat` -> `endpoints.retry` -> `endpoints.http`) ->
`stages.translate.Translate` -> `ledger.writer`. A `job` is what a run knows of one content meanwhile; `stages.items` go
from stage to stage.
And out: `export.formats` -> `ledger.results` -> `record`, `timed_record` -> a module of `export`.
From Python: `from client import Babelview` (`api.babelview`). Over HTTP: `captioner.app`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.api.babelview import Babelview
    from client.api.blocking import BlockingBabelview, BlockingConversation, BlockingReply
    from client.api.conversation import Answered, Conversation, Reply
    from client.api.live import Live, LiveOptions
    from client.api.options import Options
    from client.endpoints.completion import Answer
    from client.endpoints.translation import Translated
    from client.errors import BabelviewError, MediaError, RequestError, ServiceLostError, UsageError
    from client.live.events import LiveAlert, LiveCaption, LiveSaid
    from client.media.sampling import Sampling
    from client.record import Record

_HOMES = {
    "client.api.babelview": ("Babelview",),
    "client.api.blocking": ("BlockingBabelview", "BlockingConversation", "BlockingReply"),
    "client.api.conversation": ("Answered", "Conversation", "Reply"),
    "client.api.live": ("Live", "LiveOptions"),
    "client.api.options": ("Options",),
    "client.endpoints.completion": ("Answer",),
    "client.endpoints.translation": ("Translated",),
    "client.errors": ("BabelviewError", "MediaError", "RequestError", "ServiceLostError", "UsageError"),
    "client.live.events": ("LiveAlert", "LiveCaption", "LiveSaid"),
    "client.media.sampling": ("Sampling",),
    "client.record": ("Record",),
}
"""Where what is offered lives. It is imported when it is asked for: the processes that decode need none of it."""

__all__ = [
    "Answer",
    "Answered",
    "Babelview",
    "BabelviewError",
    "BlockingBabelview",
    "BlockingConversation",
    "BlockingReply",
    "Conversation",
    "Live",
    "LiveAlert",
    "LiveCaption",
    "LiveOptions",
    "LiveSaid",
    "MediaError",
    "Options",
    "Record",
    "Reply",
    "RequestError",
    "Sampling",
    "ServiceLostError",
    "Translated",
    "UsageError",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
