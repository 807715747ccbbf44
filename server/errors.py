"""All errors of the server.

ServerError
├── ProfileError         a profile or a setting that cannot be used
├── PreflightError       the machine cannot run this profile now
├── PartFailedError      a part did not start, or crashed too often
├── ForkError            the process that a part would be forked from is not there
├── UnknownSizesError    nothing says how large a model is
├── QuantizeError        a checkpoint cannot be quantised, or did not come out right
├── UnknownVersionError  the Llama 3.2 Vision plugin does not know this version of vLLM
├── UnsupportedSettingError  the Llama 3.2 Vision plugin cannot work with a setting of vLLM
├── SoundError           a file is not transcribed: no sound, broken, too long or too short
├── RequestError         the gateway refuses a request, with an HTTP status
└── NotBegunError        a server gave no answer to a request, another one may be asked
"""

from __future__ import annotations

RETRY_AFTER_S = 2
"""When a request that finds no server, or no room, is worth another try."""


class ServerError(Exception):
    """Base of all errors of the server; its text is meant for the user."""


class ProfileError(ServerError):
    """A profile or a setting that cannot be used; names the file and the key."""


class PreflightError(ServerError):
    """The machine cannot run this profile now: a package, a port, a model or memory is missing."""


class PartFailedError(ServerError):
    """A part did not become healthy, or crashed too often to go on."""


class ForkError(ServerError):
    """The process that a part would be forked from has ended; the part can be started by its command."""


class UnknownSizesError(ServerError):
    """Nothing says how large a model is: no config.json was found, or it is of an unknown architecture."""


class QuantizeError(ServerError):
    """A checkpoint that cannot be quantised or did not come out right; the text says what to do."""


class UnknownVersionError(ServerError, ImportError):
    """The installed vLLM is not one whose private interfaces the Llama 3.2 Vision plugin was checked with."""


class UnsupportedSettingError(ServerError):
    """A setting of vLLM with which Llama 3.2 Vision cannot be served; names it and says why."""


class RequestError(ServerError):
    """A request that the gateway refuses, with its HTTP status; `server/gateway/refusals.py` makes the answer.

    Attributes:
        status: HTTP status.
        message: for people.
        param: the parameter that is wrong, if it is one.
        code: for programs.
        retry_after_s: when another try is worth it; None: not at all, or nobody knows.
        allow: HTTP methods that the path takes, for 405.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
        allow: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s
        self.allow = allow


class SoundError(ServerError):
    """A file that is not transcribed; says why.

    Attributes:
        code: the same for programs.
    """

    def __init__(self, message: str, code: str = "invalid_media") -> None:
        super().__init__(message)
        self.code = code


class NotBegunError(ServerError):
    """A server gave no answer, and nothing has reached the client: another server may be asked."""


class ManyScansError(Exception):
    """A JPEG has more scans than are decoded; says what to do."""
