"""The blocks of a network in Keras, and where it can be cut in two. Pure: it only looks at names and connections."""

import re
from typing import Any

from orchard.errors import UsageError

# `block_16`, `blocks.15`, `block7a`, `conv5_block3`, `convnext_tiny_stage_3_block_2`, `expanded_conv_14`.
_BLOCK = re.compile(r"(?:.+_)?(?:blocks?[._]?\d+[a-z]?|expanded_conv(?:_\d+)?)(?=[._])")


def block_names(model: Any) -> list[str]:
    """The blocks of a Keras model by the names of its layers, in order."""
    found = (_BLOCK.match(operation.name) for operation in model.operations)
    return list(dict.fromkeys(match[0] for match in found if match))


def cut_before(model: Any, blocks: int) -> Any:
    """The last operation before the last `blocks` blocks through which everything passes.

    `UsageError` where the network has fewer blocks, or begins with the first of them.
    """
    names = block_names(model)
    if not 1 <= blocks <= len(names):
        raise UsageError(f"--blocks must be from 1 to {len(names)}, the blocks of this network, not {blocks}")
    operations = list(model.operations)
    first = next(n for n, operation in enumerate(operations) if _is_in(operation, names[-blocks]))
    cuts = [n for n in narrow_places(operations) if 0 < n < first]  # operation 0 is the input
    if not cuts:
        raise UsageError(f"--blocks {blocks} is the whole network: give fewer")
    return operations[cuts[-1]]


def _is_in(operation: Any, name: str) -> bool:
    match = _BLOCK.match(operation.name)
    return match is not None and match[0] == name


def narrow_places(operations: list[Any]) -> list[int]:
    """Numbers of the operations after which nothing but their own output is still needed."""
    last_use = {id(tensor): n for n, operation in enumerate(operations) for tensor in _inputs(operation)}
    found, needed = [], -1
    for number, operation in enumerate(operations):
        if needed <= number:
            found.append(number)
        needed = max(needed, last_use.get(id(operation.output), -1))
    return found


def _inputs(operation: Any) -> list[Any]:
    node = operation._inbound_nodes[0]  # the first call; no network here shares a layer
    return list(node.input_tensors)
