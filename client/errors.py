"""What can go wrong, as a small tree.

BabelviewError
├── UsageError         the command line asks for something that cannot be; exit code 2
├── MediaError         this file cannot be read; it fails alone
│   └── UnreadError    ... now, which says nothing about its content
├── RequestError       this request failed; it fails alone
│   └── RefusedError   ... and would fail again: the server understood and said no
├── ServiceLostError   a server stayed away too long, or keeps us out; ends the run
└── LedgerError        the ledger cannot be opened or written; ends the run
    └── LedgerBusyError   ... because another run holds it
"""

from __future__ import annotations


class BabelviewError(Exception):
    """Base of all errors of the client; the message is made to be read by the user."""


class UsageError(BabelviewError):
    """The command line or the environment asks for something that cannot be."""


class MediaError(BabelviewError):
    """A file is not a picture or video that can be read; the message says why."""


class UnreadError(MediaError):
    """A file is gone, has changed since it was hashed, or may not be read: another run looks at it again."""


class RequestError(BabelviewError):
    """A request did not succeed, but another run may: attempts or time ran out."""


class RefusedError(RequestError):
    """The server refused the request (HTTP 400, 413, 422): the same one would be refused again."""


class ServiceLostError(BabelviewError):
    """A server was away for longer than `--wait`, or does not accept our key."""


class LedgerError(BabelviewError):
    """The ledger cannot be opened, read or written."""


class LedgerBusyError(LedgerError):
    """Another run is using the ledger."""
