"""PoWER-BERT: progressive word-vector elimination for faster BERT classifiers.

Importing the package registers its models with transformers' Auto classes.
"""

import powerbert.models  # noqa: F401

__version__ = "0.1.0"
