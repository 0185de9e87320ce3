"""A backbone in groups of layers by their depth, to train some of them or each at its own rate.

In: a `FeatureExtractor`. Out: its parameters and modules in groups from input to output.
Not covered: what training mode frozen modules are put into (see `freezing`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from timm.models import group_parameters
from torch import nn

from fieldmark.base.errors import RecipeError
from fieldmark.models.extractor import FeatureExtractor


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthGroup:
    """Layers at about the same depth.

    `parameters` are each in one group only. `modules` are the largest whose parameters all belong
    to the group; a parameter of no such module, such as a position embedding, is in `parameters`
    alone.
    """

    name: str
    parameters: tuple[nn.Parameter, ...]
    modules: tuple[nn.Module, ...]


def depth_groups(extractor: FeatureExtractor) -> tuple[DepthGroup, ...]:
    """Return the groups of a backbone from input to output; every parameter is in exactly one.

    They are the coarse ones of timm's `group_matcher`: of a ResNet the stem and its four layers.
    A backbone without one is divided into its children, those that only hold stages into these.
    Layers without a weight of two or more dimensions, such as a last normalisation, are no group
    of their own.
    """
    backbone = extractor.backbone
    held = dict(backbone.named_parameters())
    stages = _joined(_by_matcher(backbone) or _by_child(backbone), held)
    depths = {name: depth for depth, names in enumerate(stages) for name in names}
    modules = _modules_of_one_depth(backbone, depths)
    return tuple(
        DepthGroup(
            name=_name(depth, tuple(modules[depth]) or names),
            parameters=tuple(held[name] for name in names),
            modules=tuple(modules[depth].values()),
        )
        for depth, names in enumerate(stages)
    )


def freeze_below(extractor: FeatureExtractor, *, trained: int) -> tuple[DepthGroup, ...]:
    """Let no parameter learn but those of the last `trained` groups; return the frozen groups.

    Those of the last groups are left as they are.

    Args:
        extractor: changed in place.
        trained: From 0 (every group is frozen) to the number of groups.

    Raises:
        RecipeError: there are fewer groups.
    """
    groups = depth_groups(extractor)
    if not 0 <= trained <= len(groups):
        names = ", ".join(group.name for group in groups)
        raise RecipeError(
            f"train.last_stages is {trained}; this backbone has {len(groups)} to train, "
            f"from input to output: {names}. Lower train.last_stages, or set train.strategy "
            'to "all".'
        )
    frozen = groups[: len(groups) - trained]
    for group in frozen:
        for parameter in group.parameters:
            parameter.requires_grad = False
    return frozen


def _by_matcher(backbone: nn.Module) -> list[list[str]]:
    """Return the names of the parameters, group by group; empty without a matcher of timm's."""
    try:
        matcher = backbone.group_matcher(coarse=True)  # type: ignore[operator]
        return list(group_parameters(backbone, matcher).values())
    except (AttributeError, AssertionError, NotImplementedError, TypeError):
        # Several of timm's networks have none, or none that is coarse, each in its own way.
        return []


def _by_child(backbone: nn.Module) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for name, _ in backbone.named_parameters():
        child, _, rest = name.partition(".")
        if rest and _holds_stages(backbone.get_submodule(child)):
            child = f"{child}.{rest.partition('.')[0]}"
        groups.setdefault(child if rest else "", []).append(name)
    # What stands beside the children, such as a class token, goes in with the first of them.
    beside = groups.pop("", [])
    first, *others = groups.values() or [[]]
    return [[*beside, *first], *others]


def _holds_stages(module: nn.Module) -> bool:
    """Return whether the module is a list of modules that all have parts themselves."""
    is_list = isinstance(module, nn.Sequential | nn.ModuleList)
    return is_list and all(any(True for _ in child.children()) for child in module.children())


def _joined(groups: Sequence[list[str]], held: Mapping[str, nn.Parameter]) -> list[list[str]]:
    """Return the groups with those that hold only vectors, such as norms, in the one before."""
    joined: list[list[str]] = []
    for names in groups:
        is_thin = all(held[name].ndim < 2 for name in names)
        first_is_thin = len(joined) == 1 and all(held[name].ndim < 2 for name in joined[0])
        if joined and (is_thin or first_is_thin):
            joined[-1].extend(names)
        else:
            joined.append(list(names))
    return joined


def _modules_of_one_depth(
    backbone: nn.Module, depths: Mapping[str, int]
) -> dict[int, dict[str, nn.Module]]:
    """Return, for each depth, the largest modules with all their parameters at that depth."""
    found: dict[int, dict[str, nn.Module]] = defaultdict(dict)
    pending = [("", backbone)]
    while pending:
        path, module = pending.pop(0)
        prefix = f"{path}." if path else ""
        inside = {depth for name, depth in depths.items() if name.startswith(prefix)}
        if len(inside) == 1:
            found[inside.pop()][path] = module
        elif inside:
            pending[:0] = [(f"{prefix}{name}", child) for name, child in module.named_children()]
    return found


def _name(depth: int, members: Sequence[str]) -> str:
    first, last = members[0], members[-1]
    if first == last:
        return first or "all"
    return "stem" if depth == 0 else f"{first} to {last}"
