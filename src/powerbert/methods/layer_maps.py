"""Which encoders of a teacher a student of fewer encoders begins with, and which it imitates."""


def evenly_spread(encoders: int, k: int) -> list[int]:
    """The encoders that a student begins with: the first, the last and those evenly between (DistilBERT).

    Args:
        encoders: L, of the teacher.
        k: of the student, 1 to L.

    Returns:
        k increasing indices from 0; of (12, 6): 0, 2, 4, 7, 9, 11, as DistilBERT's authors chose them.
    """
    _check(encoders, k)
    return [_rounded(i * (encoders - 1), max(k - 1, 1)) for i in range(k)]


def skip_map(encoders: int, k: int) -> list[int]:
    """The teacher's encoders that a student's first k - 1 imitate, one each (PKD-Skip).

    The student's encoder i imitates encoder i * L / k; the last is left out, as the soft targets guide it.

    Args:
        encoders: L, of the teacher.
        k: of the student, 1 to L.

    Returns:
        k - 1 increasing numbers of encoders, from 1; of (12, 6): 2, 4, 6, 8, 10.
    """
    _check(encoders, k)
    return [_rounded(i * encoders, k) for i in range(1, k)]


def _check(encoders: int, k: int) -> None:
    if not 1 <= k <= encoders:
        raise ValueError(f"a student of {encoders} encoders has 1 to {encoders} of its own, not {k}")


def _rounded(numerator: int, denominator: int) -> int:
    """The quotient to the nearest whole number, halves up."""
    return (2 * numerator + denominator) // (2 * denominator)
