"""Host models with word-vector elimination."""
