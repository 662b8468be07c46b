"""Entropy and mutual information of counted labels, in nats (supplement, section 1.1)."""

import numpy as np
from numpy.typing import NDArray


def entropy(counts: NDArray[np.integer]) -> float:
    """Return H = -sum over b of Pr(b) ln Pr(b), from the count of each outcome; at least one is positive."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum()) + 0.0  # never -0.0


def mutual_information(joint: NDArray[np.integer]) -> float:
    """Return MI(X; Y) = sum over b, b' of Pr(X = b, Y = b') ln [Pr(X = b, Y = b') / (Pr(X = b) Pr(Y = b'))].

    Args:
        joint: Counts of X = b together with Y = b', [classes, classes].

    Returns:
        0 if X and Y are independent, H(X) if Y determines X.
    """
    independent = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    seen = joint > 0
    count = joint.sum()
    return float((joint[seen] / count * np.log(joint[seen] * count / independent[seen])).sum())
