"""How a cost grows with a size: the exponent of a power law through the measured points.

A cost that does not depend on the size has the exponent 0, one that is proportional to it 1. Where a fixed cost is
paid as well, the exponent of small sizes is too low: fit over the sizes that a repository will really have.
"""

import math
from collections.abc import Mapping

from table import Row


def exponent(costs: Mapping[float, float]) -> float:
    """Return the slope of log(cost) over log(size), by least squares.

    Raises:
        ValueError: fewer than two sizes, or one of the numbers is not above zero.
    """
    if len(costs) < 2 or min([*costs, *costs.values()]) <= 0:
        raise ValueError(f"no exponent can be fitted through {dict(costs)}")
    xs, ys = [math.log(size) for size in costs], [math.log(cost) for cost in costs.values()]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return above / sum((x - x_mean) ** 2 for x in xs)


def growth(work: str, costs: Mapping[float, float], *, aim: str = "") -> Row:
    """Return the row that tells how ``work`` grows over the sizes measured."""
    sizes = f"{min(costs):,.0f} to {max(costs):,.0f}"
    return Row(
        work=f"growth of {work}", figure=exponent(costs), unit="(exponent)", against=f"sizes {sizes}", aim=aim
    )
