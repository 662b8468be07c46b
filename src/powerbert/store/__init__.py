"""What lies on disk: artifacts, the chain of trainings behind one, and records."""
