"""Compare two models. The names and the lineage of the models identify their families.

If names and lineage identify no family, the configuration and tokenizer files decide.

Two models with equal tokenizer files can belong to different families. For example, DeepSeek-R1-0528-Qwen3-8B has the
tokenizer configuration of DeepSeek, but it was tuned from Qwen3-8B. The FAQ paper (arXiv 2601.11200, table 4) takes
Qwen3-235B-A22B as the larger member of its family.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from faq_tui.core.family.known import ModelFamily, bare_name, billions, by_config, by_name, is_teacher
from faq_tui.core.models.model_files import ModelFiles

FAMILY, SAME_TOKENIZER, STRANGER = "family", "same tokenizer", "stranger"
# The number of parameters in a model's name is rounded. If one size comes from a name and the other one from the
# weights, the source counts as larger only if it exceeds the target by this factor.
CLEARLY_LARGER = 1.25


@dataclass(frozen=True)
class ModelProfile:
    """The known facts about one model."""

    name: str
    files: ModelFiles | None = None
    reported: int | None = None  # number of parameters that the model's server reports

    @cached_property
    def _placed(self) -> tuple[ModelFamily | None, str]:
        if family := by_name(self.name):
            return family, f"{self.title} is a name of the {family.title} family"
        if self.files is None:
            return None, ""
        for name in self.files.lineage:
            if family := by_name(name):
                origin = f"{bare_name(name)} of the {family.title} family"
                return family, f"{self.title} was made from {origin}, according to its files"
        family = by_config(self.files.model_type, self.files.vocab_size)
        return family, f"{self.title} has the configuration of the {family.title} family" if family else ""

    @property
    def family(self) -> ModelFamily | None:
        return self._placed[0]

    @property
    def why(self) -> str:
        """A sentence that says how the family was identified; "" if the family is unknown."""
        return self._placed[1]

    @property
    def model_types(self) -> frozenset[str]:
        """The possible model types of the model.

        If config.json names a type that the family does not have, the result is only that type. Otherwise the result
        is all model types of the family.
        """
        own = self.files.model_type if self.files else None
        siblings = frozenset(self.family.model_types) if self.family else frozenset()
        if own is None:
            return siblings
        return siblings if own in siblings else frozenset({own})

    @property
    def title(self) -> str:
        return self.name.rstrip("/").rpartition("/")[2] or self.name

    @property
    def billions(self) -> float | None:
        return billions(self.name)

    @cached_property
    def counted(self) -> float | None:
        """The number of parameters that the server reports or that the weights have, in billions."""
        parameters = self.reported or (self.files.parameters if self.files else None)
        return parameters / 1e9 if parameters else None


@dataclass(frozen=True)
class Kinship:
    """The relation between a source and the target."""

    verdict: str  # "family", "same tokenizer" or "stranger"
    reasons: tuple[str, ...]
    itself: bool = False  # True if the source is the target
    larger: bool | None = None  # True if the source is larger than the target; None if a size is unknown
    known: bool = True  # False if the verdict "stranger" is not certain, because facts are missing
    sizes: str = ""  # the sizes of the source and the target in words; "" if a size is unknown

    @property
    def not_larger(self) -> str:
        """Say that the source is not larger than the target, and why; "" if it is larger or a size is unknown."""
        if self.larger is not False:
            return ""
        why = "it is the same model" if self.itself else self.sizes
        return f"the source is not larger than the target: {why}, so do not expect a gain"


def kinship(target: ModelProfile, source: ModelProfile) -> Kinship:
    """Return how `source` is related to `target`, and the reasons. Only local files are read."""
    if bare_name(target.name) and bare_name(target.name) == bare_name(source.name):
        return Kinship(FAMILY, (f"{source.title} is the target itself",), itself=True, larger=False)
    larger, sizes = _compare_sizes(target, source)
    architecture = _same_architecture(target, source)
    vocabulary = None
    if target.files and source.files:
        vocabulary = target.files.same_vocabulary(source.files)
    verdict, known = _decide(target, source, architecture, vocabulary)
    reasons = (*_of_names(target, source), *_of_files(target, source, architecture, vocabulary))
    if not known:
        reasons += (f"no file on this machine identifies the family of {_unplaced(target, source)}",)
    return Kinship(verdict, reasons, larger=larger, known=known, sizes=sizes)


def _compare_sizes(target: ModelProfile, source: ModelProfile) -> tuple[bool | None, str]:
    """Returns (larger, sizes) of a Kinship.

    If possible, both sizes come from names, or both are numbers of parameters that were counted or reported.
    """
    ours, theirs, factor = target.billions, source.billions, 1.0
    if ours is None or theirs is None:
        ours, theirs = target.counted, source.counted
    if ours is None or theirs is None:
        ours, theirs, factor = target.billions or ours, source.billions or theirs, CLEARLY_LARGER
    if ours is None or theirs is None:
        return None, ""
    return theirs > ours * factor, f"it has {_in_words(theirs)} parameters, and the target has {_in_words(ours)}"


def _in_words(billions: float) -> str:
    return f"{billions:.3g} billion" if billions >= 1 else f"{billions * 1000:.3g} million"


def _decide(
    target: ModelProfile, source: ModelProfile, architecture: bool | None, vocabulary: bool | None
) -> tuple[str, bool]:
    """Returns (verdict, known).

    `known` is False if the verdict "stranger" is not certain, because facts are missing.
    """
    if target.family and source.family:
        if target.family.id == source.family.id:
            contradicted = architecture is False and vocabulary is False
            return (STRANGER if contradicted else FAMILY), True
        return (SAME_TOKENIZER if vocabulary else STRANGER), True
    if vocabulary and architecture and _same_turns(target, source):
        return FAMILY, True
    if vocabulary:
        return SAME_TOKENIZER, True
    return STRANGER, architecture is False or vocabulary is False


def _same_architecture(target: ModelProfile, source: ModelProfile) -> bool | None:
    if not (target.model_types and source.model_types):
        return None
    return bool(target.model_types & source.model_types)


def _same_turns(target: ModelProfile, source: ModelProfile) -> bool:
    """True if both models have the same chat template or the same special tokens."""
    ours, theirs = target.files, source.files
    if ours is None or theirs is None:
        return False
    if ours.chat_template and ours.chat_template == theirs.chat_template:
        return True
    return bool(ours.special_tokens) and ours.special_tokens == theirs.special_tokens


def _unplaced(target: ModelProfile, source: ModelProfile) -> str:
    return " or ".join(p.title for p in (source, target) if p.family is None) or source.title


def _of_names(target: ModelProfile, source: ModelProfile) -> Iterator[str]:
    yield from (profile.why for profile in (target, source) if profile.why)
    if is_teacher(source.name, target.name):
        yield f"{target.title} was distilled from {source.title}, so this source is a teacher and not an elder"


def _of_files(
    target: ModelProfile, source: ModelProfile, architecture: bool | None, vocabulary: bool | None
) -> Iterator[str]:
    if architecture is not None:
        ours, theirs = (" or ".join(sorted(p.model_types)) for p in (target, source))
        yield f"the same architecture ({ours})" if architecture else f"another architecture: {theirs}, not {ours}"
    if vocabulary is not None:
        yield f"{'equal' if vocabulary else 'different'} vocabulary and merges"
    a, b = target.files, source.files
    if a is None or b is None:
        return
    if a.special_tokens and b.special_tokens:
        yield f"{'equal' if a.special_tokens == b.special_tokens else 'different'} special tokens"
    if a.chat_template and b.chat_template:
        yield f"{'equal' if a.chat_template == b.chat_template else 'different'} chat templates"
