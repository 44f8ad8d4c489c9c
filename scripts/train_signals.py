"""Trains the small classifier of the guardrails: `python -m scripts.train_signals`, 45 to 60 minutes on two cores.

What goes in: the labelled messages and drafts in prompts/guardrails/examples/, and the messages that the guide's
search was taught with. What comes out: prompts/guardrails/signals.npz, two readers, one of messages and one of
drafts, each a low-rank adapter to the search's own encoder (all-MiniLM-L6-v2) with its heads. Seeded; nothing is
fetched.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.labelled import (
    Chat,
    Draft,
    Mark,
    Sentence,
    read_asked,
    read_chat,
    read_drafts,
    read_marked,
    read_replies,
)
from coach.guardrails.policy import Policy
from coach.guardrails.signals import ANY, CLASSES, CRITERIA, DOORS, MIXTURES, REPLY_KINDS
from coach.guide.asked import NONE
from coach.guide.chunk import sentences
from coach.guide.read import find, read
from coach.types import Contact
from scripts.adapter import Adapted, Batches, forever, mean, pooled, train
from scripts.retelling import Retelling

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "prompts" / "guardrails" / "examples"
SEED = 20261123
RATES = {"chat": (1e-3, 5e-3), "draft": (8e-4, 8e-4)}  # of the adapter, and of the heads
READERS = ("chat", "draft")
OPEN = (Contact.TALKING, Contact.SILENT, Contact.ASKED_FOR_SPACE, Contact.CO_PARENTING)  # with good drafts
OFTEN = 4  # times that a text is learnt from whose kind is rare among the others and is not among people
RARE = ("_long_", "_contrast_", "_veiled_", "_subtle_")  # in the names of such files
# Sections about which people ask for a tactic as often as not; messages about them are labelled one by one in
# chat_asked.tsv. The other messages of asked.tsv are innocent.
TOUCHY = frozenset(
    """tactics-words tactics-pressure tactics-charm violence hurt-by-them self-harm orders they-said-no online control
    friends-family new-relationship dates-and-gifts closure children space first-message after-sending
    things-and-meetings""".split()  # noqa: SIM905
)


class Training:
    """One reader being trained: its examples, and how wrong it is about them.

    Args:
        encoder: The folder of all-MiniLM-L6-v2.
        reader: Which of the two.
        examples: The labelled examples by kind.
        tactics: The ids, in order.
    """

    def __init__(self, encoder: Path, reader: str, examples: dict[str, list[Any]], tactics: Sequence[str]) -> None:
        torch.manual_seed(SEED)
        self._chance = random.Random(SEED)  # noqa: S311 - a seeded shuffle, not a secret
        self._reader = reader
        if reader == "chat":
            wholes = {"chat": len(CLASSES), "chat_tactics": len(tactics), "reply": len(REPLY_KINDS)}
            self.model = Adapted(encoder, {name: (size, True) for name, size in wholes.items()})
        else:
            heads = {"draft": (len(tactics) + 1, False), "criteria": (len(CRITERIA), False)}
            wholes = {"named": len(tactics), "door": len(DOORS), "mixture": len(MIXTURES)}
            self.model = Adapted(encoder, heads | {name: (size, True) for name, size in wholes.items()})
            for name in heads:
                nn.init.constant_(self.model.heads[name].bias, -3.0)  # type: ignore[arg-type]  # most carry nothing
            nn.init.constant_(self.model.heads["draft"].bias[-1:], -1.0)  # type: ignore[index]  # but some tactic
        self._batches = Batches(encoder, self._chance)
        self._tactics = tuple(tactics)
        otherwise = retelling(self._chance, examples["chat"], examples["drafts"])
        sizes = {"chat": 32, "drafts": 24, "criteria": 16, "replies": 24}
        told: dict[str, Callable[[Any], Any]] = {
            "chat": otherwise.message,
            "drafts": otherwise.draft,
            "criteria": otherwise.unpointed,
            "replies": otherwise.sentence,
        }
        self._streams = {kind: forever(examples[kind], told[kind], sizes[kind], self._chance) for kind in sizes}

    def loss(self, step: int) -> Tensor:
        """How wrong the model is about the next examples of each kind."""
        if self._reader == "chat":
            total = self._chat(next(self._streams["chat"]))
            return total + 0.5 * self._replies(next(self._streams["replies"])) if step % 3 == 0 else total
        total = self._drafts(next(self._streams["drafts"]))
        return total + self._criteria(next(self._streams["criteria"])) if step % 3 == 0 else total

    def _chat(self, batch: Sequence[Chat]) -> Tensor:
        """The class of a message to the coach, and the tactic that it is about."""
        both = self.model.pooled(*self._batches([example.text for example in batch])[:2])
        classes = torch.tensor([CLASSES.index(class_of(example)) for example in batch])
        loss = functional.cross_entropy(self.model.heads["chat"](both), classes, label_smoothing=0.05)
        rows = [row for row, example in enumerate(batch) if example.about and example.about[0] in self._tactics]
        if rows:
            tactics = torch.tensor([self._tactics.index(batch[row].about[0]) for row in rows])
            named = self.model.heads["chat_tactics"](both[rows])
            loss = loss + 0.3 * functional.cross_entropy(named, tactics, label_smoothing=0.05)
        return loss

    def _drafts(self, batch: Sequence[Draft]) -> Tensor:
        """The words of drafts that carry a tactic, and which tactic they are as a whole."""
        ids, mask, offsets = self._batches([draft.text for draft in batch])
        states = self.model.states(ids, mask)
        loss = _words(self.model.heads["draft"](states), mask, offsets, batch, (*self._tactics, ANY))
        spans, names = [], []
        for row, draft in enumerate(batch):
            for mark in draft.marks:
                if places := _inside(mark, offsets[row]):
                    spans.append(torch.cat([states[row, places].mean(0), states[row, places].amax(0)]))
                    names.append(torch.zeros(len(self._tactics)))
                    names[-1][[self._tactics.index(name) for name in mark.tactics]] = 1 / len(mark.tactics)
        if spans:
            named = self.model.heads["named"](torch.stack(spans))
            loss = loss + functional.cross_entropy(named, torch.stack(names), label_smoothing=0.05)
        for head, kinds, kind_of in (("door", DOORS, door_of), ("mixture", MIXTURES, mixture_of)):
            if told := [(row, kinds.index(kind)) for row, draft in enumerate(batch) if (kind := kind_of(draft))]:
                rows, wanted = zip(*told, strict=True)
                found = self.model.heads[head](pooled(states[list(rows)], mask[list(rows)]))
                loss = loss + 0.5 * functional.cross_entropy(found, torch.tensor(wanted), label_smoothing=0.02)
        return loss

    def _criteria(self, batch: Sequence[Draft]) -> Tensor:
        """The words of apologies that show a part of one."""
        ids, mask, offsets = self._batches([draft.text for draft in batch])
        return _words(self.model.heads["criteria"](self.model.states(ids, mask)), mask, offsets, batch, CRITERIA)

    def _replies(self, batch: Sequence[Sentence]) -> Tensor:
        """The kind of a sentence that the coach might say."""
        kinds = torch.tensor([REPLY_KINDS.index(example.kind) for example in batch])
        both = self.model.pooled(*self._batches([example.text for example in batch])[:2])
        return functional.cross_entropy(self.model.heads["reply"](both), kinds, label_smoothing=0.05)


def retelling(chance: random.Random, messages: Sequence[Chat], drafts: Sequence[Draft]) -> Retelling:
    """Tells the examples otherwise, with what is harmless among them."""
    return Retelling(
        chance,
        yaml.safe_load((EXAMPLES / "plain.yaml").read_text(encoding="utf-8")),
        [message.text for message in messages if message.action == "coach" and message.how == "plain"],
        {how: [draft.text for draft in drafts if draft.verdict == "ready" and draft.contact is how] for how in OPEN},
        (EXAMPLES / "asides.txt").read_text(encoding="utf-8").splitlines(),
    )


def _inside(mark: Mark, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """The tokens that a mark covers."""
    return [at for at, (start, end) in enumerate(offsets) if start < mark.end and end > mark.start and end > start]


def _words(
    logits: Tensor, mask: Tensor, offsets: list[list[tuple[int, int]]], batch: Sequence[Draft], names: Sequence[str]
) -> Tensor:
    """How wrong the logits, shape (texts, tokens, names), are about the marked words and each text as a whole."""
    target = torch.zeros_like(logits)
    whole = torch.zeros(len(batch), len(names))
    for row, draft in enumerate(batch):
        for mark in draft.marks:
            columns = [names.index(name) for name in mark.tactics]
            columns += [names.index(ANY)] if ANY in names else []
            whole[row, columns] = 1
            for position in _inside(mark, offsets[row]):
                target[row, position, columns] = 1
    heavier = torch.tensor(3.0)
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=heavier)
    words = (each.sum(2) * mask).sum() / mask.sum()
    sharp = logits.masked_fill(mask.unsqueeze(2) == 0, -1e4).topk(min(4, logits.shape[1]), dim=1).values
    there = sharp > -1e3  # a text may have fewer words than four
    most = (sharp * there).sum(1) / there.sum(1)
    return words + functional.binary_cross_entropy_with_logits(most, whole, reduction="none").sum(1).mean()


def class_of(example: Chat) -> str:
    """The class that the chat head must find."""
    return example.about[0] if example.action == "crisis" else example.action


def door_of(draft: Draft) -> str:
    """Whether the draft itself says that the other closed the door; "" where that is not known.

    Where somebody goes round a no it was marked, but mostly as what can be mended; those are left out.
    """
    if draft.contact not in (Contact.TALKING, Contact.SILENT):
        return ""
    if "boundary_violation" in draft.tactics:
        return "closed" if draft.verdict == "hold" and not draft.tactics & {"threat", "self_harm_leverage"} else ""
    return "open" if draft.verdict != "hold" else ""


def mixture_of(draft: Draft) -> str:
    """Whether a draft between parents speaks of the two of them, too; "" where that is not known.

    What can be mended though no words in it carry a tactic can be mended for that.
    """
    if draft.contact is not Contact.CO_PARENTING or draft.verdict == "hold" or draft.marks:
        return ""
    return "mixed" if draft.verdict == "revise" else "plain"


def gathered(folder: Path) -> dict[str, list[Any]]:
    """All labelled examples, by kind."""
    read_as: dict[str, Any] = {
        "chat": read_chat,
        "drafts": read_drafts,
        "criteria": read_marked,
        "replies": read_replies,
    }
    found: dict[str, list[Any]] = {
        kind: [
            e
            for path in sorted(folder.glob(f"{kind}_*.tsv"))
            for e in reader(path) * (OFTEN if any(name in path.name for name in RARE) else 1)
        ]
        for kind, reader in read_as.items()
    }
    for section, phrases in read_asked(ROOT / "corpus" / "asked.tsv").items():
        if section not in TOUCHY:
            action = "off_topic" if section == NONE else "coach"
            found["chat"] += [Chat(action, (), "plain", phrase.text) for phrase in phrases]
    for document in map(read, find(ROOT / "corpus")):  # whatever the guide says, a coach may say
        for part in document.sections:
            text = " ".join(block.text for block in part.blocks if block.kind == "text")
            said = [line for line in sentences(f"{part.takeaway} {text}") if len(line.split()) > 3]
            found["replies"] += [Sentence("fine", line) for line in said if line[0] not in '"“']
    return found


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=READERS, help="one of the readers; the other stays as it is")
    parser.add_argument("--go-on", action="store_true", help="from the weights that are there, after new examples")
    parser.add_argument("--whole", action="store_true", help="then write what was learnt, not the mean of both")
    parser.add_argument("--steps", type=int, default=2600, help="of 32 messages or 24 drafts")
    parser.add_argument("--encoder", type=Path, default=ROOT / "models" / "all-minilm-l6-v2")
    parser.add_argument("--examples", type=Path, default=EXAMPLES)
    parser.add_argument("--out", type=Path, default=EXAMPLES.parent / "signals.npz")
    options = parser.parse_args()
    tactics = Policy.load(ROOT / "prompts" / "guardrails" / "policy.yaml").ids
    examples = gathered(options.examples)
    print(", ".join(f"{len(found)} {kind}" for kind, found in examples.items()), flush=True)
    arrays: dict[str, Any] = {}
    if options.out.exists():
        with np.load(options.out) as stored:
            arrays = {name: stored[name] for name in stored.files}
    for name in [options.only] if options.only else READERS:
        training = Training(options.encoder, name, examples, tactics)
        keys = [key for key in arrays if key.startswith(f"{name}/")]
        before = {key.removeprefix(f"{name}/"): arrays.pop(key) for key in keys}
        if options.go_on:
            training.model.restore(before)
        print(f"{name}:", flush=True)
        found = train(training.model, training.loss, options.steps, RATES[name], gently=options.go_on)
        found = mean(before, found) if options.go_on and not options.whole else found
        arrays |= {f"{name}/{key}": array for key, array in found.items()}
    np.savez_compressed(options.out, **arrays)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
