"""Guidance and negative prompts: which checkpoints take them, and what they do to a real pass."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.settings import Limits, Parameters
from bot.settings.rules import rules
from inference.errors import PromptTooLong
from inference.images.guidance import Traits, traits
from inference.images.registry import BUILTIN, Choice, LoadOptions, expected_card, load
from inference.images.zimage import ZImageModel
from tests.inference.images.test_zimage import Recorder, calls_of, draw, request

TURBO = Traits()
BASE = Traits(guidance=True, steps=50, cfg=4.0)


@pytest.mark.parametrize(
    ("shift", "said", "wanted", "found"),
    [
        (None, None, "auto", TURBO),
        ('{"shift": 3.0}', None, "auto", TURBO),
        ('{"shift": 6.0}', None, "auto", BASE),
        ('{"shift": "6"}', None, "auto", TURBO),
        ("[6]", "broken {", "auto", TURBO),
        ('{"shift": 3.0}', '{"guidance": true}', "auto", BASE),
        ('{"shift": 6.0}', '{"guidance": false}', "auto", TURBO),
        ('{"shift": 6.0}', '{"steps": 30, "cfg": 5}', "auto", Traits(guidance=True, steps=30, cfg=5.0)),
        ('{"shift": 6.0}', '{"steps": 999, "cfg": -1}', "auto", Traits(guidance=True, steps=50, cfg=0.0)),
        ('{"shift": 6.0}', '{"guidance": true, "steps": 30}', False, Traits(steps=30)),
        (None, None, True, BASE),
    ],
)
def test_what_a_folder_says(tmp_path: Path, shift: str | None, said: str | None, wanted: bool, found: Traits) -> None:
    (tmp_path / "scheduler").mkdir()
    if shift is not None:
        (tmp_path / "scheduler" / "scheduler_config.json").write_text(shift, encoding="utf-8")
    if said is not None:
        (tmp_path / "moqi.json").write_text(said, encoding="utf-8")
    assert traits(tmp_path, wanted) == found


def test_a_base_checkpoint_is_known_before_and_after_it_is_loaded(tmp_path: Path) -> None:
    for part in BUILTIN.iterdir():
        (tmp_path / part.name).symlink_to(part)
    (tmp_path / "moqi.json").write_text(json.dumps({"guidance": True, "steps": 30, "cfg": 4.5}), encoding="utf-8")
    choice = Choice(name="base", path=tmp_path, builtin=False, reason="")
    expected, model = expected_card(choice, LoadOptions(device="cpu")), load(choice, LoadOptions(device="cpu"))
    known = [(card.guidance, card.default_steps, card.default_cfg) for card in (expected, model.card)]
    assert known == [(True, 30, 4.5)] * 2
    model.close()
    wide = rules(Parameters(), Limits(), model.card)
    assert (wide.guidance, wide.steps.default, wide.cfg.default, wide.cfg.high) == (True, 30, 4.5, 20)
    plain = rules(Parameters(), Limits(), expected_card(choice, LoadOptions(guidance=False)))
    assert (plain.guidance, plain.cfg.high) == (False, 0)


@pytest.fixture
def base(engine: ZImageModel, monkeypatch: pytest.MonkeyPatch) -> ZImageModel:
    monkeypatch.setattr(engine, "card", replace(engine.card, guidance=True))
    return engine


def test_guidance_doubles_the_pass_and_changes_the_picture(base: ZImageModel) -> None:
    with calls_of(base.pipeline.transformer) as calls:
        (plain,) = draw(base, [request(steps=4)])
        assert [len(latents) for latents, *_ in calls] == [1] * 4
        (guided,) = draw(base, [request(steps=4, cfg=3.0)])
        assert [len(latents) for latents, *_ in calls[4:]] == [2] * 4
    (away,) = draw(base, [request(steps=4, cfg=3.0, negative="a lake")])
    (further,) = draw(base, [request(steps=4, cfg=6.0)])
    assert len({plain, guided, away, further}) == 4
    assert draw(base, [request(steps=4, cfg=3.0, negative="a red cube")]) == [plain], "away from itself is nowhere"


def test_without_guidance_a_base_model_draws_bit_by_bit_as_before(
    base: ZImageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_it = draw(base, [request(steps=2), request(steps=2, negative="ugly")])
    monkeypatch.setattr(base, "card", replace(base.card, guidance=False))
    assert with_it == draw(base, [request(steps=2), request(steps=2)])


def test_guided_pictures_of_a_batch_are_drawn_alone_and_may_leave(base: ZImageModel) -> None:
    batch = [request(seed=seed, steps=2, cfg=3.0, negative=negative) for seed, negative in ((1, "a"), (2, "b"))]
    with calls_of(base.pipeline.transformer) as calls:
        together = draw(base, batch)
        assert [len(latents) for latents, *_ in calls] == [2] * 4, "two passes of one picture, twice as wide each"
    assert together == [draw(base, [one])[0] for one in batch]
    assert draw(base, batch, Recorder(leave={0: 1})) == [None, together[1]]


def test_a_picture_to_begin_with_takes_guidance_too(base: ZImageModel) -> None:
    (result,) = base.generate([request()], Recorder())
    assert result is not None
    begun: dict[str, Any] = {"source": result.image, "strength": 0.5, "steps": 4, "prompt": "a lake"}
    with calls_of(base.pipeline.transformer) as calls:
        plain, guided = draw(base, [request(**begun)]), draw(base, [request(**begun, cfg=3.0)])
        assert [len(latents) for latents, *_ in calls] == [1, 1, 2, 2]
    assert plain != guided


def test_a_negative_prompt_that_the_model_would_cut_is_refused(base: ZImageModel) -> None:
    long = "not this " * 600
    with pytest.raises(PromptTooLong):
        base.generate([request(cfg=3.0, negative=long)], Recorder())
    assert draw(base, [request(steps=1, negative=long)]) == draw(base, [request(steps=1)]), "it is not even read"
