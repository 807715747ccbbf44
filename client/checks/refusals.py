# ruff: noqa: RUF001  (letters of other scripts)
"""Refusals: "I'm sorry, but I can't help with identifying people", and what says that there is no picture."""

from __future__ import annotations

import re
from functools import cache

from client.checks.words import sentences, straight, unquoted, words

_LOOKED_AT = 1200
"""Characters: what comes later is no refusal but an answer."""
_CAPTION_WORDS = 20
"""So many words beside the refusal are an answer: "I can't say who she is, but the picture shows ..."."""
_MEDIA = (
    r"(?:images?|pictures?|photos?|photographs?|videos?|frames?|files?|attachments?|media|screenshots?|links?|urls?)"
)
_PERSON = (
    r"(?:real |specific |the |this |that |these |those |any |private |particular )*"
    r"(?:people|persons?|individuals?|celebrit(?:y|ies)|someone|anyone|somebody|who|faces?|him|her|them|identit(?:y"
    r"|ies)"
    r"|(?:man|woman|men|women|child|children)\b)"
)
_NOT = (
    r"(?:can(?:'t|not| not)|could(?:n't| not)|won't|will not|wouldn't|may not|must decline to|have to decline to"
    r"|decline to"
    r"|refuse to|do(?:n't| not) (?:feel comfortable|have the (?:ability|capability|capacity) to)"
    r"|(?:am|'m|was|are|'re) (?:un(?:able|willing)|not (?:able|allowed|permitted|comfortable|designed|programmed"
    r"|capable"
    r"|equipped|in a position|going|willing))(?: to| of)?)"
)
_HELP = (
    r"(?:help|assist|aid|comply|fulfil+|accommodate|support|proceed|do (?:that|this|so|it)\b|engage (?:in|with)"
    r"|participate|continue with|discuss (?:this|that)|comment on|speculate)"
)
_REFUSES = (
    # "I can't help with that": but not "I can't help but smile".
    rf"\b(?:i|we)(?: simply| just| also| really)? ?{_NOT}(?: be able)?(?: to| of)?(?: \w+ly)? {_HELP}(?!ing)(?!"
    rf" but\b| feeling| thinking)",
    # "I am unable to describe the people", "I can't process this request".
    rf"\b(?:i|we)(?: simply| just| also)? ?{_NOT}(?: to| of)?(?: \w+ly)? (?:describ|caption|discuss|process"
    rf"|complet|fulfil+|"
    rf"answer|perform|grant|handl)(?:e|ing)? (?:{_PERSON}\b|(?:this|that|your|such (?:a )?)(?: \w+)?"
    rf" ?(?:requests?|prompts?|tasks?)\b)",
    rf"\b(?:i|we)(?: simply| just| also)? ?{_NOT}(?: to| of)?(?: \w+ly)?(?: help(?:ing)? with)? "
    rf"(?:identify(?:ing)?|recogni[sz]e|recogni[sz]ing|name|naming|reveal(?:ing)?|tell you|say|determine|confirm"
    rf"|provide|"
    rf"giv(?:e|ing)|disclose) (?:you )?{_PERSON}\b(?! (?:is|are) (?:\w+ing|holding))",
    rf"\b(?:i|we)(?: simply| just| also)? ?{_NOT}(?: to| of)?(?: \w+ly)? (?:provid|giv|generat|creat|produc"
    rf"|offer|writ|mak)(?:e|ing)? "
    r"(?:you |with |a |an |any |the |that |this |such |detailed |more |further |specific |kind of |type of )*"
    r"(?:descriptions?|captions?|assistance|help|identifications?|analys[ei]s|content|responses?|answers? to"
    r" (?:that|this)"
    r"|information (?:about|on|regarding) (?:the |this |that |real |specific )*(?:people|persons?|individuals?"
    r"|identity)"
    r"|assumptions|personal information|requested)\b",
    rf"\b(?:i|we)(?: simply| just| also| still)? ?{_NOT}(?: to| of)?(?: \w+ly| currently)? "
    r"(?:process|view|see|access|open|display|load|analy[sz]|interpret|look at|examin|describ|read|retriev"
    r"|watch)(?:e|ing)?"
    rf"(?: or (?:\w+))?(?: \w+ly)? (?:the |this |that |your |any |an? |actual |external |attached |uploaded "
    rf"|these )*{_MEDIA}"
    r"(?! (?:of|with|on|that|in the|shown|where|showing)\b)",
    r"\bas an? (?:ai|artificial intelligence|(?:large |text[- ]based |multimodal )*(?:language|vision|text)"
    r" ?model"
    r"|text[- ](?:based|only) (?:ai|model|assistant)|virtual assistant|ai assistant)\b",
    r"\bi(?:'m| am) (?:just |only |merely |simply )?(?:an ai\b|a (?:large )?language model|a text[- ](?:based"
    r"|only))",
    r"\b(?:against|violat\w+|goes against|not (?:in line|aligned) with|contravene\w*) (?:my|our|the|openai'?s?"
    r"|its) "
    r"(?:\w+ ){0,3}(?:guidelines|polic(?:y|ies)|programming|principles|terms)",
    r"\b(?:this|that|your|the) (?:request|prompt|question) (?:violates|goes against|is (?:against|inappropriate"
    r"|not appropriate)"
    r"|cannot be (?:fulfilled|completed|processed)|is something i (?:can't|cannot|won't))",
    r"\b(?:isn't|is not|not) something (?:that )?i(?:'m| am)? (?:can|able to|will|comfortable|willing)\b",
    r"\bi (?:must|have to|need to|will have to) (?:respectfully |politely )?(?:decline|refuse)\b",
    r"^\W*(?:(?:i(?:'m| am) (?:\w+ )?|so |very )?sorry|(?:i |my )?apologi[sz]es?|apologies|regrettably"
    r"|unfortunately)\b"
    rf"[^.!?\n]{{0,60}}\b(?:i|we) ?{_NOT}(?: to| of)?\W*$",
    r"^\W*(?:i(?:'m| am) (?:\w+ )?sorry|sorry|(?:i |my )?apologi[sz]es?|apologies)\b[^.!?\n]{0,40}\b(?:but )?"
    rf"(?:that|this|it|i|we)(?:'s| is)? ?(?:{_NOT}|not something|isn't)",
    # No picture.
    rf"\b(?:i (?:do(?:n't| not)|did(?:n't| not)|can(?:'t|not)) (?:actually |currently )?(?:see|find|have|receive"
    rf"|get)(?: access to)?"
    rf"|there (?:is|was|are) no|there's no|without an?|no|it (?:looks|seems|appears) like (?:there is |there's"
    rf" )?(?:no|you "
    rf"(?:haven't|didn't|forgot to))(?: \w+){{0,3}}) (?:an |any |the |your |actual |visible )*{_MEDIA}"
    r"(?: (?:was|is|has been|were|are|to be))* ?(?:attached|uploaded|provided|given|included|shared|supplied"
    r"|visible here"
    r"|to (?:describe|caption|analy[sz]e|view|see)|in (?:our|your|this|the) (?:conversation|message|chat"
    r"|request))",
    rf"^\W*(?:could you |can you |would you |kindly )?(?:please )?(?:provide|upload|attach|share|re-?upload"
    rf"|resend|send)"
    rf"(?: me)?(?: with)?(?: an?| the| your| another| a new| it)? ?(?:\w+ )?{_MEDIA}\b",
    rf"^\W*(?:the |this |your )?{_MEDIA} (?:could not|couldn't|cannot|can't|failed to) (?:be )?(?:load|display"
    rf"|process|open|access)",
    rf"^\W*unable to (?:see|view|load|display|process|open|access)(?: the| this| any)? ?(?:{_MEDIA}\b|\W*$)",
    r"^\W*it (?:would be|is|would not be|isn't|is not|wouldn't be) (?:in)?appropriate (?:for me )?to"
    r" (?:describe|identify|speculate|comment|provide|share|help|name)",
    r"^\W*\[?(?:content (?:filtered|blocked|removed)|blocked by|request (?:blocked|refused|declined))",
)
_MAYBE = frozenset(
    """i i'm i'd i've i'll we we're sorry unable apologies apologise apologize please attached upload uploaded provided
    included shared request prompt question guidelines policy policies couldn't cannot can't failed blocked regrettably
    unfortunately image's filtered ai model assistant appropriate inappropriate""".split()  # noqa: SIM905
)
"""Words of which most captions have none, and each refusal one."""
_OFFERS = re.compile(
    r"\b(?:if you (?:have|need|would like|'d like|want|could|can|provide|describe)|let me know|feel free|is there"
    r" (?:anything|something)"
    r"|i(?:'d| would| can|'ll| will| am|'m)(?: be)? (?:\w+ ){0,3}(?:happy|glad|here|help|assist)|please (?:provide"
    r"|upload|let|try|"
    r"share|ask|note|describe|consult|feel)|instead, i|how (?:can|may) i|anything else)",
    re.IGNORECASE,
)
"""What stands around refusals."""
_OTHERS = re.compile(
    r"^\W*(?:"
    r"(?:lo siento|lamento|disculp\w+|perd[oó]n)\b.{0,40}\bno (?:puedo|es posible|me es|estoy)|no puedo (?:ayudar"
    r"|asistir|identificar"
    r"|proporcionar|ver la|cumplir|procesar)"
    r"|(?:je suis )?d[ée]sol[ée].{0,40}\bje ne |je ne (?:peux|suis) pas (?:vous aider|identifier|en mesure|fournir"
    r"|voir)"
    r"|(?:es )?tut mir (?:sehr )?leid.{0,60}\b(?:kann|darf|bin)|leider (?:kann|darf|bin) ich|ich kann (?:dabei|ihnen"
    r"|dir|das|diese\w*|"
    r"keine (?:personen|bilder)) .{0,40}nicht"
    r"|mi dispiace.{0,40}\bnon|non posso (?:aiutar|identificare|fornire|vedere)"
    r"|(?:desculp\w+|sinto muito|lamento).{0,40}\bn[ãa]o (?:posso|consigo)|n[ãa]o posso (?:ajudar|identificar"
    r"|fornecer)"
    r"|het spijt me.{0,40}\bkan|ik kan (?:je|u|dit|hier)\b.{0,30}\bniet"
    r"|(?:przykro mi|przepraszam).{0,30}\bnie|niestety,? nie mog[ęe]"
    r"|(?:üzgünüm|maalesef).{0,60}(?:am[ıi]yorum|em[ıi]yorum)|xin lỗi.{0,30}không|maaf.{0,30}tidak"
    r"|(?:извините|простите|к сожалению|прошу прощения).{0,30}\bне |я не могу (?:помочь|идентифицировать"
    r"|предоставить)"
    r"|(?:вибачте|на жаль).{0,30}\bне "
    r"|(?:很|非常)?(?:抱歉|对不起|對不起).{0,12}(?:不能|无法|無法|没有|沒有)|我(?:无法|無法|不能)(?:帮助|协助|提供|识别|辨识|識別|查看|满足|協助)"
    r"|(?:申し訳|すみません|ごめんなさい).{0,40}(?:できません|できかねます|ません)|(?:죄송|미안).{0,40}(?:없|않|못)"
    r"|(?:क्षमा|माफ़|माफ|मुझे खेद).{0,40}(?:नहीं|असमर्थ)|(?:عذر|آسف|أعتذر|معذرة).{0,40}(?:لا |لم |غير )|لا (?:أستطيع"
    r"|يمكنني) (?:المساعدة|تحديد|التعرف|تقديم)"
    r"|(?:beklager|unnskyld|undskyld|dessverre|desværre).{0,40}\bikke\b|(?:jag är ledsen|tyvärr|förlåt).{0,40}\binte\b"
    r"|(?:anteeksi|pahoittelen|valitettavasti).{0,40}\ben (?:voi|pysty)"
    r"|(?:omlouvám|bohužel|je mi líto|ospravedlňujem|ľutujem|žiaľ).{0,40}\bnem[oôů]"
    r"|(?:žao mi je|oprostite|nažalost|izvinite).{0,40}\bne mogu|(?:съжалявам|за съжаление).{0,40}\bне "
    r"|(?:îmi pare rău|ne pare rău|din păcate).{0,40}\bnu (?:pot|putem)|(?:ho sento|em sap greu).{0,40}\bno puc"
    r"|(?:sajnálom|sajnos|elnézést).{0,40}\bnem (?:tud|áll|segít)|(?:λυπάμαι|συγγνώμη|δυστυχώς).{0,40}δεν "
    r"|(?:ขออภัย|ขอโทษ).{0,40}ไม่|দুঃখিত.{0,40}(?:পারি না|পারছি না|পারব না)"
    r"|(?:אני )?(?:מצטער|סליחה|מתנצל).{0,40}(?:לא |איני|אינני)|(?:متأسف|متاسف|ببخشید).{0,40}نمی"
    r"|(?:paumanhin|pasensya).{0,40}\bhindi\b|samahani.{0,40}\bsiwezi"
    r")",
    re.IGNORECASE | re.DOTALL,
)
"""In other languages than English, at the beginning."""
_SHOWN = 60


def find_refusal(text: str) -> str | None:
    """The words in which an answer refuses to be one; None if it does not, or gives what was asked for all the same.

    That something cannot be seen in a picture is an answer: prompts ask to say so.
    """
    if _OTHERS.match(straight(text[:_LOOKED_AT])):
        return _short(text) if len(text) <= _LOOKED_AT // 2 else None
    if _MAYBE.isdisjoint(words(straight(text))):
        return None
    plain = straight(text[:_LOOKED_AT])
    start = unquoted(plain)
    said = sentences(start)
    first = next((it for it in said if _refuses(it)), None)
    if first is None:
        return None
    others = sum(len(words(it)) for it in said if not _refuses(it) and not _OFFERS.search(it))
    others += len(words(text[_LOOKED_AT:]))
    return _short(first) if others < _CAPTION_WORDS else None


def _refuses(sentence: str) -> bool:
    return any(pattern.search(sentence) for pattern in _refusing())


@cache
def _refusing() -> tuple[re.Pattern[str], ...]:
    """Compiled when there is something to look at: that takes a tenth of what a run takes to start."""
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in _REFUSES)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
