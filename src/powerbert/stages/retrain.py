"""Stage 3 (section 2.3): re-train the model with its extract layers."""

from powerbert.stages.stage import Stage


class Retrain(Stage):
    """The task loss alone, on the reduced model; the epoch with the best dev metric is kept."""

    name = "retrain"
