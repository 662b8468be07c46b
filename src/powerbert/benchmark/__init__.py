"""Wall-clock time of PoWER-BERT compared with the host model on several runtimes."""
