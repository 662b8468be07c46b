"""The paper's analyses of a trained model and its inputs."""
