"""What is said in the drawn world's advertisements, in other languages: one translation of each line.

Brands keep their names. Where a language has genders or cases, what stands before or after a thing is part of its word.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.demo.world.draw import BRANDS
from scripts.demo.world.lines import DAYS, FORMS, PRICES, THINGS, VOICE
from scripts.demo.world.scenes import COLOURS

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Lines:
    """How one language says the lines."""

    voice: str
    """"A voice says this.", which stands before lines in a description."""
    forms: tuple[str, ...]
    """Those of `FORMS`, in the same order; `{0}` and `{1}` are what stands in the English form's places."""
    prices: str
    """Words in the order of `PRICES`."""
    days: str
    every: tuple[str, ...]
    """In the order of `THINGS`: what costs so much, each of them."""
    new: tuple[str, ...]
    """What is new, and has the colour `{1}`."""


LINES: dict[str, Lines] = {
    "spa_Latn": Lines(
        voice="Una voz dice esto.",
        forms=(
            "{0} ya está aquí.",
            "Gracias por elegir {0}.",
            "{0} ahora viene en {1}.",
            "Consigue {0} este {1}.",
            "Prueba {0} por solo {1} euros.",
            "Ahorra un {0} por ciento este {1}.",
            "Cada {0} cuesta {1} euros.",
            "{0} es de color {1}.",
            "Elige {0} o {1}.",
        ),
        prices="dos tres cuatro cinco seis siete ocho nueve diez doce veinte treinta cincuenta",
        days="lunes martes miércoles jueves viernes sábado domingo",
        every=("botella", "lata", "caja", "teléfono"),
        new=("La nueva botella", "La nueva lata", "La nueva caja", "El nuevo teléfono"),
    ),
    "fra_Latn": Lines(
        voice="Une voix dit ceci.",
        forms=(
            "{0} est là.",
            "Merci d'avoir choisi {0}.",
            "{0} existe maintenant en {1}.",
            "Procurez-vous {0} ce {1}.",
            "Essayez {0} pour seulement {1} euros.",
            "Économisez {0} pour cent ce {1}.",
            "Chaque {0} coûte {1} euros.",
            "{0} est de couleur {1}.",
            "Choisissez {0} ou {1}.",
        ),
        prices="deux trois quatre cinq six sept huit neuf dix douze vingt trente cinquante",
        days="lundi mardi mercredi jeudi vendredi samedi dimanche",
        every=("bouteille", "canette", "boîte", "téléphone"),
        new=("La nouvelle bouteille", "La nouvelle canette", "La nouvelle boîte", "Le nouveau téléphone"),
    ),
    "hin_Deva": Lines(
        voice="एक आवाज़ यह कहती है।",
        forms=(
            "{0} आ गया है।",
            "{0} चुनने के लिए धन्यवाद।",
            "{0} अब {1} रंग में उपलब्ध है।",
            "इस {1} को {0} लीजिए।",
            "{0} केवल {1} यूरो में आज़माइए।",
            "इस {1} को {0} प्रतिशत बचाइए।",
            "हर {0} की कीमत {1} यूरो है।",
            "{0} रंग {1} है।",
            "{0} या {1} रंग चुनिए।",
        ),
        prices="दो तीन चार पाँच छह सात आठ नौ दस बारह बीस तीस पचास",
        days="सोमवार मंगलवार बुधवार गुरुवार शुक्रवार शनिवार रविवार",
        every=("बोतल", "कैन", "डिब्बे", "फ़ोन"),
        new=("नई बोतल का", "नए कैन का", "नए डिब्बे का", "नए फ़ोन का"),
    ),
    "deu_Latn": Lines(
        voice="Eine Stimme sagt dies.",
        forms=(
            "{0} ist da.",
            "Danke, dass Sie {0} gewählt haben.",
            "{0} gibt es jetzt in {1}.",
            "Holen Sie sich {0} diesen {1}.",
            "Testen Sie {0} für nur {1} Euro.",
            "Sparen Sie {0} Prozent diesen {1}.",
            "{0} kostet {1} Euro.",
            "{0} gibt es in {1}.",
            "Wählen Sie {0} oder {1}.",
        ),
        prices="zwei drei vier fünf sechs sieben acht neun zehn zwölf zwanzig dreißig fünfzig",
        days="Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
        every=("Jede Flasche", "Jede Dose", "Jede Schachtel", "Jedes Telefon"),
        new=("Die neue Flasche", "Die neue Dose", "Die neue Schachtel", "Das neue Telefon"),
    ),
    "jpn_Jpan": Lines(
        voice="声はこう言います。",
        forms=(
            "{0}が登場しました。",
            "{0}をお選びいただきありがとうございます。",
            "{0}に{1}が加わりました。",
            "この{1}に{0}を手に入れましょう。",
            "{0}をわずか{1}ユーロでお試しください。",
            "この{1}は{0}パーセントお得です。",
            "{0}は一つ{1}ユーロです。",
            "新しい{0}は{1}です。",
            "{0}か{1}をお選びください。",
        ),
        prices="二 三 四 五 六 七 八 九 十 十二 二十 三十 五十",
        days="月曜日 火曜日 水曜日 木曜日 金曜日 土曜日 日曜日",
        every=("ボトル", "缶", "箱", "電話"),
        new=("ボトル", "缶", "箱", "電話"),
    ),
}
"""FLORES code -> how that language says the lines."""


def line_dictionary(language: str, colours: Mapping[str, str]) -> dict[str, str]:
    """Every line in English -> its translation; `colours` are those of the language (a FLORES code) by English name."""
    lines = LINES[language]
    words: dict[tuple[str, ...], Mapping[str, str]] = {
        BRANDS: dict(zip(BRANDS, BRANDS, strict=True)),
        tuple(COLOURS): colours,
        DAYS: dict(zip(DAYS, lines.days.split(), strict=True)),
        PRICES: dict(zip(PRICES, lines.prices.split(), strict=True)),
    }
    said = {VOICE: lines.voice}
    for (form, places), translated in zip(FORMS.items(), lines.forms, strict=True):
        things = lines.new if "new" in form else lines.every
        known = {**words, THINGS: dict(zip(THINGS, things, strict=True))}
        for chosen in itertools.product(*places):
            if len(set(chosen)) == len(chosen):
                there = [known[place][word] for place, word in zip(places, chosen, strict=True)]
                said[form.format(*chosen)] = translated.format(*there)
    return said
