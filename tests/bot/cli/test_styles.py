"""Styles on the command line: `moqi models list` names them, `moqi doctor` says what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import yaml

from inference.images.registry import SKETCH
from tests.bot.cli.installation import Installation
from tests.bot.cli.test_doctor import broken, examined
from tests.inference.images import loras
from tests.inference.images.loras import write


def test_styles_are_listed_and_a_broken_one_is_named(moqi: Installation, tmp_path: Path) -> None:
    [style] = [one for one in moqi("models", "list", "--json").json if one["kind"] == "style"]
    assert (style["name"], style["path"], style["in_use"]) == (SKETCH.name, str(SKETCH.path), True)
    write(tmp_path / "styles" / "ink.safetensors", loras.noise())
    cut = write(moqi.config / "墨.safetensors", loras.noise())
    cut.write_bytes(cut.read_bytes()[:-1])
    wanted = {"adapters": {"墨": {"path": cut.name, "weight": 0.8}}, "adapters_folder": str(tmp_path / "styles")}
    (moqi.config / "model.yaml").write_text(yaml.safe_dump({"image": wanted}), encoding="utf-8")
    listed = [one for one in moqi("models", "list", "--json").json if one["kind"] == "style"]
    assert [(one["name"], one["in_use"]) for one in listed] == [(SKETCH.name, True), ("ink", True), ("墨", False)]
    checks = examined(moqi)
    assert list(broken(checks)) == ["style 墨"]
    assert "its header promises" in broken(checks)["style 墨"]
    assert "ink (rank 2" in checks["styles"]["detail"]
