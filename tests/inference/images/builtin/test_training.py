"""Training in miniature: every stage runs, stops, goes on, and ends in a folder that the engine draws with."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from inference.images.builtin import components
from inference.images.builtin.captions import ENDS, marked
from inference.images.builtin.dice import Dice
from inference.images.builtin.evaluate import draw, sheet, table, trials
from inference.images.builtin.painting import edge_distances, paint, plan
from inference.images.builtin.scene import Figure, Scene, sample
from inference.images.builtin.second import ADAPTERS
from inference.images.builtin.training import __main__ as training
from inference.images.builtin.training import adapter, autoencoder, batched, batches, captions, flow, guided, layout
from inference.images.builtin.training.team import Team
from inference.images.builtin.vocabulary import COLOURS, PLACES, SHAPES, SIZES, STYLES, Language, Shape, Term
from inference.images.registry import BUILTIN, Choice, LoadOptions, load

ALONE = Team(0, 1)
VOCABULARY: list[Mapping[Any, Term]] = [COLOURS, PLACES, SHAPES, SIZES, STYLES]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(("high", "wide"), [(16, 16), (12, 12), (10, 18)])
def test_the_batched_pass_gives_what_the_pipelines_pass_gives(high: int, wide: int) -> None:
    torch.manual_seed(1)
    model = components.transformer()
    with torch.no_grad():
        for pad in (model.x_pad_token, model.cap_pad_token):
            torch.nn.init.normal_(pad)
        latents, times = torch.randn(3, 16, high, wide), torch.tensor([0.0, 0.4, 0.9])
        text, lengths = torch.randn(3, 64, components.CAPTION_WIDTH), torch.tensor([64, 33, 50])
        turn = [batched.angles(model, ids) for ids in batched.positions(64, high // 2, wide // 2)]
        ours = batched.forward(model, latents, times, text, lengths, (turn[0], turn[1])).velocity
        cut = [one[:length] for one, length in zip(text, lengths.tolist(), strict=True)]
        theirs = model([one[:, None] for one in latents], times, cut, return_dict=False)[0]
    assert torch.allclose(ours, torch.stack(theirs)[:, :, 0], atol=1e-4)
    assert ours.std() > 0.1


def test_rescaling_gives_latents_of_about_one_and_the_decoder_the_same_start() -> None:
    torch.manual_seed(2)
    vae = components.vae().eval()
    batch = autoencoder.pictures(random.Random(1), 8, 64, 64)

    def start() -> torch.Tensor:
        with torch.no_grad():
            first: torch.Tensor = vae.decoder.conv_in(vae.encode(batch).latent_dist.mean)
        return first[:, :, 1:-1, 1:-1]  # the rim sees zeros, which now mean another colour: polishing mends that

    before = start()
    autoencoder._rescale(vae, batch)
    latents = autoencoder.encode(vae, batch)
    assert abs(latents.mean()) < 0.01
    assert abs(latents.std() - 1) < 0.01
    assert torch.allclose(start(), before, atol=1e-4)


def test_a_noisy_caption_keeps_every_word_of_the_vocabulary() -> None:
    rng = random.Random(3)
    texts: tuple[tuple[Language, str], ...] = (("zh", "左边红色的圆，右边绿色的星"), ("en", "a red circle on the left"))
    for language, text in texts:
        for _ in range(200):
            noisy = captions._blurred(text, language, rng)
            kept = iter(noisy)
            assert all(character in kept for character in text)  # in their order, with something between
            assert "红色" in noisy or "red" in noisy.split(" ")


def test_a_reader_knows_where_the_words_of_each_figure_end() -> None:
    tokenizer = components.tokenizer(captions.corpus(1))
    reader, rng = captions.Reader.of(tokenizer), random.Random(8)
    text = f"左边红色的圆{ENDS[0]}，右边a green star{ENDS[1]}!"
    tokens, ends = reader._read(text, reader.exact)
    assert tokenizer.decode(tokens).endswith("左边红色的圆，右边a green star!<|im_end|>\n<|im_start|>assistant\n")
    assert [tokenizer.decode(tokens[: end + 1])[-2:] for end in ends] == ["的圆", "ar"]
    for scene in (sample(rng) for _ in range(50)):
        asked = reader.ask(scene, rng)
        given = [end for end in asked.ends if end >= 0]
        assert len(given) == len(scene.figures)
        assert all(end < len(asked.tokens) for end in given)
        assert [kinds[0] >= 0 for kinds in asked.figures] == [True, len(scene.figures) == 2]
    assert reader.silence().slots == [-1] * len(captions.SLOTS)


def test_a_badly_written_caption_keeps_its_marks() -> None:
    rng = random.Random(10)
    scene = Scene(figures=(Figure(shape="circle", colour="red"), Figure(shape="star", colour="green")))
    languages: tuple[Language, ...] = ("zh", "en")
    said = {captions.worn(scene, language, rng) for language in languages for _ in range(150)}
    assert all(text.count(end) == 1 for text in said for end in ENDS)
    assert any(text.replace(ENDS[0], "").replace(ENDS[1], "").isupper() for text in said)


def test_a_caption_put_otherwise_uses_none_of_the_held_out_words() -> None:
    rng = random.Random(11)
    held = {
        "zh": {word for terms in VOCABULARY for term in terms.values() for word in term.zh_held},
        "en": {word for terms in VOCABULARY for term in terms.values() for word in term.en_held},
    }
    languages: tuple[Language, ...] = ("zh", "en")
    for language in languages:
        changed = 0
        for _ in range(400):
            usual = marked(sample(rng), rng, language=language)
            other = captions._put_otherwise(usual, language, rng)
            assert [end for end in other if end in ENDS] == [end for end in usual if end in ENDS]
            assert not [word for word in held[language] if word in other and word not in usual]
            changed += other != usual
        assert changed > 40


def test_slots_say_what_a_scene_says() -> None:
    one, two = Figure(shape="circle", colour="red"), Figure(shape="star", colour="green")
    left = captions.slots(Scene(figures=(one, two), relation="left_of", background="white"))
    right = captions.slots(Scene(figures=(two, one), relation="right_of", background="white"))
    other = captions.slots(Scene(figures=(two, one), relation="left_of", background="white"))
    assert left == right
    assert left != other
    assert len(left) == len(captions.SLOTS)


def test_training_stops_goes_on_and_ends_in_a_model_that_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "VAE_STEPS", 2)
    monkeypatch.setattr(training, "POLISH_STEPS", 1)
    monkeypatch.setattr(training, "READING_STEPS", 3)
    monkeypatch.setattr(training, "SIZES", ((64, 64, 32, 0.8), (96, 64, 16, 0.2)))
    monkeypatch.setattr(captions, "CORPUS", 300)
    monkeypatch.setattr(batches, "MORE_CAPTIONS", 4)
    monkeypatch.setattr(batches, "TOKENS_PER_BATCH", 4 * 64)
    monkeypatch.setattr(autoencoder, "BATCH", 2)
    monkeypatch.setattr(autoencoder, "POLISH_BATCH", 1)
    assert training.main([str(tmp_path), "--steps", "2", "--guided", "1"]) == 0
    kept = {
        name: (tmp_path / name).stat().st_mtime_ns
        for name in ("autoencoder.pt", "vae.pt", "reading.pt", "pool-64x64.pt")
    }
    assert training.main([str(tmp_path), "--steps", "4", "--guided", "2"]) == 0
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in kept} == kept  # what was done is not done again
    assert torch.load(tmp_path / "flow.pt", weights_only=True)["step"] == 4
    assert torch.load(tmp_path / "guided.pt", weights_only=True)["step"] == 2
    told = capfd.readouterr().err
    assert "flow" in told
    assert "guided" in told
    choice = Choice(name="builtin", path=tmp_path / "checkpoint", builtin=True, reason="test")
    model = load(choice, LoadOptions(device="cpu"))
    outcomes = draw(model, trials(2), side=64)
    model.close()
    assert sheet(outcomes).size == (20 * 72, 72)
    assert [line.split()[0] for line in table(outcomes)[1:4]] == ["object", "background", "shape"]


def test_the_noise_of_a_picture_holds_its_dice_and_stays_normal() -> None:
    rng = random.Random(6)
    faces = torch.tensor([Dice.roll(rng).faces for _ in range(4000)])
    noise = flow.noise_for(torch.zeros(4000, 16, 2, 2), faces)
    written = 2 * noise.mean(dim=(2, 3))  # of 2 x 2 numbers: the standard deviation of their mean is a half
    assert torch.allclose(torch.special.ndtr(written), faces, atol=1e-4)
    assert (written.mean(dim=0).abs() < 0.06).all()
    assert ((noise.std(dim=0) - 1).abs() < 0.06).all()
    scene = Scene(figures=(Figure(shape="circle", colour="red"),), background="white")
    low, high = (np.argwhere(paint(scene, _Loaded(face), 64, 64)[:, :, 1] < 100) for face in (0.02, 0.98))
    assert (low.mean(axis=0) + 4 < high.mean(axis=0)).all()  # x and y move the figure
    assert len(low) < len(high)  # and length makes it larger


@pytest.mark.parametrize("shape", SHAPES)
def test_the_distance_to_an_edge_changes_sign_where_the_paint_ends(shape: Shape) -> None:
    scene = Scene(figures=(Figure(shape=shape, colour="red", style="flat"),), background="white")
    seed = f"edge {shape}"
    painted = np.abs(paint(scene, random.Random(seed), 128, 128).astype(int) - 250).sum(axis=-1) > 60
    points = np.stack(np.meshgrid(*[np.arange(128, dtype=np.float32) + 0.5] * 2), axis=-1).reshape(-1, 2)
    far = edge_distances(plan(scene, Dice.roll(random.Random(seed)), 128, 128), points).reshape(128, 128)
    assert painted[far < -1].all()
    assert not painted[far > 1].any()
    assert painted.any()


def test_every_patch_is_asked_for_the_figure_that_is_nearest() -> None:
    red, green = Figure(shape="circle", colour="red"), Figure(shape="star", colour="green", style="outline")
    scenes = [Scene(figures=(red, green), relation="left_of"), Scene(figures=(red,))]
    dice = [Dice((0.5,) * 16)] * 2
    edges = layout.edges([plan(scene, one, 128, 128) for scene, one in zip(scenes, dice, strict=True)], 128, 128)
    layouts = layout.Layouts.of(scenes, dice, 128, 128, edges)
    place, kinds, weight = layout.targets(layouts, 8, 8)
    shapes, colours, styles = layout.KINDS
    left, right = 3 * 8 + 1, 3 * 8 + 6  # patches of the fourth row
    assert kinds[0, left, 0] == shapes.index("circle")
    assert kinds[0, left, 1] == colours.index("red")
    assert kinds[0, right].tolist() == [shapes.index("star"), colours.index("green"), styles.index("outline")]
    assert (kinds[1, :, 0] == shapes.index("circle")).all()
    x, y, length, _ = layouts.spots[1, 0].tolist()
    assert place[1, 0, :2].tolist() == pytest.approx([min((x - 8) / length, 1.5), min((y - 8) / length, 1.5)])
    assert edges.shape == (2, 64, 16)
    assert (edges[1].view(8, 8, 16)[4, 4] < 0).all()  # the middle of a circle in the middle
    assert (edges[1].view(8, 8, 16)[0, 0] == 127).all()
    assert weight[1, 3 * 8 + 3] == 1
    assert weight[1, 0] == layout.AWAY


class _Loaded(random.Random):
    """Dice that fall alike."""

    def __init__(self, face: float) -> None:
        super().__init__()
        self.face = face

    def random(self) -> float:
        return self.face


def test_the_adapter_is_shown_lines_and_asked_without_a_style() -> None:
    figures = (Figure(shape="square", colour="red", size="small"), Figure(shape="ring", colour="blue", style="striped"))
    scene = Scene(figures=figures, background="white")
    assert [(one.style, one.size) for one in adapter.outlined(scene).figures] == [("outline", None), ("flat", None)]
    assert [one.style for one in adapter.opened(scene).figures] == [None, None]


def test_reading_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    monkeypatch.setattr(captions, "CORPUS", 300)
    monkeypatch.setattr(flow, "READING_BATCH", 16)
    tokenizer = components.tokenizer(captions.corpus(1))
    reading = flow.Reading(components.text_encoder(tokenizer))
    losses: list[float] = []
    flow.learn_to_read(
        reading, captions.Reader.of(tokenizer), 24, 1, ALONE, lambda step, loss, read: losses.append(loss)
    )
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_a_teacher_goes_further_the_way_a_caption_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(8)
    monkeypatch.setattr(captions, "CORPUS", 300)
    tokenizer = components.tokenizer(captions.corpus(1))
    transformer = components.transformer()
    learner = flow.Training(transformer, flow.Reading(components.text_encoder(tokenizer)), ALONE)
    with torch.no_grad():
        for mean in learner.average:
            mean.normal_(std=0.05)  # of untrained weights no caption leads anywhere
    reader = captions.Reader.of(tokenizer)
    teacher = guided.Teacher(learner, reader)
    with torch.no_grad():
        for mean in learner.average:
            mean.zero_()  # what the pupil becomes does not change its teacher
    rng = random.Random(9)
    asked = [reader.ask(sample(rng), rng, plainly=True), reader.silence()]
    mixed, sigma = torch.randn(2, 16, 8, 8), torch.tensor([0.9, 0.5])
    told = captions.together(asked, batches.padded(max(len(one.tokens) for one in asked)))
    monkeypatch.setattr(guided, "GUIDANCE", 0.0)
    plain = teacher.velocity(mixed, sigma, told)
    nothing = teacher.velocity(mixed, sigma, captions.together([reader.silence()] * 2, 32))
    monkeypatch.setattr(guided, "GUIDANCE", 2.0)
    further = teacher.velocity(mixed, sigma, told)
    assert not torch.allclose(plain[0], nothing[0], atol=0.05)
    assert torch.allclose(further[0], plain[0] + 2 * (plain[0] - nothing[0]), atol=0.05)
    assert torch.allclose(further[1], nothing[1], atol=0.05)  # nothing asked for leads nowhere
    learner.begin_again()
    assert learner.step == 0
    encoder = learner.reading.encoder.parameters()
    assert all((one == 0).all() for one in (*learner.masters, *learner.model.parameters(), *encoder))


def test_captions_are_worn_by_any_marks_and_openings_unless_they_are_to_be_plain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(captions, "CORPUS", 300)
    monkeypatch.setattr(captions, "NOISY", 1.0)
    scene = Scene(figures=(Figure(shape="circle", colour="red", size="small"),), background="white")
    rng = random.Random(11)
    said = [captions.worn(scene, "en", rng) for _ in range(100)]
    assert sum(any(mark in text for mark in "|~*+=<>&^_#@%$") for text in said) > 30
    assert sum(text.lower().startswith(captions._OPENING_EN) for text in said) > 5
    tokenizer = components.tokenizer(captions.corpus(1))
    reader = captions.Reader.of(tokenizer)
    plain = [tokenizer.decode(reader.ask(scene, rng, plainly=True).tokens) for _ in range(100)]
    assert not any(mark in text.partition("user")[2].partition("<|")[0] for text in plain for mark in "~*+=<>&^_#@%$")
    pool = batches.Pool([scene], torch.zeros(1), torch.zeros(1), layout.Layouts(*[torch.zeros(1)] * 3))
    told = batches._plainly(pool, [(0, reader.silence()), (0, reader.ask(scene, rng))], reader, rng)
    assert told.slots[0].max() < 0 <= told.slots[1].max()


def test_an_adapter_is_trained_and_fits_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "SIZES", ((64, 2),))
    for steps in (1, 2):  # the second goes on where the first was broken off
        monkeypatch.setattr(adapter, "STEPS", steps)
        assert adapter.main([str(BUILTIN), str(tmp_path)]) == 0
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 2
    kept = load_file(tmp_path / "sketch.safetensors")
    shipped = load_file(ADAPTERS / "sketch.safetensors")
    assert {name: one.shape for name, one in kept.items()} == {name: one.shape for name, one in shipped.items()}
    assert any(one.abs().max() > 0 for name, one in kept.items() if "lora_B" in name)  # they begin as zeros
