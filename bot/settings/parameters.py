"""parameters.yaml: what a picture's numbers may be, and how they are explained."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

from bot.commands.rules import SEED_MAX, Bounds, SizeRule
from bot.settings.base import Section

SizeText = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$")]
Value = TypeVar("Value", int, float)


class Description(Section):
    """One text in both languages."""

    zh: str
    en: str


class Parameter(Section):
    """What the parameters have in common: whatever is left out is filled from the shipped ones."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required", None))


class Number(Parameter, Generic[Value]):
    """A number of a picture."""

    default: Value | None = Field(default=None, description="null = what the model was made for.")
    min: Value = Field(ge=0)
    max: Value = Field(ge=0)
    choices: tuple[Value, ...] = Field(default=(), description="When given, the only values allowed.")
    description: Description

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: swap them")
        outside = [c for c in self.choices if not self.min <= c <= self.max]
        if outside:
            raise ValueError(f"choice {outside[0]:g} is outside {self.min:g}..{self.max:g}")
        if self.default is not None and not self.bounds(self.default).allows(self.default):
            allowed = ", ".join(f"{c:g}" for c in self.choices) or f"{self.min:g}..{self.max:g}"
            raise ValueError(f"default {self.default:g} is not allowed: {allowed}")
        return self

    def bounds(self, otherwise: float) -> Bounds:
        """The allowed values; `otherwise` is the default where none is set."""
        wide = Bounds(
            low=self.min,
            high=self.max,
            default=otherwise if self.default is None else self.default,
            choices=self.choices,
        )
        return wide.within(self.min, self.max)


def _sides(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


class Size(Parameter):
    """Width and height of a picture, in pixels."""

    default: SizeText | None = Field(default=None, description="null = what the model was made for.")
    min: int = Field(ge=16, description="Shortest side.")
    max: int = Field(le=8192, description="Longest side.")
    choices: tuple[SizeText, ...] = Field(default=(), description="When given, the only sizes allowed.")
    description: Description

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        rule = self.rule(SizeRule().default)
        for name, size in (*(("choice", c) for c in rule.choices), ("default", rule.default)):
            if rule.problem(*size):
                wanted = f"sides {self.min}..{self.max}, multiples of {rule.multiple}"
                listed = f", one of {', '.join(self.choices)}" if self.choices else ""
                raise ValueError(f"{name} {size[0]}x{size[1]} is not allowed: {wanted}{listed}")
        return self

    def rule(self, otherwise: tuple[int, int]) -> SizeRule:
        """The allowed sizes; the one nearest to `otherwise` is the default where none is set."""
        wide = SizeRule(
            min_side=self.min,
            max_side=self.max,
            max_pixels=self.max * self.max,
            choices=tuple(_sides(c) for c in self.choices),
        )
        return replace(wide, default=_sides(self.default) if self.default else wide.nearest(*otherwise))


class Seed(Parameter):
    """The number that the noise is made from."""

    default: int | None = Field(default=None, ge=0, le=SEED_MAX, description="null = a new one for every picture.")
    min: int = Field(default=0, ge=0, le=0)
    max: int = Field(default=SEED_MAX, ge=SEED_MAX, le=SEED_MAX)
    description: Description


class Prompt(Parameter):
    """The words a picture is drawn from."""

    default: str = Field(default="", max_length=0, description="Always empty: a picture needs words of its own.")
    min: int = Field(default=1, ge=1, le=1, description="Fewest characters.")
    max: int = Field(default=2000, ge=10, le=10_000, description="Most characters, of questions too.")
    description: Description


class Parameters(Section):
    """parameters.yaml. What a parameter leaves out stays as shipped: `steps: {max: 12}` is enough."""

    prompt: Prompt = Prompt(
        description=Description(
            zh="想画的内容。中文、英文都可以，写清主体、动作、场景和风格。",
            en="What to draw: subject, action, scene and style, in Chinese or English.",
        )
    )
    size: Size = Size(
        min=64,
        max=2048,
        description=Description(
            zh="图片的宽x高（像素），边长须是 16 的倍数；也可以用 --ar 16:9 只给比例。",
            en="Width x height in pixels, multiples of 16; or give only the ratio: --ar 16:9.",
        ),
    )
    steps: Number[int] = Number[int](
        min=1,
        max=50,
        description=Description(
            zh="去噪步数。越多越慢，超过默认值按比例多计额度。",
            en="Denoising steps. More is slower, and beyond the default costs more units.",
        ),
    )
    cfg_scale: Number[float] = Number[float](
        min=0,
        max=20,
        description=Description(
            zh="引导强度。Z-Image-Turbo 不用引导，只接受 0。",
            en="Guidance strength. Z-Image-Turbo works without it and takes only 0.",
        ),
    )
    count: Number[int] = Number[int](
        default=1,
        min=1,
        max=4,
        description=Description(zh="一次画几张，每张分别计额度。", en="How many pictures; each counts."),
    )
    seed: Seed = Seed(
        description=Description(
            zh="随机种子。种子和参数都相同，画出来的图就相同；不写则每次不同，random 表示换一个。",
            en="Random seed. The same seed with the same settings draws the same picture; random picks a new one.",
        )
    )

    @model_validator(mode="before")
    @classmethod
    def _over_shipped(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: _merged(cls.model_fields.get(name), value) for name, value in data.items()}


def _merged(field: FieldInfo | None, value: Any) -> Any:
    shipped = field.default.model_dump() if field is not None and isinstance(field.default, Section) else {}
    return {**shipped, **value} if isinstance(value, dict) else value
