"""What a translation must keep as it is."""

import pytest

from translator.checks.checks import find_issues
from translator.text import protected

KEPT = [
    "<br />",
    "<a href=\"https://x.org/a?b=1\" class='c'>",
    '<img src=a.png alt="a > b"/>',
    "</span>",
    '<x id="1"/>',
    "{\\an8}",
    "%1$s",
    "%5.2f",
    "%(name)s",
    "{name}",
    "{0}",
    "{{ user.name }}",
    "${total}",
    "<%= name %>",
    "&nbsp;",
    "&#39;",
    "#summer2024",
    "@anna_b",
    "a.b+c@x-y.co.uk",
    "https://example.com/a_(b)?c=d#e",
    "ftp://example.com/a",
    "www.example.org",
    "SAVE20",
    "B08N5WRWNW",
    "WH-1000XM4",
    "SKU-12345-AB",
    "GTX1080Ti",
    "🎉",
]


@pytest.mark.parametrize("kept", KEPT)
def test_it_is_found_and_missed_where_it_is_lost(kept: str) -> None:
    source, text = f"The red car is {kept} over there.", f"La voiture rouge est {kept} par là."
    assert protected.find(source) == [kept]
    languages = ("eng_Latn", "fra_Latn")
    assert not [issue for issue in find_issues(source, text, languages) if kept in issue]
    lost = find_issues(source, "La voiture rouge est par là.", languages)
    assert [issue for issue in lost if kept in issue]


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d",
        "<laughs>",
        "<3 you",
        "50% discount",
        "100 % de plus",
        "C# and issue #12",
        "COVID-19",
        "MP3 in 4K",
        "AT&T; R&D",
        "a {b c} d",
    ],
)
def test_what_a_translator_may_change_is_not(text: str) -> None:
    assert protected.find(text) == []


@pytest.mark.parametrize("piece", ["<a ", "<a b=", "{", "@", "a.", "%", "A1", "&", "#", "[[", "<%", "A-1", "www."])
def test_a_text_made_to_be_slow_is_not(piece: str) -> None:
    assert protected.without(piece * 30_000) is not None
