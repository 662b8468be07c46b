"""What PoWER-BERT gains in wall-clock time over what a user would run today, and on which runtime."""
