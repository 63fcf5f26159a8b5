"""Map the parameters of a model in memory to tensors in its files.

transformers renames and fuses tensors when it loads a model. For example, Mixtral's files have one tensor for each
matrix of an expert (`block_sparse_moe.experts.3.w1.weight`), and the model in memory has one parameter for all
experts of a layer (`mlp.experts.gate_up_proj`). This module applies the rules of transformers to the names in the
files, and records for each parameter the tensor, or the part of a tensor, that holds its values. In the map, each
expert has its own matrices, as in a model after `unfuse_experts`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from faq_tui.core.models.experts import EXPERT_PARTS, Layout, fused_blocks, transposed_matrices

WEIGHT = ".weight"


@dataclass(frozen=True)
class Place:
    """A tensor in the files, or a part of it, or several tensors that are joined.

    `expert` is an index along the first axis. If `transposed` is true, the files have the axes [in, out] instead of
    [out, in]. `rows` selects output rows; None selects all of them. `more` has the names of further tensors, whose
    rows follow those of `tensor`.
    """

    tensor: str
    expert: int | None = None
    transposed: bool = False
    rows: slice | None = None
    more: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """True if the parameter is one whole tensor."""
        return self.expert is None and self.rows is None and not self.more

    @property
    def tensors(self) -> tuple[str, ...]:
        return (self.tensor, *self.more)

    def of(self, *tensors: Any) -> Any:
        """The parameter, computed from `tensors`. It is a view if there is only one tensor."""
        import torch

        tensor = torch.cat(tensors) if self.more else tensors[0]
        part = tensor if self.expert is None else tensor[self.expert]
        part = part.mT if self.transposed else part
        return part if self.rows is None else part[self.rows]


@dataclass(frozen=True)
class TensorMap:
    """`places` maps each parameter of a model, by its name in memory, to its place in the files.

    `biased` holds the names of the blocks of experts that have biases.
    """

    places: Mapping[str, Place]
    biased: frozenset[str] = frozenset()
    _blocks: Mapping[str, Layout] = field(default_factory=dict)
    _loose: frozenset[str] = frozenset()  # matrices of experts whose name in the files is also in the map

    @classmethod
    def of(
        cls,
        model: Any,
        stored: Iterable[str],
        decoded: Container[str] = (),
        shapes: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
    ) -> TensorMap:
        """The map of `model`, whose experts are fused by transformers. `stored` has the names of the tensors
        in the model's files.

        `decoded` has the names of the tensors that are computed from codes; their axes are always [out, in].
        `shapes` has the shapes of tensors in the files: transformers swaps the axes of some tensors only if their
        shape differs from the shape of the parameter.
        The map leaves out a parameter if the files have no tensor for it, or if transformers computes it in a way
        that the map cannot describe.
        """
        blocks = dict(fused_blocks(model))
        single = dict.fromkeys(_single_matrices(blocks), True)
        keys = {**model.state_dict(), **single}
        found = dict(_sources(model, stored, keys, shapes))
        places = {key: parts[0][0] for key, parts in found.items() if len(parts) == len(parts[0]) == 1}
        for name in transposed_matrices(model):
            if (key := f"{name}{WEIGHT}") in places and places[key].tensor not in decoded:
                places[key] = replace(places[key], transposed=True)
        for block, layout in blocks.items():
            for parameter in layout.parameters:
                places.pop(f"{block}.{parameter}", None)
                if f"{block}.{parameter}" in found:
                    places |= _of_experts(block, parameter, layout, found[f"{block}.{parameter}"])
        biased = frozenset(block for block, layout in blocks.items() if layout.biased)
        return cls(places, biased, blocks, frozenset(single.keys() & found.keys()))

    def module(self, name: str) -> str:
        """The name in the files for the module that has the name `name` in memory.

        For a part of a fused tensor `experts.gate_up_proj`, the result is the name that servers use, such as
        `experts.3.gate_proj`.
        """
        place = self.places.get(f"{name}{WEIGHT}")
        if place is None or (place.expert is None and not place.whole):
            return name
        if place.whole:
            return place.tensor.removesuffix(WEIGHT)
        stem, _, last = place.tensor.removesuffix(WEIGHT).rpartition(".")
        number, part = name.split(".")[-2:]
        known = last in ("gate_up_proj", "down_proj") and place.tensor.endswith(last)
        return f"{stem if known else f'{stem}.{last}'}.{number}.{part}"

    def refusal(self, modules: Iterable[str], packed: bool) -> str:
        """The reason why quantized `modules` cannot be written into the files; "" if there is none.

        If `packed` is true, a module is written as several tensors, which no fused tensor can hold.
        """
        for name in modules:
            place = self.places.get(f"{name}{WEIGHT}")
            if place is None:
                return f"its files have no tensor for the weights of {name}"
            if place.more:
                return f"its files store the weights of {name} as {len(place.tensors)} tensors, one is {place.tensor}"
            if place.whole and not place.tensor.endswith(WEIGHT):
                return f"its files store the weights of {name} as {place.tensor}, which is an unknown form"
            if not packed or place.whole:
                continue
            if place.expert is None:
                return f"its files store the weights of {name} as a part of {place.tensor}, which cannot be packed"
            block = name.rsplit(".", 2)[0]
            if block in self.biased or not place.tensor.endswith(tuple(EXPERT_PARTS)):
                return (
                    f"its files store all experts of a layer as one tensor {place.tensor}, "
                    "and no server reads packed weights of such experts"
                )
        return ""

    def restored(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Give `state` the form of the unquantized files. `state` maps names in an artefact's files to dense tensors.

        Matrices of experts that transformers cannot fuse by its own rules are fused here. The map must have been
        made from the names in `state`.
        """
        result = dict(state)
        for block, layout in self._blocks.items():
            for parameter, parts in EXPERT_PARTS.items():
                if f"{block}.0.{parts[0]}{WEIGHT}" in self._loose:
                    rows = [
                        [self.places[f"{block}.{expert}.{part}{WEIGHT}"].tensor for part in parts]
                        for expert in range(layout.count)
                    ]
                    stem = rows[0][0].removesuffix(f".0.{parts[0]}{WEIGHT}")
                    result[f"{stem}.{parameter}"] = layout.fused([[result.pop(name) for name in one] for one in rows])
        return result


def _single_matrices(blocks: Mapping[str, Layout]) -> Iterator[str]:
    """The names of all experts' weights after the experts are split into single matrices."""
    for block, layout in blocks.items():
        for expert in range(layout.count):
            for parts in EXPERT_PARTS.values():
                yield from (f"{block}.{expert}.{part}{WEIGHT}" for part in parts)


def _of_experts(block: str, parameter: str, layout: Layout, parts: list[list[Place]]) -> dict[str, Place]:
    """The places of the single matrices of `block.parameter`, a fused parameter."""
    inner, suffix = layout.inner(parameter), layout.suffix(parameter)
    if len(parts) == 1 and len(parts[0]) == 1:  # one tensor holds all experts
        place = parts[0][0]
        return {
            f"{block}.{expert}.{part}.{suffix}": Place(
                place.tensor, expert, place.transposed != (layout.transposed and suffix == "weight"), rows
            )
            for expert in range(layout.count)
            for part, rows in inner.items()
        }
    if len(parts) != len(inner) or any(len(one) != layout.count for one in parts):
        return {}
    return {
        f"{block}.{expert}.{part}.{suffix}": place
        for part, places in zip(inner, parts, strict=True)
        for expert, place in enumerate(places)
    }


def _sources(
    model: Any, stored: Iterable[str], keys: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[str, list[list[Place]]]]:
    """Yield (name of a parameter in memory, places). `places` has a list for each part: one `Place` per expert."""
    from transformers import core_model_loading
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import (
        Chunk,
        Concatenate,
        MergeModulelist,
        Transpose,
        WeightConverter,
        WeightRenaming,
        dot_natural_key,
        rename_source_key,
    )

    divisions = [[Chunk], [getattr(core_model_loading, "Split", Chunk)]]  # transformers 5.17 has no Split
    rules = get_model_conversion_mapping(model)
    renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
    converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
    by_pattern = {pattern: rule for rule in converters for pattern in rule.source_patterns}
    collected: dict[str, tuple[Any, dict[str, list[str]]]] = {}
    for name in sorted(stored, key=dot_natural_key):
        key, pattern = rename_source_key(name, renamings, converters, model.base_model_prefix, keys)
        if key not in keys and name in keys:  # a rule fits a name that the model already has
            key, pattern = name, None
        if pattern is not None and key in keys:
            collected.setdefault(key, (by_pattern[pattern], {}))[1].setdefault(pattern, []).append(name)
        elif key in keys:
            yield key, [[Place(name)]]
    for key, (rule, names) in collected.items():
        kinds = [type(one) for one in rule.operations]
        lists = [[Place(name) for name in names.get(pattern, [])] for pattern in rule.source_patterns]
        if kinds in ([MergeModulelist], [MergeModulelist, Concatenate]) and len(rule.target_patterns) == 1:
            if all(lists):
                yield key, lists
        elif kinds == [Concatenate] and rule.operations[0].dim == 0 and len(rule.target_patterns) == 1:
            first, *more = (place.tensor for one in lists for place in one)
            if all(lists):
                yield key, [[Place(first, more=tuple(more))]]
        elif kinds in divisions and rule.operations[0].dim == 0 and len(lists) == len(lists[0]) == 1:
            yield from _rows_of(
                lists[0][0].tensor, [key.replace(rule.target_patterns[0], to) for to in rule.target_patterns], keys
            )
        elif kinds == [Transpose] and len(lists) == len(lists[0]) == 1:
            alike = shapes.get(lists[0][0].tensor) == tuple(getattr(keys[key], "shape", ()))
            same = getattr(rule.operations[0], "check_dims", False) and alike
            yield key, [[replace(lists[0][0], transposed=not same)]]


def _rows_of(tensor: str, names: list[str], keys: Mapping[str, Any]) -> Iterator[tuple[str, list[list[Place]]]]:
    """The places of parameters whose rows follow one another in `tensor`."""
    start = 0
    for name in names:
        if name not in keys:
            return
        rows = slice(start, start := start + len(keys[name]))
        yield name, [[Place(tensor, rows=rows)]]
