"""The picture check on a tiny ViT that is taught here that red is bad: a real checkpoint, nothing is downloaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from inference.errors import PictureCheckFailed
from inference.images.classifier import Classifier, examine
from inference.moderation import By, Decision, Limits, Verdict, weigh

LIMITS = Limits(review={"red": 0.5}, refuse={"red": 0.9})
RED, GREEN = (220, 20, 20), (20, 200, 20)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that knows red from what is not, after a second of teaching."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(1)
    config = ViTConfig(
        image_size=16,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        id2label={0: "plain", 1: "red"},
        label2id={"plain": 0, "red": 1},
    )
    model = ViTForImageClassification(config)
    base = torch.rand(64, 3, 1, 1).expand(-1, -1, 16, 16)
    wanted = ((base[:, 0, 0, 0] > 0.6) & (base[:, 1, 0, 0] < 0.4)).long()
    base = torch.cat([base, torch.tensor([[0.86, 0.1, 0.1], [0.1, 0.8, 0.1]])[:, :, None, None].expand(2, 3, 16, 16)])
    wanted = torch.cat([wanted, torch.tensor([1, 0])])
    learner = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model(base * 2 - 1).logits, wanted)
        learner.zero_grad()
        loss.backward()
        learner.step()
    folder = tmp_path_factory.mktemp("classifier")
    model.save_pretrained(folder)
    half = [0.5, 0.5, 0.5]
    shape = {"image_processor_type": "ViTImageProcessor", "size": {"height": 16, "width": 16}}
    (folder / "preprocessor_config.json").write_text(json.dumps({**shape, "image_mean": half, "image_std": half}))
    return folder


def picture(colour: tuple[int, int, int], size: int = 64) -> Image.Image:
    return Image.new("RGB", (size, size), colour)


def test_a_checkpoint_judges_pictures_of_any_size(checkpoint: Path) -> None:
    check = Classifier(checkpoint, LIMITS)
    bad = check.check(picture(RED, 100))
    assert (bad.decision, bad.by, bad.label) == (Decision.REFUSE, By.PICTURE, "red")
    assert bad.score is not None
    assert bad.score > 0.9
    assert check.check(picture(GREEN)).decision is Decision.ALLOW
    assert Classifier(checkpoint, Limits(review={"red": 0.5})).check(picture(RED)).decision is Decision.REVIEW


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
            "has no model.safetensors",
        ),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"version https://git-lfs"), "failed: "),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
    ],
)
def test_a_broken_checkpoint_judges_nothing(checkpoint: Path, tmp_path: Path, spoil, told: str) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint, folder)
    spoil(folder)
    with pytest.raises(PictureCheckFailed, match=told):
        Classifier(folder, LIMITS).check(picture(RED))


def test_a_label_that_the_checkpoint_does_not_have_is_named(checkpoint: Path) -> None:
    problem, step = examine(checkpoint, Limits(review={"rot": 0.5}))
    assert "has no label rot" in problem
    assert step == "Its labels are: plain, red."
    with pytest.raises(PictureCheckFailed, match="Its labels are: plain, red"):
        Classifier(checkpoint, Limits(review={"rot": 0.5})).check(picture(GREEN))


@pytest.mark.parametrize(
    ("scores", "decision", "label"),
    [
        ({"red": 0.4, "plain": 0.6}, Decision.ALLOW, ""),
        ({"red": 0.5, "plain": 0.5}, Decision.REVIEW, "red"),
        ({"red": 0.95, "plain": 0.05}, Decision.REFUSE, "red"),
        ({"red": 0.89, "blue": 0.99}, Decision.REVIEW, "blue"),
        ({}, Decision.ALLOW, ""),
    ],
)
def test_the_worst_label_decides(scores: dict[str, float], decision: Decision, label: str) -> None:
    limits = Limits(review={"red": 0.5, "blue": 0.3}, refuse={"red": 0.9})
    found = weigh(scores, limits)
    assert (found.decision, found.label) == (decision, label)


def test_a_verdict_is_kept_as_json() -> None:
    said = Verdict(decision=Decision.REVIEW, by=By.PICTURE, label="red", score=0.5, picture=2)
    assert Verdict.from_json(json.loads(json.dumps(said.to_json()))) == said
