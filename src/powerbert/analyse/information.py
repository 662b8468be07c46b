"""Entropy and mutual information of counted labels, in nats (supplement, section 1.1)."""

import numpy as np
from numpy.typing import NDArray


def entropy(counts: NDArray[np.integer]) -> float:
    """H = -sum over b of Pr(b) ln Pr(b).

    Args:
        counts: how often each outcome occurred, of any shape; at least one did.

    Returns:
        The entropy in nats.
    """
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum()) + 0.0  # never -0.0


def mutual_information(joint: NDArray[np.integer]) -> float:
    """MI(X; Y) = sum over b, b' of Pr(X = b, Y = b') ln [Pr(X = b, Y = b') / (Pr(X = b) Pr(Y = b'))].

    Args:
        joint: how often X = b and Y = b' occurred together, [classes, classes].

    Returns:
        The mutual information in nats: 0 if independent, H(X) if Y determines X.
    """
    independent = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    seen = joint > 0
    count = joint.sum()
    return float((joint[seen] / count * np.log(joint[seen] * count / independent[seen])).sum())
