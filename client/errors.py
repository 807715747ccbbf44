"""What can go wrong, as a small tree.

BabelviewError
├── UsageError         the command line asks for something that cannot be; exit code 2
│   └── LanguageError  ... a language that there is not
├── MediaError         this file cannot be read; it fails alone
│   └── UnreadError    ... now, which says nothing about its content
├── RequestError       this request failed; it fails alone
│   └── RefusedError   ... and would fail again: the server understood and said no
│       └── DeclinedError  ... or rather the model did, in place of an answer
├── AttemptError       one attempt at a request failed: `RetryPolicy` decides what comes of that
│   ├── UnavailableError   the server did not take the request
│   ├── FailedError        it did, and did not answer it properly
│   │   ├── NoAnswerError  ... but closed the connection before anything came back
│   │   └── NotJsonError   ... but with something else than JSON, as no server of ours does
│   ├── AuthError          it does not let us in
│   └── QuotaError         what may be spent on it is spent
├── UnlistedError      an endpoint lists other models: others are asked
├── ServiceLostError   a server stayed away too long, or keeps us out; ends the run
├── DecodersLostError  processes that decode are ended from outside, again and again; ends the run
├── StoppedError       the user interrupted the run
├── RejectedError      the captioner refuses a request, with an HTTP status
└── LedgerError        the ledger cannot be opened or written; ends the run
    └── LedgerBusyError   ... because another run holds it

DecodeError            within `media`: one way to read a video did not do, and another is tried
├── InexactError       seeking cannot promise the right frames
└── DamagedError       a picture is partly made up
"""

from __future__ import annotations


class BabelviewError(Exception):
    """Base of all errors of the client; the message is made to be read by the user."""


class UsageError(BabelviewError):
    """The command line or the environment asks for something that cannot be."""


class LanguageError(UsageError):
    """A language that there is not, or that the translator does not know."""


class MediaError(BabelviewError):
    """A file is not a picture or video that can be read; the message says why."""


class UnreadError(MediaError):
    """A file is gone, has changed since it was hashed, or may not be read: another run looks at it again."""


class DecodeError(Exception):
    """One way to read a video did not do; another is tried, and no user hears of it."""


class InexactError(DecodeError):
    """Seeking cannot promise the right frames of this file."""


class DamagedError(DecodeError):
    """A frame was decoded, but its picture is partly made up."""


class RequestError(BabelviewError):
    """A request did not succeed, but another run may: attempts or time ran out."""


class RefusedError(RequestError):
    """The server refused the request (HTTP 400, 413, 422): the same one would be refused again."""


class DeclinedError(RefusedError):
    """The model declined to answer, and said so in the field that endpoints have for it; another try may do."""


class AttemptError(BabelviewError):
    """One attempt at a request failed."""


class UnavailableError(AttemptError):
    """The server did not take the request; `retry_after` in seconds, if it said so."""

    def __init__(self, reason: str, retry_after: float | None = None, *, busy: bool = False) -> None:
        """A server that is merely `busy` is no reason to alarm anyone."""
        super().__init__(reason)
        self.retry_after = retry_after
        self.busy = busy


class FailedError(AttemptError):
    """The server took the request and did not answer it properly; `retry_after` in seconds, if it said so."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        """See the class."""
        super().__init__(reason)
        self.retry_after = retry_after


class NoAnswerError(FailedError):
    """The connection broke before anything came back: something fails, or nobody is there behind a proxy."""


class NotJsonError(FailedError):
    """What came back, as a success, is not JSON: the address may be that of something else."""


class AuthError(AttemptError):
    """The server does not let us in: our key is wrong (HTTP 401, 403), or no secure connection comes about."""

    def __init__(self, reason: str, *, certain: bool = True) -> None:
        """Not `certain`: it may be about this request alone, as where a filter forbids a picture (HTTP 403)."""
        super().__init__(reason)
        self.certain = certain


class QuotaError(AttemptError):
    """What may be spent on the server is spent (HTTP 402, `insufficient_quota`): waiting does not help."""


class UnlistedError(BabelviewError):
    """An endpoint that came late lists other models than the one that is asked: the request goes to others."""


class ServiceLostError(BabelviewError):
    """A server was away for longer than `--wait`, does not accept our key, or its quota is used up."""

    @property
    def may_come_back(self) -> bool:
        """Whether the same may do later: not with a key that is wrong (HTTP 401)."""
        return not (isinstance(self.__cause__, AuthError) and self.__cause__.certain)


class DecodersLostError(BabelviewError):
    """The processes that decode files are ended from outside, again and again: it says nothing about the files."""


class StoppedError(BabelviewError):
    """The user interrupted the run while a request waited to be tried again."""


class RejectedError(BabelviewError):
    """A request to the captioner that it refuses; `client.captioner.refusals` makes the answer.

    Attributes:
        status: HTTP status.
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
        code: str,
        param: str | None = None,
        retry_after_s: int | None = None,
        allow: str | None = None,
    ) -> None:
        """See the class."""
        super().__init__(message)
        self.status, self.code, self.param = status, code, param
        self.retry_after_s, self.allow = retry_after_s, allow


class LedgerError(BabelviewError):
    """The ledger cannot be opened, read or written."""


class LedgerBusyError(LedgerError):
    """Another run is using the ledger."""
