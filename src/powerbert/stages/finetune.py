"""Stage 1 (section 2.3): fine-tune the pretrained model on the task."""

from powerbert.stages.stage import Stage


class FineTune(Stage):
    """The task loss alone; the epoch with the best dev metric is kept."""

    name = "finetune"
