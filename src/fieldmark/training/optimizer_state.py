"""The state of an optimizer as tensors and plain values, and put back bit for bit.

In: a torch optimizer. Out: what a checkpoint can hold; and the same optimizer, built anew, as if
it had never been away. Not covered: the parameters themselves.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fieldmark.base.errors import RunError

IMPLEMENTATION = ("params", "fused", "foreach", "capturable", "differentiable")
"""Options of a group that say how a step is computed, not what: they suit the device that the
optimizer was built on, so they are not taken from the state."""


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the state as tensors (of the optimizer, not copied) and plain JSON values.

    A tensor is named `<position of its parameter>.<its name in the state>`.
    """
    content = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    values: dict[str, dict[str, Any]] = {}
    for position, entries in content["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{position}.{name}"] = value
            else:
                values.setdefault(str(position), {})[name] = value
    groups = [
        {name: value for name, value in group.items() if name not in IMPLEMENTATION}
        for group in content["param_groups"]
    ]
    plain = {
        "optimizer": type(optimizer).__name__,
        "shapes": _shapes(optimizer),
        "groups": groups,
        "values": values,
    }
    return tensors, plain


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]
) -> None:
    """Give `optimizer` the state that `optimizer_state` returned; `tensors` are copied.

    Raises:
        RunError: the state is that of another kind of optimizer or of other parameters.
    """
    _require_same(optimizer, plain)
    state: dict[int, dict[str, Any]] = {
        int(position): dict(values) for position, values in plain["values"].items()
    }
    for key, value in tensors.items():
        position, _, name = key.partition(".")
        state.setdefault(int(position), {})[name] = value.clone()
    groups = [
        {**present, **_like(present, saved)}
        for present, saved in zip(
            optimizer.state_dict()["param_groups"], plain["groups"], strict=True
        )
    ]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _like(present: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the saved options, with JSON's lists as tuples where the present ones are tuples."""
    return {
        name: tuple(value) if isinstance(present.get(name), tuple) else value
        for name, value in saved.items()
    }


def _shapes(optimizer: torch.optim.Optimizer) -> list[list[list[int]]]:
    """Return the shape of each parameter of each group."""
    return [[list(value.shape) for value in group["params"]] for group in optimizer.param_groups]


def _require_same(optimizer: torch.optim.Optimizer, plain: Mapping[str, Any]) -> None:
    kind = type(optimizer).__name__
    if plain["optimizer"] != kind:
        raise RunError(
            f"The checkpoint is of the optimizer {plain['optimizer']}, this run's is {kind}. "
            "Go on with the recipe that the run began with."
        )
    if plain["shapes"] != (shapes := _shapes(optimizer)):
        raise RunError(
            f"The checkpoint is of {_told(plain['shapes'])}, this run trains {_told(shapes)} or "
            "others of other shapes. Go on with the recipe that the run began with."
        )


def _told(shapes: Sequence[Sequence[Sequence[int]]]) -> str:
    return f"{sum(map(len, shapes))} parameters in {len(shapes)} groups"
