"""What there is while a session is open: connections, the process that decoders are forked from, a scratch folder."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from client.endpoints.chat import ModelClient
    from client.endpoints.speech import SpeechClient
    from client.endpoints.translation import TranslatorClient
    from client.media.fork_server import ForkServer
    from client.pipeline import Decoders


class Opened:
    """What there is while a session is open."""

    def __init__(
        self,
        model: ModelClient,
        speech: SpeechClient,
        translator: TranslatorClient,
        fork_server: ForkServer,
        decoders: Decoders | None,
    ) -> None:
        """What is given is closed with it; `decoders` are those of all runs, if they share them."""
        self.model, self.speech, self.translator, self.fork_server = model, speech, translator, fork_server
        self.decoders = decoders
        self._folder: Path | None = None

    def scratch(self) -> Path:
        """A new folder for what is needed for moments only."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="babelview-"))
        return Path(tempfile.mkdtemp(dir=self._folder))

    async def close(self, *, keep_fork_server: bool) -> None:
        """Close all, but for a fork server that others use too, and remove what is in `scratch`."""
        if self.decoders:
            self.decoders.close()
        if not keep_fork_server:
            self.fork_server.close()
        for client in (self.model, self.speech, self.translator):
            await client.close()
        self.discard()

    def discard(self) -> None:
        """Remove what is in `scratch`."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
