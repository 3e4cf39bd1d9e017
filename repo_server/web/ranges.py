"""The part of a file that a Range header asks for (RFC 9110 section 14), pure.

Only one range of bytes is served. Everything else (several ranges, other units, malformed) is ignored, which the
RFC allows and which clients handle: they get the whole file with 200. Werkzeug would answer 416 to these, and
several ranges in one answer are an amplifier for attackers (CVE-2011-3192).
"""

import re
from dataclasses import dataclass

# 18 digits are more than any file has bytes, and int() of unbounded digits is quadratic.
_ONE_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Span:
    """``length`` bytes from ``start``."""

    start: int
    length: int

    def content_range(self, size: int) -> str:
        """Return the Content-Range of this span of a file of ``size`` bytes."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


class UnsatisfiableRangeError(Exception):
    """The range lies behind the end of the file, which has ``size`` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"not one of {size} bytes")
        self.size = size


def parse_range(header: str | None, size: int) -> Span | None:
    """Return what ``header`` asks of a file of ``size`` bytes; None when the whole file is to be served.

    Raises:
        UnsatisfiableRangeError: a well-formed range without a single byte of the file.
    """
    match = _ONE_RANGE.fullmatch(header.strip(" \t")) if header else None
    if match is None or match[0].endswith("=-"):
        return None
    first, last = match[1], match[2]
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= size:
        raise UnsatisfiableRangeError(size)
    return Span(start, end - start)
