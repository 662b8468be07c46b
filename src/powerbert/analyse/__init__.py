"""The paper's analyses, made from a trained model and its inputs."""
