from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coach.encoder import Encoder
from coach.guardrails.policy import Policy
from coach.guardrails.signals import Signals
from coach.reader import Reader
from tests.conftest import READER, SETTINGS

ENCODER = SETTINGS.models_dir / "all-minilm-l6-v2"
WEIGHTS = SETTINGS.prompts / "guardrails" / "signals.npz"
TACTICS = Policy.load(SETTINGS.prompts / "guardrails" / "policy.yaml").ids
WISH = "i took all the tablets in the cupboard out and counted them. nobody needs me now"


def test_two_readers_share_the_say_in_what_a_message_wants() -> None:
    piece, second = Reader(Encoder, ENCODER, WEIGHTS, "chat").read(WISH)[0], READER.read(WISH)[0]
    mean = np.sqrt(piece.texts("chat") * second.texts("chat"))
    found = Signals(ENCODER, WEIGHTS, TACTICS, READER).chat(WISH)
    assert list(found.classes.values()) == pytest.approx((mean / mean.sum()).tolist(), abs=1e-5)


def test_without_the_larger_reader_danger_is_heard_by_the_small_one(tmp_path: Path) -> None:
    alone = Signals(ENCODER, WEIGHTS, TACTICS, Reader(Encoder, tmp_path, WEIGHTS, "chat"))
    assert alone.chat(WISH).classes["self_harm"] > 0.5
