"""Tides."""

import toolz

HEIGHT = toolz.last([1, 2, 3])
