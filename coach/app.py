"""Builds the coach from its settings: the only place where the parts are wired together."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Literal

from coach import settings as configuration
from coach.coaching.draft import Reviewer
from coach.coaching.fixed import Fixed
from coach.coaching.message import clean
from coach.coaching.opening import Openings
from coach.coaching.prompt import Prompts
from coach.coaching.rewrite import Rewriter
from coach.coaching.situation import Situations
from coach.coaching.turn import Turns
from coach.errors import CoachError, ModelError
from coach.guardrails.crisis import HelpLines, Signs
from coach.guardrails.drafts import Drafts
from coach.guardrails.gates import Gates
from coach.guardrails.policy import Policy
from coach.guardrails.signals import Signals
from coach.guardrails.standing import Told
from coach.guide.asked import Asked
from coach.guide.embed import EncoderEmbedder, SentenceTransformerEmbedder
from coach.guide.index import Index, Report
from coach.guide.retrieve import Retriever, passage_beginning
from coach.llm import catalog, download
from coach.llm.engine import Engine
from coach.llm.llama import LlamaEngine
from coach.quantised import Quantised
from coach.reader import Reader
from coach.settings import Settings
from coach.types import Contact, Conversation, Danger, Event, Found, Help, Passage, Review, Verdict

__all__ = ["Coach", "choose_model"]


class Coach:
    """The coach: a guide, a search in it, and perhaps a chat model. Safe to share between threads.

    Use `Coach.open`. Nothing heavy is loaded before it is needed; `warm` loads everything at once.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.prompts = Prompts(settings.prompts)
        encoder = settings.models_dir / catalog.EMBEDDER.name
        self.embedder = EncoderEmbedder(encoder)
        self.index = Index(
            settings.data_dir / _index_name(settings.corpus),
            guide=settings.corpus,
            extra=settings.guides,
            bridge=configuration.BUILT_IN,
            embedder=SentenceTransformerEmbedder(encoder),
        )
        reader = Reader(Quantised, settings.models_dir / catalog.READER.name, configuration.BUILT_IN / "asked.npz")
        self._asked = Asked(reader)
        self.model_path = choose_model(settings)
        self.model_error = ""  # why there is no model although one was wanted
        self._retriever: Retriever | None = None
        self._built = ""  # the build that it searches
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._index_lock = threading.Lock()
        self.policy = Policy.load(settings.prompts / "guardrails" / "policy.yaml")
        self._help_lines = HelpLines(settings.prompts / "crisis" / "lines.yaml")
        self.country = self._help_lines.code(settings.country)
        signs = Signs(settings.prompts / "crisis" / "signs.yaml")
        weights = settings.prompts / "guardrails" / "signals.npz"
        signals = Signals(encoder, weights, self.policy.ids, reader)
        told = Told(settings.prompts / "guardrails" / "standing.yaml")
        self.gates = Gates(self.policy, settings.prompts, told, signs, signals)
        self.drafts = Drafts(self.policy, settings.prompts, signs, signals)
        self.fixed = Fixed(self.prompts, self.policy, signs, help_for=self.help, passage=self._beginning)
        self._reviewer = Reviewer(
            self.drafts,
            self.policy,
            self.prompts,
            passage=self._beginning,
            help_for=self.help,
            foreign=self.fixed.foreign,
        )
        self.situations = Situations(self.prompts, told)
        self._rewriter = Rewriter(self.drafts, self.prompts, self.engine)
        self._turns = Turns(
            search=self,
            embedder=self.embedder,
            gates=self.gates,
            fixed=self.fixed,
            drafts=self.drafts,
            review=self._reviewer.review,
            openings=Openings(self.prompts),
            situations=self.situations,
            prompts=self.prompts,
            engine=self.engine,
            passages=settings.passages,
            answer_tokens=settings.answer_tokens,
        )

    @classmethod
    def open(
        cls,
        *,
        corpus: Path | str | None = None,
        data_dir: Path | str | None = None,
        model: str | Path | None = "auto",
        settings: Settings | None = None,
    ) -> Coach:
        """Open the coach with the settings of coach.toml and the environment, overridden by what is given.

        Args:
            corpus: Another guide in place of the built-in one: a folder or a file.
            data_dir: Where the index and a person's own files lie.
            model: A name of the catalog, the path of a GGUF file, "auto" for the best one that is there and
                that the settings allow, or None for no model.
            settings: Settings already loaded, in place of coach.toml and the environment.

        Raises:
            SettingsError: A setting is not usable.
            ModelError: The model named is not there.
        """
        if settings is None:
            settings = configuration.load(
                corpus=Path(corpus) if corpus else None,
                data_dir=Path(data_dir) if data_dir else None,
                model="none" if model is None else None if model == "auto" else str(model),
            )
        return cls(settings)

    # --- the guide --------------------------------------------------------------------------------------------

    def build_index(self, report: Callable[[int, int], None] = lambda done, total: None) -> Report:
        """Bring the index up to date; see `coach.guide.index.Index.build`."""
        with self._index_lock:
            self._retriever = None
            return self.index.build(report)

    def search(self, question: str, k: int = 4, *, before: str = "") -> list[Passage]:
        """The passages that answer a question best, each from another section.

        Args:
            question: In a person's own words.
            k: How many at most, 1 to 4.
            before: What was said before it in a conversation, which it may lean on.

        Returns:
            The best first, numbered from 1; none if the guide does not cover the question.

        Raises:
            InputError: The question is empty, far too long, or in another script.
            GuideError: The guide cannot be read or indexed.
        """
        return self._opened().search(clean(question), k, before=before)

    def consult(
        self, question: str, most: int = 3, *, before: str = "", without: Collection[str] = (), within: bool = False
    ) -> Found:
        """What to answer a question from, and what else may have been meant by it.

        Arguments and errors are those of `search`, but for the sections `without`, which are passed over, and
        `within`, for what is known to be about the guide's subject.
        """
        return self._opened().consult(clean(question), most, before=before, without=without, within=within)

    def _opened(self) -> Retriever:
        with self._index_lock:
            built = self.index.built()
            if self._retriever is not None and built not in ("", self._built):  # by another process
                self._retriever = None
                self.index.reopen()
            if self._retriever is None:
                if not self.index.current():
                    self.index.build()
                self._retriever, self._built = Retriever(self.index, self.embedder, self._asked), self.index.built()
            return self._retriever

    def _beginning(self, section: str, words: str) -> Passage | None:
        """A paragraph of the coach's own guide; None where there is no index, for redirects must work without."""
        try:
            self._opened()
            return passage_beginning(self.index, section, words)
        except CoachError:
            return None

    # --- danger -----------------------------------------------------------------------------------------------

    @property
    def countries(self) -> dict[str, str]:
        """Those with help lines: names by code, such as "US"."""
        return self._help_lines.countries

    def choose_country(self, country: str) -> None:
        """Take the help lines of a country, given by its name or code ("" for none), from now on.

        Raises:
            SettingsError: There are no lines for it, or coach.toml cannot be written.
        """
        self.country = self._help_lines.code(country)
        configuration.remember("country", self.country)

    def help(self, danger: Danger | None) -> Help | None:
        """Where to find help in a danger, in the country chosen; None for no danger."""
        return self._help_lines.help(danger, self.country) if danger else None

    # --- judgement --------------------------------------------------------------------------------------------

    def check(
        self,
        text: str,
        surface: Literal["chat", "draft", "reply"] = "chat",
        *,
        contact: Contact = Contact.TALKING,
        conversation: Conversation | None = None,
    ) -> Verdict:
        """What the guardrails make of a text. No chat model is needed or used.

        Args:
            text: A message to the coach, a message somebody means to send, or a sentence of an answer.
            surface: Which of these it is.
            contact: For a draft, how things stand between the two.
            conversation: For a message to the coach, what was said before.

        Raises:
            InputError: The text is empty, far too long, or in another script.
            ModelError: The search model, which the detectors rest on, is missing or damaged.
        """
        clean(text)  # refuses what cannot be read; the text itself stays as it is, for the findings point into it
        if surface == "draft":
            return self.drafts.judge(text, contact).verdict
        if surface == "reply":
            return self.gates.reply(text)
        return self.gates.chat(text, (conversation or Conversation()).standing)[0]

    def review(
        self,
        draft: str,
        contact: Contact | str = Contact.TALKING,
        about: str = "",
        answers: str = "",
        *,
        model: bool = False,
    ) -> Review:
        """Look at a message before it is sent.

        Args:
            draft: The message, up to 6,000 characters. Of a pasted conversation, the lines marked "me:".
            contact: How things stand between the two, or its name; it decides before the words do.
            about: What the writer did, in a line, for the model's rewrite.
            answers: The other person's message that the draft answers; if it asks for space, that counts.
            model: Let the chat model rewrite it, too, which takes seconds; without, the rewrite is put together
                from the draft's own sentences.

        Raises:
            InputError: The draft is empty, a single word, far too long, or not in a script that can be read; or the
                contact is unknown.
            ModelError: The search model, which the detectors rest on, is missing or damaged.
        """
        review = self._reviewer.review(draft, contact, answers)
        return self.rewrite(review, about) if model else review

    def rewrite(self, review: Review, about: str = "", cancelled: threading.Event | None = None) -> Review:
        """A review with the model's rewrite where it wrote one that passes the same review; else as it was."""
        return self._rewriter.rewrite(review, about, (cancelled or threading.Event()).is_set)

    # --- answers ----------------------------------------------------------------------------------------------

    def reply(
        self, message: str, conversation: Conversation | None = None, cancelled: threading.Event | None = None
    ) -> Iterator[Event]:
        """Answer a message.

        Args:
            message: What the person wrote, up to 6,000 characters.
            conversation: The one from the last `Reply`; None to begin.
            cancelled: Set it, from any thread, and the answer ends within a token.

        Yields:
            `Sources` once, if the guide has something; `Wait` once, if a model reads and its speed is known;
            `Token`s, whole sentences that passed the check;
            `Done` last, with the whole `Reply`.

        Raises:
            InputError: The message is empty, too long, without words, or in another script.
            GuideError: The guide cannot be read or indexed.
            ModelError: The search model is missing or damaged. A chat model that fails is only noted.
        """
        yield from self._turns.reply(message, conversation, cancelled)
        _give_back()

    def engine(self) -> Engine | None:
        """The chat model, loaded at the first call; None if the coach runs without one.

        Raises:
            ModelError: It cannot be loaded. The coach goes on without it.
        """
        with self._lock:
            if self._engine is None and self.model_path is not None:
                if self.model_error:
                    raise ModelError(self.model_error, hint="Look at `coach doctor`.")
                engine: LlamaEngine | None = None
                try:
                    engine = LlamaEngine(
                        self.model_path,
                        threads=self.settings.threads,
                        context=self.settings.context,
                        state_dir=self.settings.data_dir / "state",
                    )
                    engine.warm(self.prompts.opening())
                except ModelError as error:
                    self.model_error = error.message
                    if engine is not None:
                        engine.close()
                    raise
                self._engine = engine
            return self._engine

    @property
    def model_name(self) -> str:
        """The chat model's name, "" if the coach runs without one."""
        if self.model_path is None or self.model_error:
            return ""
        known = (m.name for m in catalog.chat_models() if self.model_path.name == Path(m.files[0].path).name)
        return next(known, self.model_path.stem)

    def warm(self) -> None:
        """Load everything that the first answer needs, the search and the model side by side.

        Raises:
            GuideError: The guide cannot be read or indexed.
            ModelError: The search model is missing or damaged. A chat model that fails is only noted.
        """

        def load_model() -> None:
            with contextlib.suppress(ModelError):  # noted in model_error; the guide answers alone
                self.engine()

        loading = threading.Thread(target=load_model, name="coach-model", daemon=True)
        loading.start()
        self.gates.chat("warm")
        self.search("warm")
        loading.join()
        _give_back()

    def close(self) -> None:
        """Free the model's memory."""
        with self._lock:
            if isinstance(self._engine, LlamaEngine):
                self._engine.close()
            self._engine = None


def _give_back() -> None:
    """Hand memory that was needed for a while back to the system, which glibc does not do by itself."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _index_name(guide: Path) -> str:
    """An index of its own for each guide that takes the place of the coach's, so that they do not overwrite."""
    if guide.resolve() == configuration.BUILT_IN.resolve():
        return "index"
    return f"index-{hashlib.sha256(str(guide.resolve()).encode()).hexdigest()[:8]}"


def choose_model(settings: Settings) -> Path | None:
    """The chat model's file that the settings ask for; None for no model.

    Raises:
        ModelError: A model is named that is not there.
    """
    wanted = settings.model
    if wanted == "none":
        return None
    if wanted == "auto":
        import psutil

        memory = psutil.virtual_memory().total
        there = [m for m in catalog.chat_models() if download.installed(m, settings.models_dir)]
        chosen = ([m for m in catalog.fitting(memory) if m in there] or there[-1:])[:1]
        return settings.models_dir / chosen[0].files[0].path if chosen else None
    if wanted.lower().endswith(".gguf"):
        path = Path(wanted).expanduser()
        path = path if path.is_file() else settings.models_dir / wanted
        if not path.is_file():
            raise ModelError(f"There is no model file {wanted}.", hint="Check the path, or run `coach models list`.")
        return path.resolve()
    model = catalog.by_name(wanted)
    if not download.installed(model, settings.models_dir):
        raise ModelError(
            f"The model {model.name} is not here yet.", hint=f"Fetch it with `coach models pull {model.name}`."
        )
    return settings.models_dir / model.files[0].path
