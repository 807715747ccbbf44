"""The drawn world's sentences in other languages: what a right translation says, word for word.

Every English sentence of `scenes`, `films` and `lines` has one translation per language, made from templates.
Colours stand as nouns ("du rouge", "लाल रंग"), so that nothing has to agree with them. `translate_text` joins
sentences as the service must: what stands between them is kept as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from scripts.demo.world import films, lines, scenes
from scripts.demo.world.line_translations import line_dictionary

SOURCE = "eng_Latn"


@dataclass(frozen=True)
class Phrases:
    """How one language says it: `{c}` is a colour or a count, `{s}` a scene of `{l}` left and `{r}` right."""

    colours: dict[str, str]
    counts: tuple[str, str, str, str]
    """"one scene" to "four scenes", as a tag."""
    everywhere: str
    halves: str
    leads: dict[str, str]
    """Start of the English sentence, for instance "It opens with" -> template with `{s}`."""
    advertisement_has: str
    it_has: str
    yes: str
    no: str
    eye: str
    fixed: dict[str, str]
    both: str
    """Two colours in a row, `{l}` and `{r}`."""
    in_order: dict[str, str]
    """"First", "Then" and "At last" -> template with `{s}`, one colour or two."""
    stop: str = "."
    scene_colours: dict[str, str] | None = None
    """The colours within a scene, where they differ from the bare word (French "du rouge")."""
    absent_colours: dict[str, str] | None = None
    """The colours after "there is no", where they differ (French "pas d'orange")."""
    one: tuple[tuple[str, str], ...] = ()
    """Replacements in a count sentence about one scene (a verb in the singular)."""


def _named(words: str) -> dict[str, str]:
    return dict(zip(scenes.COLOURS, words.split(), strict=True))


_FRENCH = _named("rouge orange jaune rose vert bleu violet noir blanc")

LANGUAGES: dict[str, Phrases] = {
    "spa_Latn": Phrases(
        colours=_named("rojo naranja amarillo rosa verde azul morado negro blanco"),
        counts=("una escena", "dos escenas", "tres escenas", "cuatro escenas"),
        everywhere="{c} por todas partes",
        halves="{l} a la izquierda y {r} a la derecha",
        leads={
            "It shows": "Muestra {s}.",
            "It opens with": "Comienza con {s}.",
            "Then comes": "Luego se ve {s}.",
            "Next comes": "A continuación se ve {s}.",
            "It ends with": "Termina con {s}.",
            "The top shows": "Arriba se ve {s}.",
            "The bottom shows": "Abajo se ve {s}.",
            "The end card shows": "La tarjeta final muestra {s}.",
        },
        advertisement_has="Este anuncio tiene {c}.",
        it_has="Tiene {c}.",
        yes="Sí, hay {c}.",
        no="No, no hay {c}.",
        eye="La mirada cae primero en {c}.",
        fixed={
            "Positive.": "Positivo.",
            "Negative.": "Negativo.",
            "Neutral.": "Neutro.",
            "The ending is warm.": "El final es cálido.",
            "The ending is cool.": "El final es frío.",
            "The ending is neither warm nor cool.": "El final no es ni cálido ni frío.",
            "The picture is warm.": "La imagen es cálida.",
            "The picture is cool.": "La imagen es fría.",
            "The picture is neither warm nor cool.": "La imagen no es ni cálida ni fría.",
            "The opening is warm.": "El comienzo es cálido.",
            "The opening is cool.": "El comienzo es frío.",
            "The opening is neither warm nor cool.": "El comienzo no es ni cálido ni frío.",
            "The palette is warm.": "La paleta es cálida.",
            "The palette is cool.": "La paleta es fría.",
            "The palette is neither warm nor cool.": "La paleta no es ni cálida ni fría.",
            "The pace is slow.": "El ritmo es lento.",
            "The pace is steady.": "El ritmo es constante.",
            "The pace is fast.": "El ritmo es rápido.",
            "The layout has one part.": "La composición tiene una parte.",
            "The layout has two parts.": "La composición tiene dos partes.",
            "This advertisement is a picture.": "Este anuncio es una imagen.",
            "picture": "imagen",
        },
        both="{l} y {r}",
        in_order={"First": "Primero {s}.", "Then": "Luego {s}.", "At last": "Por fin {s}."},
    ),
    "fra_Latn": Phrases(
        colours=_FRENCH,
        counts=("une scène", "deux scènes", "trois scènes", "quatre scènes"),
        everywhere="{c} partout",
        halves="{l} à gauche et {r} à droite",
        leads={
            "It shows": "Elle montre {s}.",
            "It opens with": "Elle s'ouvre sur {s}.",
            "Then comes": "Puis vient {s}.",
            "Next comes": "Ensuite vient {s}.",
            "It ends with": "Elle se termine par {s}.",
            "The top shows": "En haut, on voit {s}.",
            "The bottom shows": "En bas, on voit {s}.",
            "The end card shows": "Le carton final montre {s}.",
        },
        advertisement_has="Cette publicité comporte {c}.",
        it_has="Elle comporte {c}.",
        yes="Oui, il y a {c}.",
        no="Non, il n'y a pas {c}.",
        eye="L'œil voit d'abord {c}.",
        fixed={
            "Positive.": "Positif.",
            "Negative.": "Négatif.",
            "Neutral.": "Neutre.",
            "The ending is warm.": "La fin est chaude.",
            "The ending is cool.": "La fin est froide.",
            "The ending is neither warm nor cool.": "La fin n'est ni chaude ni froide.",
            "The picture is warm.": "L'image est chaude.",
            "The picture is cool.": "L'image est froide.",
            "The picture is neither warm nor cool.": "L'image n'est ni chaude ni froide.",
            "The opening is warm.": "L'ouverture est chaude.",
            "The opening is cool.": "L'ouverture est froide.",
            "The opening is neither warm nor cool.": "L'ouverture n'est ni chaude ni froide.",
            "The palette is warm.": "La palette est chaude.",
            "The palette is cool.": "La palette est froide.",
            "The palette is neither warm nor cool.": "La palette n'est ni chaude ni froide.",
            "The pace is slow.": "Le rythme est lent.",
            "The pace is steady.": "Le rythme est régulier.",
            "The pace is fast.": "Le rythme est rapide.",
            "The layout has one part.": "La mise en page comporte une partie.",
            "The layout has two parts.": "La mise en page comporte deux parties.",
            "This advertisement is a picture.": "Cette publicité est une image.",
            "picture": "image",
        },
        both="{l} et {r}",
        in_order={"First": "D'abord {s}.", "Then": "Puis {s}.", "At last": "Enfin {s}."},
        scene_colours={en: f"de l'{fr}" if fr == "orange" else f"du {fr}" for en, fr in _FRENCH.items()},
        absent_colours={en: f"d'{fr}" if fr == "orange" else f"de {fr}" for en, fr in _FRENCH.items()},
    ),
    "hin_Deva": Phrases(
        colours=_named("लाल नारंगी पीला गुलाबी हरा नीला बैंगनी काला सफ़ेद"),
        counts=("एक दृश्य", "दो दृश्य", "तीन दृश्य", "चार दृश्य"),
        everywhere="हर जगह {c} रंग",
        halves="बाईं ओर {l} और दाईं ओर {r} रंग",
        leads={
            "It shows": "इसमें {s} दिखता है।",
            "It opens with": "इसकी शुरुआत में {s} है।",
            "Then comes": "फिर {s} आता है।",
            "Next comes": "इसके बाद {s} आता है।",
            "It ends with": "इसके अंत में {s} है।",
            "The top shows": "ऊपर {s} दिखता है।",
            "The bottom shows": "नीचे {s} दिखता है।",
            "The end card shows": "अंतिम कार्ड में {s} दिखता है।",
        },
        advertisement_has="इस विज्ञापन में {c} हैं।",
        it_has="इसमें {c} हैं।",
        yes="हाँ, इसमें {c} रंग है।",
        no="नहीं, इसमें {c} रंग नहीं है।",
        eye="नज़र सबसे पहले {c} रंग पर जाती है।",
        fixed={
            "Positive.": "सकारात्मक।",
            "Negative.": "नकारात्मक।",
            "Neutral.": "तटस्थ।",
            "The ending is warm.": "अंत गर्म है।",
            "The ending is cool.": "अंत ठंडा है।",
            "The ending is neither warm nor cool.": "अंत न गर्म है, न ठंडा।",
            "The picture is warm.": "चित्र गर्म है।",
            "The picture is cool.": "चित्र ठंडा है।",
            "The picture is neither warm nor cool.": "चित्र न गर्म है, न ठंडा।",
            "The opening is warm.": "शुरुआत गर्म है।",
            "The opening is cool.": "शुरुआत ठंडी है।",
            "The opening is neither warm nor cool.": "शुरुआत न गर्म है, न ठंडी।",
            "The palette is warm.": "रंग-योजना गर्म है।",
            "The palette is cool.": "रंग-योजना ठंडी है।",
            "The palette is neither warm nor cool.": "रंग-योजना न गर्म है, न ठंडी।",
            "The pace is slow.": "गति धीमी है।",
            "The pace is steady.": "गति स्थिर है।",
            "The pace is fast.": "गति तेज़ है।",
            "The layout has one part.": "लेआउट में एक भाग है।",
            "The layout has two parts.": "लेआउट में दो भाग हैं।",
            "This advertisement is a picture.": "यह विज्ञापन एक चित्र है।",
            "picture": "चित्र",
        },
        both="{l} और {r}",
        in_order={"First": "पहले {s}।", "Then": "फिर {s}।", "At last": "अंत में {s}।"},
        stop="।",
        one=(("हैं।", "है।"),),
    ),
    "deu_Latn": Phrases(
        colours=_named("Rot Orange Gelb Rosa Grün Blau Lila Schwarz Weiß"),
        counts=("eine Szene", "zwei Szenen", "drei Szenen", "vier Szenen"),
        everywhere="überall {c}",
        halves="links {l} und rechts {r}",
        leads={
            "It shows": "Sie zeigt {s}.",
            "It opens with": "Zu Beginn zeigt sie {s}.",
            "Then comes": "Dann kommt {s}.",
            "Next comes": "Danach kommt {s}.",
            "It ends with": "Am Ende zeigt sie {s}.",
            "The top shows": "Oben sieht man {s}.",
            "The bottom shows": "Unten sieht man {s}.",
            "The end card shows": "Das Schlussbild zeigt {s}.",
        },
        advertisement_has="Diese Werbung hat {c}.",
        it_has="Sie hat {c}.",
        yes="Ja, es gibt {c}.",
        no="Nein, es gibt kein {c}.",
        eye="Der Blick fällt zuerst auf {c}.",
        fixed={
            "Positive.": "Positiv.",
            "Negative.": "Negativ.",
            "Neutral.": "Neutral.",
            "The ending is warm.": "Das Ende ist warm.",
            "The ending is cool.": "Das Ende ist kühl.",
            "The ending is neither warm nor cool.": "Das Ende ist weder warm noch kühl.",
            "The picture is warm.": "Das Bild ist warm.",
            "The picture is cool.": "Das Bild ist kühl.",
            "The picture is neither warm nor cool.": "Das Bild ist weder warm noch kühl.",
            "The opening is warm.": "Der Anfang ist warm.",
            "The opening is cool.": "Der Anfang ist kühl.",
            "The opening is neither warm nor cool.": "Der Anfang ist weder warm noch kühl.",
            "The palette is warm.": "Die Farbpalette ist warm.",
            "The palette is cool.": "Die Farbpalette ist kühl.",
            "The palette is neither warm nor cool.": "Die Farbpalette ist weder warm noch kühl.",
            "The pace is slow.": "Das Tempo ist langsam.",
            "The pace is steady.": "Das Tempo ist gleichmäßig.",
            "The pace is fast.": "Das Tempo ist schnell.",
            "The layout has one part.": "Das Layout hat einen Teil.",
            "The layout has two parts.": "Das Layout hat zwei Teile.",
            "This advertisement is a picture.": "Diese Werbung ist ein Bild.",
            "picture": "Bild",
        },
        both="{l} und {r}",
        in_order={"First": "Zuerst {s}.", "Then": "Dann {s}.", "At last": "Zuletzt {s}."},
    ),
    "jpn_Jpan": Phrases(
        colours=_named("赤 オレンジ 黄色 ピンク 緑 青 紫 黒 白"),
        counts=("一つの場面", "二つの場面", "三つの場面", "四つの場面"),
        everywhere="全体が{c}",
        halves="左が{l}、右が{r}",
        leads={
            "It shows": "画面は{s}です。",
            "It opens with": "最初は{s}です。",
            "Then comes": "次に、{s}になります。",
            "Next comes": "続いて、{s}になります。",
            "It ends with": "最後は{s}です。",
            "The top shows": "上は{s}です。",
            "The bottom shows": "下は{s}です。",
            "The end card shows": "エンドカードは{s}です。",
        },
        advertisement_has="この広告には{c}があります。",
        it_has="{c}があります。",
        yes="はい、{c}があります。",
        no="いいえ、{c}はありません。",
        eye="視線はまず{c}に向かいます。",
        fixed={
            "Positive.": "肯定的。",
            "Negative.": "否定的。",
            "Neutral.": "中立的。",
            "The ending is warm.": "終わりは温かい雰囲気です。",
            "The ending is cool.": "終わりは冷たい雰囲気です。",
            "The ending is neither warm nor cool.": "終わりは温かくも冷たくもない雰囲気です。",
            "The picture is warm.": "画像は温かい雰囲気です。",
            "The picture is cool.": "画像は冷たい雰囲気です。",
            "The picture is neither warm nor cool.": "画像は温かくも冷たくもない雰囲気です。",
            "The opening is warm.": "始まりは温かい雰囲気です。",
            "The opening is cool.": "始まりは冷たい雰囲気です。",
            "The opening is neither warm nor cool.": "始まりは温かくも冷たくもない雰囲気です。",
            "The palette is warm.": "配色は温かい雰囲気です。",
            "The palette is cool.": "配色は冷たい雰囲気です。",
            "The palette is neither warm nor cool.": "配色は温かくも冷たくもない雰囲気です。",
            "The pace is slow.": "テンポはゆっくりです。",
            "The pace is steady.": "テンポは安定しています。",
            "The pace is fast.": "テンポは速いです。",
            "The layout has one part.": "構成は一つの部分です。",
            "The layout has two parts.": "構成は二つの部分です。",
            "This advertisement is a picture.": "この広告は画像です。",
            "picture": "画像",
        },
        both="{l}と{r}",
        in_order={"First": "最初は{s}。", "Then": "次に{s}。", "At last": "最後に{s}。"},
        stop="。",
    ),
}
"""FLORES code -> how that language says the world."""


def all_sentences() -> list[str]:
    """Every English sentence, title and tag of the world: what the translation model must know."""
    return [*scenes.all_sentences(), *films.all_sentences(), *lines.all_sentences()]


@cache
def dictionary(lang: str) -> dict[str, str]:
    """Every English sentence and tag of the world -> its translation into `lang` (a FLORES code)."""
    p = LANGUAGES[lang]
    in_scene = p.scene_colours or p.colours
    absent = p.absent_colours or p.colours
    said = dict(p.colours) | p.fixed | line_dictionary(lang, p.colours)
    for number, count in enumerate(p.counts, start=1):
        english = f"{scenes.NUMBERS[number]} scene{'s' if number > 1 else ''}"
        said[english] = count
        for lead, template in (("This advertisement has", p.advertisement_has), ("It has", p.it_has)):
            sentence = template.format(c=count)
            for plural, singular in p.one if number == 1 else ():
                sentence = sentence.replace(plural, singular)
            said[f"{lead} {english}."] = sentence
    for left in scenes.COLOURS:
        for right in scenes.COLOURS:
            halves = p.halves.format(l=in_scene[left], r=in_scene[right])
            scene = p.everywhere.format(c=in_scene[left]) if left == right else halves
            for lead, template in p.leads.items():
                said[f"{lead} {scenes.Scene(left, right)}."] = template.format(s=scene)
            both = p.colours[left] if left == right else p.both.format(l=p.colours[left], r=p.colours[right])
            shown = scenes.Scene(left, right)
            said[films.title(shown)] = both[0].upper() + both[1:]
            said[f"{films.title(shown)}."] = both[0].upper() + both[1:] + p.stop
            for lead, template in p.in_order.items():
                said[f"{lead} {films.name(shown)}."] = template.format(s=both)
    for colour in scenes.COLOURS:
        said[f"Yes, there is {colour}."] = p.yes.format(c=in_scene[colour])
        said[f"No, there is no {colour}."] = p.no.format(c=absent[colour])
        said[f"The eye falls first on {colour}."] = p.eye.format(c=in_scene[colour])
    return said


def translate(sentence: str, lang: str) -> str:
    """The translation of one English sentence or tag of the world.

    Raises:
        KeyError: the world does not say that sentence, or does not know the language.
    """
    return dictionary(lang)[sentence]


def translate_text(text: str, lang: str) -> str:
    """A whole English text of the world, sentence by sentence; what is between the sentences is kept.

    Raises:
        KeyError: the text holds a sentence that the world does not say, or the language is unknown.
    """
    # A sentence of the world has one full stop, at its end; a tag has none.
    return re.sub(r"\S[^.\n]*\.?", lambda match: translate(match.group(), lang), text)
