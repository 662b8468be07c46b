"""One run: settings, stages in order, the record, sweeps."""
