"""From where on a quality check calls something an issue.

Calibrated on human translations of news into some 110 languages, on real output of NLLB-200 with references, and on
its published captions; `python -m scripts.benchmarks.translator.checks` measures what they find and what they get
wrong. `lowest_score` alone is set by hand: those outputs come without scores.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The limits of all checks. Lengths are in letters of English (`scripts.size`)."""

    loop_times: int = 3
    """A word or phrase so often in a row, and more often than anything in the source, is a loop."""
    loop_times_short: int = 5
    """The same for a single letter (of scripts without spaces) and within a word ("lalalala")."""
    loop_clause: int = 5
    """A phrase of at least so many words (or twice as many letters of such scripts) is a loop at two times in a row."""
    repeated_share: float = 0.15
    """Above so large a share of three-word (or six-letter) sequences that were there before, and the source's own
    share on top, a translation is a loop."""
    common_share: float = 0.22
    """Above so large a share of all words, one word of four letters or more is a loop, if it also comes at least
    `common_times` times, and more than twice as often as any word of the source."""
    common_times: int = 4
    """The fewest times that one word comes in a loop by `common_share`."""
    longest: float = 2.6
    """Above so many times the length that the source lets expect a translation is too long."""
    length_slack: float = 12.0
    """Letters added to both lengths before they are compared for `longest`: short texts vary more ("TV",
    "télévision")."""
    shortest: float = 0.55
    """Below so large a share of the length that the source lets expect a translation is too short."""
    shortest_chinese: float = 0.58
    """The same for translations into Chinese and Japanese, of which NLLB leaves out a part of every fifth."""
    shortest_from_chinese: float = 0.5
    """The same where the source is Chinese or Japanese, whose letters say less exactly how long a text is;
    between the two it is `shortest`."""
    short_sentence: float = 50.0
    """Up to so many letters a sentence is short: then `shortest_brief` counts, if it is less."""
    shortest_brief: float = 0.55
    """The same for short sentences, which differ more: "It opens with green on the left and purple on the right." is
    right in Japanese at 0.60."""
    tiny_sentence: float = 25.0
    """Up to so many letters a sentence is as short as a greeting: then it is `shortest_tiny`."""
    shortest_tiny: float = 0.45
    """The same for greetings: "ありがとうございます。" is "谢谢。" at 0.52, "Thanks." at 0.48."""
    short_slack: float = 6.0
    """Letters added to both lengths before they are compared for `shortest`."""
    label_share: float = 0.7
    """Below so large a share of that length a translation must have the tags of the source that are no HTML
    ("<laugh/>"), and some bracket if the source has a label in brackets ("(SPEAKER4)", "[SCENE2]")."""
    label_part: float = 0.3
    """From so large a part of a source on, its labels are looked at for `label_share`."""
    invented_words: int = 2
    """Up to so many words of a source, a translation with a sentence mark that the source lacks is invented."""
    copied_words: int = 3
    """From so many lower-case words on, a translation that is the source itself is a copy: names are not."""
    copied_share: float = 0.8
    """From so large a share of the source's lower-case words on, a translation that holds them is a copy."""
    copied_long: int = 6
    """The fewest lower-case words of a source that are looked at for `copied_share`."""
    script_share: float = 0.7
    """The least share of what is written that must be in the target's script, names in Latin letters not counted."""
    script_letters: int = 8
    """From so many letters on, Japanese must have kana and Korean hangul, and not Chinese characters alone."""
    lowest_score: float = -2.0
    """The least mean log-probability of a token. It differs in the third decimal with the company in a batch, so
    that issues do not quote it."""
