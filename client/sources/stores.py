"""Object stores and the like (`s3://`, `gs://`, `az://`, ...), by fsspec and the driver of each."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from client.errors import UsageError
from client.hints import install
from client.media.kinds import by_suffix
from client.sources.source import Source, public

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator

    from client.sources.folders import Choice

DRIVERS = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "gcs": ("gcsfs", "gs"),
    "az": ("adlfs", "az"),
    "abfs": ("adlfs", "az"),
    "abfss": ("adlfs", "az"),
}
"""URL scheme -> its package, and our extra that brings it."""
_MAGIC = frozenset("*?[")


def open_store(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it.

    Raises:
        UsageError: the driver is missing, there is none for such URLs, or it lacks its settings.
    """
    scheme = url.partition("://")[0].lower()
    try:
        import fsspec  # noqa: PLC0415 (optional)
    except ImportError as error:
        extra = DRIVERS.get(scheme, ("", "remote"))[1]
        raise UsageError(f"{scheme}:// needs the package fsspec: {install(extra)}") from error
    if "::" in url:
        raise UsageError(f"{public(url)}: chained URLs are not taken")
    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        if driver := DRIVERS.get(scheme):
            reason = f"needs the package {driver[0]}: {install(driver[1])}"
        else:
            reason = f"cannot be opened: {error}"
        raise UsageError(f"{scheme}:// {reason}") from error
    except ValueError as error:
        raise UsageError(f"{public(url)}: there is no way known to read {scheme}:// URLs") from error
    try:
        store, path = fsspec.core.url_to_fs(url)
    except Exception as error:  # drivers raise what they like
        raise UsageError(f"{public(url)}: {_reason(error)}") from error
    return store, path


def check(urls: Iterable[str]) -> None:
    """Make sure that there is a driver for each of the URLs.

    Raises:
        UsageError: there is none.
    """
    for url in {url.partition("://")[0].lower(): url for url in sorted(urls)}.values():
        open_store(url)


def listed(url: str, choice: Choice, passed_over: Counter[str]) -> Iterator[Source]:
    """What a URL stands for: an object, all the pictures and videos below a folder, or those that a glob matches.

    What else is there is counted in `passed_over`, by suffix; what is hidden, and by-products of systems, as such.
    Of S3 a page is listed at a time.

    Raises:
        UsageError: there is nothing, or it cannot be listed.
    """
    store, path = open_store(url)
    try:
        if _MAGIC & set(path):
            root = path[: min(path.index(sign) for sign in _MAGIC if sign in path)].rpartition("/")[0]
            found = store.glob(path, detail=True).items()
            names: Iterable[str] = sorted(name for name, info in found if info["type"] == "file")
        elif store.info(path)["type"] == "directory":
            root, names = path, below(store, path)
        else:
            yield Source(public(url), url, remote=True)
            return
        for name in names:
            if _is_chosen(name.removeprefix(root).lstrip("/"), choice, passed_over):
                where = store.unstrip_protocol(name)
                yield Source(where, where, remote=True)
    except FileNotFoundError as error:
        raise UsageError(f"no such file or folder: {public(url)}") from error
    except Exception as error:  # drivers raise what they like
        raise UsageError(f"{public(url)} cannot be listed: {_reason(error)}") from error


def below(store: Any, path: str) -> Iterator[str]:
    """The names of all objects below a folder, sorted; S3 gives them so, page by page, and as they are now."""
    if not hasattr(store, "call_s3"):
        yield from sorted(store.find(path))
        return
    bucket, _, key = path.partition("/")
    asked = {"Bucket": bucket, "Prefix": f"{key}/" if key else ""}
    while True:
        page = store.call_s3("list_objects_v2", **asked)
        for entry in page.get("Contents", ()):
            if not entry["Key"].endswith("/"):  # what stands for an empty folder
                yield f"{bucket}/{entry['Key']}"
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]


def _is_chosen(relative: str, choice: Choice, passed_over: Counter[str]) -> bool:
    """Whether an object is wanted; what is not is counted."""
    suffix = PurePosixPath(relative).suffix
    takes = choice.takes(by_suffix(suffix))
    by_product = _by_product(relative, choice)
    if not by_product and not choice.wants(relative):
        return False
    if takes == bool(by_product):
        passed_over[by_product or suffix.lower()] += 1
    return takes and not by_product


def _by_product(relative: str, choice: Choice) -> str | None:
    """What the first hidden part of a path, or by-product of a system in it, is counted as; None if there is none."""
    *folders, name = relative.split("/")
    kinds = [choice.passes_over(folder, folder=True) for folder in folders]
    return next(filter(None, (*kinds, choice.passes_over(name, folder=False))), None)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
