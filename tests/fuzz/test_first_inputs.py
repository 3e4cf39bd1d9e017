"""What a fuzzer begins with, and what one ever found, each parser takes or refuses in words of ours."""

import random

import pytest

from tests.fuzz.targets import TARGETS, Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_first_inputs(target: Target) -> None:
    inputs = list(target.first_inputs())
    assert inputs
    for data in inputs:
        target.run(data)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_few_mutations(target: Target) -> None:
    """Not a search, which `make fuzz` is: only that a target is alive and no first mutation breaks it."""
    chance = random.Random(target.name)
    inputs = [data for data in target.first_inputs() if len(data) < 8192] or [b""]
    for _ in range(25):
        data = bytearray(chance.choice(inputs))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data) + 1)
            match chance.randrange(3):
                case 0:
                    data[at:at] = chance.randbytes(chance.randint(1, 4))
                case 1:
                    del data[at : at + chance.randint(1, 8)]
                case _:
                    data[at : at + 1] = chance.randbytes(1)
        target.run(bytes(data))
