from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from coach import Coach, Contact
from coach.coaching.draft import own_lines, sentence_spans
from coach.errors import InputError
from tests.conftest import SETTINGS, answer

WORDS = yaml.safe_load((SETTINGS.prompts / "review.yaml").read_text(encoding="utf-8"))
GOOD = (
    "I lied to you about the loan for a year. It was my choice and you did nothing to cause it. "
    "You found out from the bank, alone, and I am sorry. You don't have to answer."
)
BAD = (
    "Hey Sam. I lied to you about the loan for a year. If you hadn't been so cold to me I would never have done it. "
    "Call me tonight or we are done for good."
)


def reason(name: str) -> str:
    return str(WORDS["reasons"][name]["reason"])


def test_a_good_apology_is_ready_and_gets_no_rewrite(guide_only: Coach) -> None:
    review = guide_only.review(GOOD)
    assert review.verdict.action == "ready"
    assert review.rewrite == ""
    states = {criterion.id: criterion.state for criterion in review.accountability}
    assert len(states) == 8
    assert states["harm"] == states["own"] == states["free"] == states["asks_nothing"] == states["short"] == "met"
    harm = next(criterion for criterion in review.accountability if criterion.id == "harm")
    assert "loan" in harm.quote
    assert harm.quote in GOOD


def test_a_version_taken_over_with_its_gaps_waits_for_them(guide_only: Coach) -> None:
    for draft in (
        "I'm sorry for everything.",
        "Sam, I read your diary. I'm sorry. I swear I will never do that again.",
    ):
        taken = guide_only.review(draft).rewrite
        assert "[" in taken
        again = guide_only.review(taken)
        assert again.verdict.action == "revise"
        assert again.reason == reason("gaps")
        assert again.rewrite == ""
        assert not [criterion for criterion in again.accountability if criterion.quote.startswith("[")]
    filled = "Sam, I read your diary. It was my choice. I'm sorry."
    assert guide_only.review(filled).verdict.action == "ready"


@pytest.mark.parametrize(
    ("draft", "told"),
    [
        ("the police told me not to write. im sorry i scared you, delete this", Contact.NO_CONTACT_ORDER),
        ("you blocked me so im writing from work email. I'm sorry I called you lazy", Contact.BLOCKED),
        ("got this number off your sister since you changed yours. im sorry i lied", Contact.BLOCKED),
        ("I know you asked me not to contact you again. I lied and I'm sorry.", Contact.ASKED_FOR_SPACE),
        ("You told me on sunday that I must not write you anymore. I am sorry I told Eva.", Contact.ASKED_FOR_SPACE),
        ('You wrote "please stop contacting me". I took your idea and I am sorry.', Contact.ASKED_FOR_SPACE),
        ("ok so uve blocked me on insta so im trying u on here. sorry i stood u up", Contact.BLOCKED),
        (  # here and below, no phrase says it
            "hey its me, messages from my number dont get to u any more so this is my mates phone. sorry i called u "
            "a liar",
            Contact.ASKED_FOR_SPACE,
        ),
        (
            "You took my name off your door and my calls don't get through, so I write from my neighbour's. I lied to "
            "you.",
            Contact.ASKED_FOR_SPACE,
        ),
    ],
)
def test_a_closed_door_of_which_the_draft_speaks_is_closed(guide_only: Coach, draft: str, told: Contact) -> None:
    review = guide_only.review(draft)
    assert (review.verdict.action, review.contact) == ("hold", told)
    assert WORDS["notes"]["told"] in review.notes
    assert review.rewrite == ""


@pytest.mark.parametrize(
    ("draft", "contact"),
    [
        ("I know you asked for space and I kept calling. That was wrong. I'm sorry.", Contact.TALKING),
        ("The judge gave us alternate weekends, so I pick Mia up on Friday at five.", Contact.CO_PARENTING),
        ("I took you to court over a sofa. It was spite, and I'm sorry.", Contact.TALKING),
        ("You told me not to call and I still rang you forty times. I'm sorry.", Contact.TALKING),
    ],
)
def test_an_open_door_stays_open(guide_only: Coach, draft: str, contact: Contact) -> None:
    assert guide_only.review(draft, contact).contact is contact


@pytest.mark.parametrize("name", ["blocked", "no_contact_order", "No contact order", "asked-for-space"])
def test_how_things_stand_counts_by_its_name_too(guide_only: Coach, name: str) -> None:
    assert guide_only.review(GOOD, name).verdict.action == "hold"


def test_an_unknown_contact_is_refused_with_the_known_ones(guide_only: Coach) -> None:
    with pytest.raises(InputError, match="somewhere") as raised:
        guide_only.review(GOOD, "somewhere")
    assert "asked_for_space" in raised.value.hint


def test_who_hurt_the_others_body_sees_where_to_find_help(guide_only: Coach) -> None:
    review = guide_only.review("I'm sorry I pushed you against the wall on Sunday. I was wrong.")
    assert review.help
    assert review.help.danger == "violence_by_user"
    assert WORDS["notes"]["violence_by_user"] in review.notes


@pytest.mark.parametrize(
    "draft",
    [
        "Im outside your work now and im not leaving til you come down and talk to me. sorry",
        "my sister thinks i should wait. your new bf better sleep with one eye open. but to you, im sorry",
    ],
)
def test_what_frightens_is_held_whatever_else_is_found_in_it(guide_only: Coach, draft: str) -> None:
    assert guide_only.review(draft).reason == reason("threat")


@pytest.mark.parametrize(
    "draft",
    [
        "Yes saturday at 15h is good for me. I bring the cake and four chairs from my work.",
        "Dear Aunt Joan, thank you for the parcel. I hope the hip is behaving. We are all well here.",
    ],
)
def test_a_friendly_message_frightens_nobody(guide_only: Coach, draft: str) -> None:
    review = guide_only.review(draft)
    assert review.verdict.action != "hold"
    assert review.help is None


@pytest.mark.parametrize(
    "draft",
    [
        "i guess mistakes were made and feelings got hurt last weekend and thats sad. hopefully we can learn from it",
        "What was said about your son at my party should not have been said. I regret that it happened in my house.",
    ],
)
def test_a_deed_that_nobody_did_is_vague(guide_only: Coach, draft: str) -> None:
    assert guide_only.review(draft).reason == reason("vague")


@pytest.mark.parametrize(("contact", "expected"), [(Contact.CO_PARENTING, "mixed"), (Contact.ASKED_FOR_SPACE, "space")])
def test_longing_has_no_place_in_what_has_to_be_settled(guide_only: Coach, contact: Contact, expected: str) -> None:
    review = guide_only.review("Sam's antibiotics are in the fridge door, 5ml at 8. I miss us, by the way.", contact)
    assert review.reason == reason(expected)


@pytest.mark.parametrize(
    ("draft", "expected"),
    [
        ("Kit bag is in the hall, practice at 5.30. The house is so quiet since you left.", "mixed"),
        ("Ten minutes late for pickup, sorry. Tram is stuck.", "practical"),
        ("I told Leo that you forgot his match. It was me, I've told him so, and I'm sorry.", "practical"),
    ],
)
def test_parents_may_say_sorry_for_what_is_about_the_children(guide_only: Coach, draft: str, expected: str) -> None:
    assert guide_only.review(draft, Contact.CO_PARENTING).reason == reason(expected)


def test_what_is_mixed_in_is_quoted_and_left_out_of_the_rewrite(guide_only: Coach) -> None:
    first, second = "Her swimming bag is packed, back at 5.30.", "I still think of the summer we met."
    review = guide_only.review(f"{first} {second}", Contact.CO_PARENTING)
    assert any("summer" in note and "swimming" not in note for note in review.notes)
    assert review.rewrite == first


def test_words_that_would_hurt_own_nothing(guide_only: Coach) -> None:
    review = guide_only.review("I took money from your account. I'm sorry. You made me do it with your nagging.")
    assert "You made me do it with your nagging" in " ".join(finding.quote for finding in review.findings)
    assert not [criterion for criterion in review.accountability if "nagging" in criterion.quote]


@pytest.mark.parametrize(
    "draft", ["I took your parents’ money and hid it.", "I lied – for two years – & hid it for £40 more."]
)
def test_a_sentence_ends_at_its_full_stop_and_at_no_other_sign(draft: str) -> None:
    assert sentence_spans(draft) == [(0, len(draft))]
    assert len(sentence_spans(f"so sorry 😢 {draft}")) == 2


def test_what_would_hurt_is_marked_explained_and_left_out_of_the_rewrite(guide_only: Coach) -> None:
    review = guide_only.review(BAD)
    assert review.verdict.action == "revise"
    assert {"blame_shift", "ultimatum"} <= {finding.tactic for finding in review.findings}
    for finding in review.findings:
        assert BAD[finding.start : finding.end] == finding.quote
    assert {passage.section for passage in review.passages} >= {"tactics-words", "tactics-pressure"}
    assert review.rewrite_source == "draft"
    assert "I lied to you about the loan" in review.rewrite
    assert "cold" not in review.rewrite
    assert "done for good" not in review.rewrite
    assert guide_only.review(review.rewrite).reason == reason("gaps")  # only the writer can say whose choice it was
    filled = re.sub(r"\[.+?\]", "It was my choice.", review.rewrite)
    assert guide_only.review(filled).verdict.action == "ready"


@pytest.mark.parametrize(
    ("contact", "action", "word"),
    [
        (Contact.BLOCKED, "hold", "blocked"),
        (Contact.NO_CONTACT_ORDER, "hold", "lawyer"),
        (Contact.ASKED_FOR_SPACE, "hold", "space"),
        (Contact.CO_PARENTING, "revise", "children"),
    ],
)
def test_how_things_stand_decides_first(guide_only: Coach, contact: Contact, action: str, word: str) -> None:
    review = guide_only.review(GOOD, contact)
    assert review.verdict.action == action
    assert word in f"{review.reason} {review.next_step}"


@pytest.mark.parametrize("contact", [Contact.ASKED_FOR_SPACE, Contact.CO_PARENTING])
def test_what_has_to_be_settled_may_go(guide_only: Coach, contact: Contact) -> None:
    review = guide_only.review("Maya has a fever, I'm picking her up from school at 3.", contact)
    assert review.verdict.action == "ready"
    assert review.accountability == ()


def test_a_threat_to_oneself_is_held_and_brings_help(guide_only: Coach) -> None:
    review = guide_only.review("if you dont come back tonight i will kill myself and it will be because of you")
    assert review.verdict.action == "hold"
    assert review.help is not None
    assert review.help.danger == "self_harm"


@pytest.mark.parametrize("text", ["", "   ", "sorry", "🙂🙂", "word " * 20_000])
def test_what_is_no_message_gets_one_sentence_and_a_hint(guide_only: Coach, text: str) -> None:
    with pytest.raises(InputError) as caught:
        guide_only.review(text)
    assert caught.value.hint


def test_of_a_conversation_the_lines_marked_as_mine_are_taken(guide_only: Coach) -> None:
    log = "Me: I lied to you about the loan.\nSam: why\nMe: It was my choice. You don't have to answer."
    assert guide_only.review(log).draft == "I lied to you about the loan.\nIt was my choice. You don't have to answer."
    assert own_lines("Tom: where were you\nSam: out") is None
    assert own_lines("Dear Sam,\nI lied to you: about the loan.") == ""
    assert "conversation" in guide_only.review("Tom: where were you\nSam: out").notes[0]


def test_another_language_is_said_and_still_held(guide_only: Coach) -> None:
    review = guide_only.review("Lo siento mucho, no quiero que me perdones pero te quiero", Contact.BLOCKED)
    assert review.verdict.action == "hold"
    assert "English" in review.notes[0]


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab I.\n\t\u200b😀é!,’если<>&"), min_size=2, max_size=60))
def test_spans_are_exact_whatever_the_characters(text: str) -> None:
    spans = sentence_spans(text)
    assert "".join(text[a:b] for a, b in spans).replace(" ", "").replace("\n", "").replace("\t", "") == "".join(
        text.split()
    )


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(["😀", "\t", "\u200b", "\n\n", "  ", "é", "’", "sorry ", "<b>"]), max_size=6))
def test_findings_are_exact_under_odd_characters(noise: list[str]) -> None:
    text = "I lied about the loan. " + "".join(noise) + " Call me tonight or we are done for good. " + "".join(noise)
    review = WITHOUT.review(text)
    assert review.findings
    for finding in review.findings:
        assert review.draft[finding.start : finding.end] == finding.quote


WITHOUT = Coach.open(settings=SETTINGS.model_copy(update={"model": "none"}))


def test_quotes_hold_whole_words_and_numbers(guide_only: Coach) -> None:
    review = guide_only.review(
        "i told maya about ur dad, not kiera, and i let u be mad at kiera for weeks. the 4,000 from your mum is gone"
    )
    for criterion in review.accountability:
        if criterion.quote:
            assert re.search(rf"(?<!\w){re.escape(criterion.quote)}(?!\w)", review.draft)
            assert not criterion.quote.startswith("000")


def test_a_question_after_a_draft_in_quotation_marks_is_no_part_of_it(guide_only: Coach) -> None:
    assert guide_only.drafts.pasted('this is what i have: "Babe, I lied about the loan." which line is bad?') == (
        "Babe, I lied about the loan."
    )


def test_a_draft_pasted_into_the_chat_gets_the_same_review(guide_only: Coach) -> None:
    reply = answer(guide_only, f"can you check this before i send it: {BAD}")
    assert reply.action == "coach"
    assert reply.text.startswith("Not yet.")
    assert "[1]" in reply.text
    blocked = answer(guide_only, "She blocked me on everything after I lied to her about the money.")
    held = answer(guide_only, f"can i send this: {GOOD}", blocked.conversation)
    assert held.text.startswith("Don't send this.")


@pytest.mark.parametrize(
    ("draft", "rewrite", "source"),
    [
        ("im sry if i hurt u", "im sry. i [what you did]. [it was my choice, if you can say so.]", "outline"),
        (
            "Sorry about my mood on Tuesday. If you had not nagged I would have been fine.",
            "Sorry about my mood on Tuesday. I [what you did]. [It was my choice, if you can say so.]",
            "draft",
        ),
        (
            "Dear Mr. and Mrs. Bell, I regret any distress you may have felt. I shouted at you on Friday.",
            "Dear Mr. and Mrs. Bell, I shouted at you on Friday. [It was my choice, if you can say so.]",
            "draft",
        ),
        (
            "Hi Ana,\nI shouted at you. It was wrong. If you had not been so cold I would never have done it.",
            "Hi Ana,\nI shouted at you. It was wrong.",
            "draft",
        ),
    ],
)
def test_what_is_put_together_keeps_the_writers_words_and_lines(
    guide_only: Coach, draft: str, rewrite: str, source: str
) -> None:
    review = guide_only.review(draft)
    assert (review.rewrite, review.rewrite_source) == (rewrite, source)


@pytest.mark.parametrize(("text", "contact", "code"), [(GOOD, "talking", 0), (BAD, "talking", 3), (GOOD, "blocked", 4)])
def test_the_exit_code_says_the_verdict(text: str, contact: str, code: int) -> None:
    command = [sys.executable, "-m", "coach", "review", "-", "--contact", contact, "--model", "none"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "\x1b[" not in done.stdout  # plain when piped


@pytest.mark.parametrize(
    ("answers", "action"),
    [
        ("please stop texting me, i need space", "hold"),
        ("I'm not ready to talk. Don't contact me again.", "hold"),
        ("ok. what did you want to say about the loan", "ready"),
        ("i don't need space, i need an answer", "ready"),
    ],
)
def test_the_message_that_a_draft_answers_counts_for_how_things_stand(
    guide_only: Coach, answers: str, action: str
) -> None:
    review = guide_only.review(GOOD, answers=answers)
    assert review.verdict.action == action
    assert any("asks for space" in note for note in review.notes) == (action == "hold")


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("Hey, the landlord needs your signature for the deposit. The form is with him.", "ready"),
        ("The rent is paid. I miss you so much and I think of you all day.", "hold"),
    ],
)
def test_only_what_is_plainly_necessary_goes_to_somebody_who_asked_for_space(
    guide_only: Coach, text: str, action: str
) -> None:
    assert guide_only.review(text, Contact.ASKED_FOR_SPACE).verdict.action == action


@pytest.mark.parametrize(
    ("message", "draft"),
    [
        ("can you check this before i send it: sorry i lied about the loan, no need to answer", True),
        (f"Dear Sam, {GOOD}", True),
        ("i'm sorry i lied to you about the job and let you pay for everything, you deserved better than that", True),
        ("i lied to her about the job and i'm sorry, how do i tell her without making excuses for it", False),
        ("hi, i lied to my wife and you are the only one i can talk to about it at the moment", False),
        ("what do you think i should do about my sister who knows what i did", False),
        ("can i send this\nsorry i lied about the loan, no need to answer", True),
        ("should i send this to her:im sorry i lied about the loan, no need to answer", True),
        ("so this is what happened\ni lied about the loan and she found the letters from the bank", False),
        ("can i send her flowers\nshe has not answered for two weeks and i lied about the loan", False),
        ("what do you think of her answer: thanks for telling me, i need time to think about it", False),
        ("thank you so much, you really helped me today, i feel calmer", False),
        ("is there any way to apologise to someone who blocked you everywhere without being creepy", False),
        ("here is the family calendar:\nMON swim\nTUE dentist\nWED ring grandma\nTHU bins", False),
    ],
)
def test_a_draft_in_the_chat_is_known_with_or_without_a_word_before_it(
    guide_only: Coach, message: str, draft: bool
) -> None:
    assert bool(guide_only.drafts.pasted(message)) is draft
