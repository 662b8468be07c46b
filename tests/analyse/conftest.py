from tests.fixtures import corpus, dataset, finetuned, make_artifact, retrained, subject  # noqa: F401
