"""Every error of the translator, in one tree below `TranslatorError`."""

from __future__ import annotations

_LONGEST_CODE = 40


class TranslatorError(Exception):
    """What the translator raises on purpose; the message says what is wrong and what to do."""


class ModelError(TranslatorError):
    """A model cannot be found, fetched, converted or loaded."""


class QueueFullError(TranslatorError):
    """Too many sentences wait already; `retry_after_s` says in how many seconds to come back."""

    def __init__(self, retry_after_s: int) -> None:
        """Say when to come back."""
        super().__init__(f"the translation queue is full: try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class TooManySentencesError(TranslatorError):
    """One request holds more sentences than are taken at all."""


class ClosedError(TranslatorError):
    """The service is shutting down and takes no new request."""


class AbandonedError(TranslatorError):
    """Nobody waits for the result of this work any more."""


class GlossaryError(TranslatorError):
    """A glossary cannot be read; the message says where and why."""


class SubtitleError(TranslatorError):
    """A text is no subtitle file."""


class DetectionError(TranslatorError):
    """Languages cannot be detected: the library is not installed."""


class UnknownLanguageError(TranslatorError):
    """A language code that the model does not have."""

    def __init__(self, code: str, why: str, *, helps: bool = True) -> None:
        """Name the code, shortened if it is no code at all, say why, and where the right ones are.

        Args:
            code: what was asked for.
            why: what is wrong with it.
            helps: whether that tells more than that it is unknown.
        """
        shown = code if len(code) <= _LONGEST_CODE else code[:_LONGEST_CODE] + "..."
        super().__init__(f"unknown language {shown!r}: {why} (GET /languages lists all)")
        self.code = code
        self.as_libretranslate = f"{shown} is not supported" + (f": {why}" if helps else "")
        """The same in LibreTranslate's words, which its clients look for."""


class UnsupportedScriptError(UnknownLanguageError):
    """A language that NLLB has, in a script in which it does not have it."""


class ApiError(TranslatorError):
    """A request that is answered with an error; `http.responses` gives it the shape of its path."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
        close: bool = False,
        libretranslate: str | None = None,
    ) -> None:
        """Say what is wrong.

        Args:
            status: HTTP status.
            message: for a person.
            param: the field to blame.
            code: for a machine.
            retry_after_s: seconds after which it is worth another try.
            close: whether the connection is of no more use, as the rest of the body may still come.
            libretranslate: the message in the words that LibreTranslate's clients know, if they are others.
        """
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.close = close
        self.libretranslate = libretranslate or message
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
