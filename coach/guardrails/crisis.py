"""Danger: the signs of it that need no model, and the fixed, vetted replies.

Everything here works with nothing loaded and nothing warm. The patterns find what is said outright, in
English and a few other languages; what is only hinted at is found by `coach.guardrails.signals`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from coach.errors import PromptError, SettingsError
from coach.guardrails.normalise import normalise
from coach.types import Danger, Help

__all__ = ["HelpLines", "about_somebody_else", "contradicts", "eases", "signs"]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    reach: str
    seen: Literal["official", "list"]


class _Country(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    emergency: str
    self_harm: tuple[_Line, ...]
    violence_to_user: tuple[_Line, ...]
    violence_by_user: tuple[_Line, ...]


class _Elsewhere(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    finder: str
    emergency: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    checked: object
    elsewhere: _Elsewhere
    countries: dict[str, _Country]


class HelpLines:
    """prompts/crisis/lines.yaml.

    Raises:
        PromptError: The file is missing or something in it is not as it must be.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError, ValidationError) as error:
            raise PromptError(f"{path} cannot be used: {error}.", hint="Restore it from the project.") from error

    @property
    def countries(self) -> dict[str, str]:
        """Names by code, such as "US"."""
        return {code: country.name for code, country in self._file.countries.items()}

    @property
    def checked(self) -> str:
        """The day on which the numbers were looked at, as 2026-11-23."""
        return str(self._file.checked)

    def code(self, country: str) -> str:
        """The code of a country given by its code or its name; "" for none or one that has no lines here.

        Raises:
            SettingsError: There is no such country here.
        """
        wanted = {"uk": "gb", "": "", "other": "", "elsewhere": ""}.get(country.strip().lower(), country.strip().lower())
        for code, name in self.countries.items():
            if wanted in (code.lower(), name.lower()):
                return code
        if not wanted:
            return ""
        raise SettingsError(
            f"There are no help lines for {country!r} here.",
            hint=f"Choose one of {', '.join(self.countries)}, or leave it empty for {self._file.elsewhere.finder}.",
        )

    def help(self, danger: Danger, country: str) -> Help:
        """The numbers for somebody in this danger in this country ("" for anywhere)."""
        there = self._file.countries.get(country)
        lines: tuple[_Line, ...] = ()
        if there and danger != "legal_order":
            lines = getattr(there, danger)
        return Help(
            danger=danger,
            country=there.name if there else "",
            emergency=there.emergency if there else self._file.elsewhere.emergency,
            lines=tuple((line.name, line.reach) for line in lines),
            finder=self._file.elsewhere.finder,
            checked=self.checked,
        )


# --- what is said outright ------------------------------------------------------------------------------------

_WANT = r"(?:want(?:ed|s)?|wanna|going|gonna|plan(?:ning|s)?|ready|about|trying|tried|decided|thinking (?:of|about)|thought of)"
_SELF_HARM = (
    rf"\b{_WANT}(?: to| on| about)? (?:just )?(?:die\b|kill(?:ing)? (?:my|him|her|them)sel(?:f|ves)"
    r"|end(?:ing)? (?:it all|my (?:own )?life|(?:his|her|their) (?:own )?life)|take my (?:own )?life|hurt(?:ing)? myself)",
    r"\bkill(?:ing)? myself\b|\bkms\b|\bunaliv(?:e|ing) myself|\bend(?:ing)? my (?:own )?life\b|\btak(?:e|ing) my own life\b",
    r"\bsuicid(?:e|al)\b|\bself[- ]?harm",
    r"\bcut(?:ting)? myself\b(?! some| a break| off)",
    r"\b(?:don'?t|dont|do not) (?:want|wanna) (?:to )?(?:live|be here|be alive|exist|wake up)\b(?! with(?:out)? (?:him|her|them)\b)",
    r"\b(?:better off|happier|easier) (?:if i (?:was|were) (?:dead|gone)|without me (?:here|alive|around))",
    r"\bno (?:reason|point) (?:to|in) (?:live|living|go(?:ing)? on)\b",
    r"\bwish i (?:was|were) (?:dead|never born)\b|\bwish i (?:wouldn'?t|didn'?t) wake up\b",
    r"\b(?:took|taken|take|swallow\w*) (?:all|a bunch of|too many|a lot of|the whole) .{0,20}(?:pills|tablets)\b",
    r"\bquiero (?:morir(?:me)?|matarme)\b|\bno quiero (?:seguir )?vivi(?:r|endo)\b|\bme quiero (?:morir|matar)\b|\bquitarme la vida\b",
    r"\bveux (?:mourir|me tuer|en finir)\b|\bplus envie de vivre\b|\bme suicider\b|\bje vais me tuer\b",
    r"\b(?:will|möchte|kann) nicht mehr leben\b|\bmich umbringen\b|\bwill sterben\b|\bbringe? mich um\b|\bselbstmord\b",
    r"\bquero morrer\b|\bme matar\b|\bnão quero mais viver\b|\bvoglio morire\b|\buccidermi\b|\bnon voglio più vivere\b",
    r"\bmarna chaht[ai]\b|\bmar jana chaht[ai]\b|\bjeena nah?i\b.{0,12}chaht|\bkhudkushi\b",
)
_VIOLENCE_BY = (
    r"\b(?:i'?m|im|i am|i will|i'?ll|ill|i want to|i wanna|gonna|going to|i could|i might|i swear i'?ll) (?:going to |gonna |seriously |really )?"
    r"(?:kill|stab|shoot|strangle|choke|beat up|smash|hit|punch|hurt) (?:him|her|them|that (?:guy|man|woman|bitch)|my (?:wife|husband|ex|girlfriend|boyfriend)|the kids?)\b",
    r"\bi (?:just |have )?(?:hit|punched|slapped|choked|strangled|pushed|beat|kicked|stabbed) (?:her|him|them|my (?:wife|husband|girlfriend|boyfriend|kid|son|daughter)) (?:again|tonight|today|last night|this morning|yesterday|just now|an hour ago)",
    r"\b(?:got|have|took|bought|loaded) (?:a|my|the) (?:gun|knife|bat)\b.{0,60}\b(?:him|her|them|house|place|door)\b",
    r"\bla voy a matar\b|\blo voy a matar\b|\bje vais (?:la|le) tuer\b|\bich bringe? (?:ihn|sie) um\b|\bvou matar (?:ela|ele)\b",
)
_VIOLENCE_TO = (
    r"\b(?:he|she|they|my (?:husband|wife|boyfriend|girlfriend|ex|partner|bf|gf)) (?:just |still |keeps |always |sometimes |often |again )*"
    r"(?:hits|hit|hitting|beats|beat|beating|punches|punched|chokes|choked|choking|strangled|strangles|slapped|slaps|kicked|kicks|raped|rapes|burned|burnt) me\b",
    r"\b(?:he|she|they) (?:said|says|told me|threatened|threatens|will|'ll|is going to|wants to)(?: (?:he|she|they)(?:'ll|'d| will| would))? ?(?:to )?kill me\b(?! for| if i (?:eat|forget|drop))",
    r"\b(?:he|she|they) (?:locks?|locked) me (?:in|inside|out)\b",
    r"\b(?:afraid|scared|terrified) (?:of what )?(?:he|she|they)(?:'ll| will| might| is going to|'s going to) (?:hurt|kill|hit|beat|do to) me\b",
    r"\b(?:me pega|me golpea|me va a matar)\b|\bil me (?:frappe|bat|tape)\b|\ber schlägt mich\b|\bsie schlägt mich\b|\bele me bate\b|\bmi picchia\b|\bmujhe maart[ai]\b",
)
_ORDER = (
    r"\b(?:restraining|protective|protection|no[- ]contact|non[- ]?molestation|intervention|domestic violence|stay[- ]away|harassment) order\b",
    r"\b(?:tro|dvo|avo|dvro|fvro|ivo|pfa|epo)\b",
    r"\b(?:bail|probation|parole) (?:conditions?|terms?)\b|\b(?:judge|court|police|cops?|officer|magistrate)\b.{0,40}\b(?:stay away|not to contact|no contact|can'?t contact|keep away|\d+ (?:feet|ft|yards|metres|meters))",
    r"\border(?:en)? de alejamiento\b|\bkontaktverbot\b|\bordonnance de protection\b|\bmedida protetiva\b",
)
# What looks like these and is not: idiom, history, somebody else's story, an order that has ended.
_NOT = {
    "self_harm": r"\b(?:years? ago|when i was (?:a kid|little|young|\d+)|back in (?:19|20)\d\d|embarrass\w*|of shame|laughing|lol|haha|song|film|movie|novel|book|mission|squad|used to|passed away|killed (?:him|her)self|died by suicide|lost .{0,20} to suicide)\b",
    "violence_by_user": r"\b(?:years? ago|metaphor|lol|haha|joking|game|used to|course|programme|program)\b",
    "violence_to_user": r"\b(?:years? ago|when i was (?:a kid|little|young)|used to|my ex before|lol|haha|film|movie|book|deserved .{0,10}jok)",
    "legal_order": r"\b(?:expired|lifted|dropped|dismissed|ended|years? ago|no longer|used to have|against (?:him|her|them|my (?:ex|husband|wife|dad|father|mother))|what is an?|do i need|should i (?:get|file))\b",
}
_SIGNS: dict[Danger, re.Pattern[str]] = {
    "self_harm": re.compile("|".join(_SELF_HARM), re.IGNORECASE),
    "violence_by_user": re.compile("|".join(_VIOLENCE_BY), re.IGNORECASE),
    "violence_to_user": re.compile("|".join(_VIOLENCE_TO), re.IGNORECASE),
    "legal_order": re.compile("|".join(_ORDER), re.IGNORECASE),
}


def signs(text: str) -> tuple[Danger, bool] | None:
    """The danger that a text speaks of outright, and whether nothing in it speaks against taking it so."""
    plain = normalise(text).text
    for danger, pattern in _SIGNS.items():
        if pattern.search(plain):
            return danger, not re.search(_NOT[danger], plain, re.IGNORECASE)
    return None


_OTHER = re.compile(
    r"\b(?:he|she|they|my (?:ex|wife|husband|son|daughter|kid|brother|sister|friend|mate|mum|mom|dad|boyfriend|girlfriend|partner|bf|gf))\b"
    r"(?:(?!\bi\b|\bi'm\b|\bim\b|\bme\b|\bmyself\b).){0,80}"
    r"\b(?:himself|herself|themsel\w+|(?:wants?|going|gonna|ready|threatening) to die|suicid\w+|(?:his|her|their) (?:own )?life"
    r"|cut(?:ting|s)?|not (?:want|be here)|pills|(?:doesn'?t|does not|didn'?t) want to (?:live|be here|wake)|goodbye|end it)\b",
    re.IGNORECASE,
)
_SELF = re.compile(
    r"\b(?:kill(?:ing)? myself|hurt(?:ing)? myself|my (?:own )?life|i (?:want|wanna|wish)|i(?:'m| am|m) (?:done|tired|going|gonna)"
    r"|i (?:don'?t|dont|can'?t|cant|won'?t|wont)|without me|if i (?:was|were) (?:gone|dead))\b",
    re.IGNORECASE,
)


def about_somebody_else(text: str) -> bool:
    """Whether the life in danger is rather somebody else's than the writer's."""
    plain = normalise(text).text
    return bool(_OTHER.search(plain)) and not _SELF.search(plain)


_WRONG = re.compile(
    r"\b(?:misunderst\w+|misread|didn'?t mean (?:it )?(?:that|like|literally)|not what i mean\w*|i(?:'m| am|m) not (?:suicidal|going to (?:hurt|kill|do)|in danger|gonna)"
    r"|you got (?:it|me|that) wrong|wrong end|figure of speech|just an? (?:expression|saying|figure)|no no i|don'?t worry,? (?:i|it)|i(?:'m| am|m) (?:fine|not at risk)|there(?:'s| is) no order|i(?:'m| am) not (?:violent|dangerous))",
    re.IGNORECASE,
)
_SAFER = re.compile(
    r"\b(?:i(?:'m| am|m) (?:safe|ok(?:ay)?|alright|all right|better|calmer|with (?:my|a) \w+|home|at my)|i(?:'ve| have)? (?:called|rang|phoned|spoke|spoken|talked|told (?:my|a))"
    r"|(?:he|she|they)(?:'s| is|'re| are) (?:safe|ok(?:ay)?|in (?:the )?hospital|with)|(?:friend|sister|brother|mum|mom|dad|mate) (?:is|came|comes|'s) )",
    re.IGNORECASE,
)


def contradicts(text: str) -> bool:
    """Whether a person says that they were misunderstood."""
    return bool(_WRONG.search(normalise(text).text))


def eases(text: str) -> bool:
    """Whether a person says that they are safe now, or that somebody knows."""
    return bool(_SAFER.search(normalise(text).text))

