"""Labels for texts from a trained model."""
