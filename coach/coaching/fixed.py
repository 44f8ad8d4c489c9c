"""Replies that no model writes: danger, a request for a tactic, a greeting, what the guide does not cover."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from coach.coaching.prompt import Prompts
from coach.guardrails.crisis import Signs
from coach.guardrails.policy import Policy
from coach.types import ChatAction, Contact, Conversation, Danger, Help, Passage, Review, Standing, Verdict

__all__ = ["Answer", "Fixed"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A fixed reply, and what it does to the conversation."""

    text: str
    action: ChatAction
    standing: Standing
    passages: tuple[Passage, ...] = ()
    tactic: str = ""
    help: Help | None = None
    nearby: tuple[str, ...] = ()  # cases to choose from


class Fixed:
    """Chooses and renders fixed replies.

    Args:
        prompts: Holds their words.
        policy: The tactics.
        signs: Tell who is in danger, and when a danger has passed.
        help_for: Where to find help in a danger.
        passage: Finds the passage of the coach's own guide that begins with a phrase, by section; None if
            there is no index yet.
    """

    def __init__(
        self,
        prompts: Prompts,
        policy: Policy,
        signs: Signs,
        help_for: Callable[[Danger | None], Help | None],
        passage: Callable[[str, str], Passage | None],
    ) -> None:
        self._prompts = prompts
        self._policy = policy
        self._signs = signs
        self.help = help_for
        self._passage = passage
        self._languages = {name: set(small.split()) for name, small in prompts.data("languages").items()}

    def gate(self, text: str, verdict: Verdict, standing: Standing, history: Conversation) -> Answer | None:
        """The reply to a message that is not to be coached; None if it is."""
        if verdict.crisis:
            return self._danger(text, verdict.crisis, standing, history)
        if standing.waiting:
            passed = self._signs.misunderstood(text) or self._signs.safer(text)
            if not (passed and verdict.action == "redirect"):
                return self._after_danger(text, standing, history)
            standing = replace(standing, waiting=False)
        if verdict.action == "redirect":
            return self._redirect(verdict.findings[0].tactic, standing, history)
        return None

    def review(self, review: Review, standing: Standing, history: Conversation) -> Answer:
        """A review of a draft that was pasted into the chat, as an answer."""
        passages = history.numbered(review.passages)
        numbers = {passage.id: passage.number for passage in passages}
        words = self._prompts.data("review")
        findings = []
        for finding in review.findings:
            tactic = self._policy[finding.tactic]
            cited = self._passage(tactic.section, tactic.passage)
            number = numbers.get(cited.id, 0) if cited else 0
            findings.append((finding.quote, tactic.reader, tactic.mend, number))
        text = self._prompts.render(
            "review_chat",
            verdict=words["verdicts"][review.verdict.action],
            reason=review.reason,
            next_step=review.next_step,
            notes=review.notes,
            findings=findings,
            missing=[c.hint for c in review.accountability if c.hint][:3] if review.verdict.action == "revise" else [],
            rewrite=review.rewrite,
        )
        return Answer(text, "coach", standing, passages, help=review.help)

    def foreign(self, text: str) -> bool:
        """Whether a text is rather in another language than in English, by the small words of each."""
        words = [word.strip(".,!?;:()\"'").lower() for word in text.split()]
        counts = {name: sum(word in small for word in words) for name, small in self._languages.items()}
        best = max((count for name, count in counts.items() if name != "english"), default=0)
        return best >= 2 and best > counts["english"]

    def greeting(self, text: str, standing: Standing) -> Answer | None:
        """The reply to a message that only greets, thanks, agrees or calls for help; None if it says more."""
        said = text.lower().strip(" !.,?")
        for kind, greetings in self._prompts.data("greetings").items():
            if said in greetings:
                return Answer(self._prompts.render("hello", kind=kind), "coach", standing)
        return None

    def not_covered(self, text: str, standing: Standing, history: Conversation) -> Answer:
        """The reply to something that the guide has nothing on."""
        if self.foreign(text):
            return Answer(self._prompts.render("other_language"), "coach", standing)
        return Answer(self._prompts.render("not_covered", form=len(history.turns)), "off_topic", standing)

    def which(self, opening: str, cases: tuple[str, ...], standing: Standing, history: Conversation) -> Answer:
        """The question which case a message is about, where an answer would be a guess."""
        form = sum(not turn.passages for turn in history.turns)
        text = self._prompts.render("which", opening=opening, cases=cases, form=form)
        return Answer(text, "coach", standing, nearby=cases)

    def _danger(self, text: str, danger: Danger, standing: Standing, history: Conversation) -> Answer:
        found = self.help(danger)
        assert found is not None
        numbers = self._prompts.render(
            "crisis/help", emergency=found.emergency, country=found.country, lines=found.lines, finder=found.finder
        )
        name = "self_harm_other" if danger == "self_harm" and self._signs.somebody_else(text) else danger
        form = sum(turn.standing.danger == danger for turn in history.turns) % 2
        return Answer(self._prompts.render(f"crisis/{name}", form=form, help=numbers), "crisis", standing)

    def _after_danger(self, text: str, standing: Standing, history: Conversation) -> Answer:
        """Nothing is coached until somebody says that the danger has passed, or was none."""
        passed = replace(standing, waiting=False)
        if self._signs.misunderstood(text) and not standing.softened:
            return Answer(self._prompts.render("crisis/misunderstood"), "crisis", replace(passed, softened=True))
        if self._signs.safer(text):
            return Answer(self._prompts.render("crisis/safer"), "crisis", passed)
        form = len(history.turns) % 2
        text = self._prompts.render("crisis/waiting", danger=standing.danger, softened=standing.softened, form=form)
        return Answer(text, "crisis", replace(standing, asked=True))

    def _redirect(self, name: str, standing: Standing, history: Conversation) -> Answer:
        tactic = self._policy[name]
        found = self._passage(tactic.section, tactic.passage)
        cited = history.numbered([found] if found else [])
        was = history.standing.contact
        closed = self._prompts.data("guardrails/closed") if was in (Contact.BLOCKED, Contact.ASKED_FOR_SPACE) else {}
        text = self._prompts.render(
            "guardrails/redirect",
            tactic=tactic,
            form=sum(bool(turn.tactic) for turn in history.turns),
            number=cited[0].number if cited else 0,
            closed=closed.get(was, ()),
        )
        return Answer(text, "redirect", standing, cited, name)
