"""What becomes of a damaged or cut-off file: what can be decoded is loaded and a line says what is missing.

Where the user asks for it (``on_damage``), the load fails instead.
"""

from __future__ import annotations

LOAD, FAIL = "load what is there", "fail"
ON_DAMAGE = (LOAD, FAIL)  # in the order in which the nodes offer them
