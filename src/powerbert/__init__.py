"""PoWER-BERT: progressive word-vector elimination for faster BERT classifiers."""

__version__ = "0.1.0"
