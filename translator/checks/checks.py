"""Quality checks: what can be seen to be wrong with a translation without knowing the languages.

Every check is a cheap heuristic: a translation with an issue is tried again (see `review`), and marked if nothing
better comes.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from translator.checks import lengths, letters, loops, quantities
from translator.checks.thresholds import Thresholds
from translator.text import protected, scripts

__all__ = ["Thresholds", "find_issues", "find_remarks"]

_ATTRIBUTE = re.compile(r"<[^\W\d_][^<>]*?\s[\w:.-]+\s*=[^<>]*>")
"""A tag of any name with an attribute: no spoken aside, but markup."""


def find_issues(
    source: str,
    text: str,
    languages: tuple[str, str],
    *,
    score: float = 0.0,
    thresholds: Thresholds | None = None,
) -> tuple[str, ...]:
    """What speaks against `text` as a translation of the sentence `source`, each in a few words.

    Args:
        source: a sentence with letters.
        text: what came back.
        languages: FLORES codes of both.
        score: mean log-probability of a token.
        thresholds: from where on something is an issue.
    """
    t = thresholds or Thresholds()
    if not any(c.isalpha() for c in text):
        if not _only_numbers(source, text):
            return (f"empty: only {text!r} came back" if text else "empty: nothing came back",)
        return (issue,) if (issue := _numbers(source, text, languages)) else ()
    script = scripts.script_of(languages[1])
    found = [
        loops.find(source, text, t),
        *lengths.find(source, text, languages, t),
        lengths.cut_short(source, text, script),
        lengths.invented(source, text, t),
        letters.copied(source, text, languages, t),
        letters.wrong_script(source, text, script, t),
        f"unlikely: mean log-probability below {t.lowest_score:g}" if score < t.lowest_score else None,
        _numbers(source, text, languages),
        _protected(source, text),
    ]
    return tuple(issue for issue in found if issue)


def find_remarks(source: str, text: str, languages: tuple[str, str]) -> tuple[str, ...]:
    """What is worth to know of a translation that may be right: figures in other units, labels and tags left out."""
    compared = quantities.compare(protected.without(source), protected.without(text), languages)
    left_out = compared.left_out + lengths.left_out(source, text)
    remarks = {"units converted": compared.converted, "left out": left_out}
    return tuple(f"{what}: {', '.join(which)}" for what, which in remarks.items() if which)


def _only_numbers(source: str, text: str) -> bool:
    """Whether a text without letters can be all there is to say: "three" -> "3"."""
    return len(source) <= 20 and any(c.isdigit() for c in text)


def _numbers(source: str, text: str, languages: tuple[str, str]) -> str | None:
    bare = lengths.LABEL.sub(" ", protected.without(source)), protected.without(text)
    gone = quantities.lost(*bare, languages)
    return f"numbers lost or changed: {', '.join(gone)}" if gone else None


def _protected(source: str, text: str) -> str | None:
    """What must come through as it is and did not.

    Labels in brackets and tags that are no HTML may be translated there or left out (see `lengths`); not so those with
    attributes, nor where they are all there is.
    """
    left_out = lengths.left_out(source, text)
    source = lengths.LABEL.sub(" ", source)
    # Looked for as they stand: in scripts without spaces a word may follow ("#sale的").
    there = unicodedata.normalize("NFKC", text)
    wanted = Counter(protected.find(source))
    gone = [part for part, times in wanted.items() if max(_times(part, text), _times(part, there)) < times]
    rest = source
    for tag in left_out:
        rest = rest.replace(tag, " ")
    is_all = not any(c.isalpha() for c in rest)
    gone += [tag for tag in left_out if is_all or _ATTRIBUTE.fullmatch(tag)]
    return f"lost: {', '.join(dict.fromkeys(gone))}" if gone else None


def _times(part: str, text: str) -> int:
    """How often something stands in a text, and not as a part of a longer word in Latin letters."""
    after = "(?![A-Za-z0-9])" if part[-1].isalnum() else ""
    return len(re.findall(re.escape(part) + after, text))
