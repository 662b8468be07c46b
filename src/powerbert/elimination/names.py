"""The choices of a setting, for checks that import no torch."""

SELECTIONS = ("attn", "head", "rand")
"""Which word-vectors an extract layer retains (section 2.1)."""

SIGNIFICANCES = ("received", "cls")
"""What counts: the attention that a word receives from all words (section 2.1), or from [CLS] alone."""
