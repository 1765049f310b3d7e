# SPDX-License-Identifier: MIT
"""Numbers that stand for names, so that a unit needs two bytes for one; bounded, since names come from messages.

Pure.
"""

from __future__ import annotations

__all__ = ["OTHERS", "Carriers", "Names"]

#: The bit of all bridges for which no bit is left; nothing is concluded from how often they carried something.
OTHERS = 1 << 15


class Names:
    """Names by number. 0 is the empty name, and all that there is no room for."""

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self.numbers: dict[str, int] = {"": 0}
        self._names = [""]

    def number(self, name: str) -> int:
        """The number that stands for the name."""
        number = self.numbers.get(name)
        if number is None:
            if len(self._names) >= self._most or len(name) > 255:
                return 0
            number = self.numbers[name] = len(self._names)
            self._names.append(name)
        return number

    def name(self, number: int) -> str:
        """The name that the number stands for."""
        return self._names[number]


class Carriers:
    """A bit for each bridge that was seen lately, fifteen at most."""

    def __init__(self) -> None:
        self.bits: dict[str, int] = {}
        self.used = 0
        self._before = 0

    def bit(self, carrier: str) -> int:
        """The bit of a bridge that has none yet, or has."""
        bit = self.bits.get(carrier)
        if bit is not None:
            return bit
        taken = set(self.bits.values())
        for place in range(15):
            if 1 << place not in taken:
                self.bits[carrier] = 1 << place
                return 1 << place
        return OTHERS

    def named(self, bits: int) -> list[str]:
        """The bridges of these bits."""
        return [carrier for carrier, bit in self.bits.items() if bits & bit]

    def sweep(self) -> None:
        """Free the bits of those that were not seen since the sweep before the last."""
        used, self._before, self.used = self.used | self._before, self.used, 0
        self.bits = {carrier: bit for carrier, bit in self.bits.items() if bit & used}
