"""A trained reranker ranks alike in powerbert, sentence-transformers and transformers' pipeline."""

import json

import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import pipeline

from powerbert.predict.predictor import Predictor
from tests.made_up import write_queries
from tests.predict.test_main import lines, run
from tests.tiny_runs import RERANKING, train

QUERY = "how was film 3 of dev"


@pytest.fixture(scope="module")
def passages(tmp_path_factory):
    """More passages than words fit into the model's input, and one that is longer."""
    folder = write_queries(tmp_path_factory.mktemp("queries"))
    rows = [line.split("\t") for line in (folder / "dev.tsv").read_text().splitlines()[1:]]
    return [*(passage for query, passage, _ in rows if query == QUERY), "the end was good " * 20]


@pytest.fixture(scope="module")
def reranker(tmp_path_factory):
    """The folder of the final model."""
    runs = tmp_path_factory.mktemp("runs")
    corpus = write_queries(tmp_path_factory.mktemp("data"))
    record = train(corpus, runs, *RERANKING, "elimination.retention_configuration=[20,10,4]")
    assert record["metric"]["name"] == "ndcg@10"
    assert record["metric"]["mrr@10"] > 0.5
    return runs / "artifacts" / record["artifacts"]["retrain"]


@pytest.fixture
def scores(reranker, passages):
    found = [row["score"] for row in Predictor(reranker)([(QUERY, passage) for passage in passages])]
    assert len({round(score, 6) for score in found}) > 3
    return found


def test_a_cross_encoder_gives_the_same_scores_and_ranks(reranker, passages, scores):
    model = CrossEncoder(str(reranker), trust_remote_code=True, device="cpu")
    assert model.predict([(QUERY, passage) for passage in passages]) == pytest.approx(scores, abs=1e-5)
    ranked = model.rank(QUERY, passages)
    assert [one["corpus_id"] for one in ranked] == sorted(range(len(scores)), key=lambda i: -scores[i])


def test_the_pipeline_gives_the_same_scores(reranker, passages, scores):
    classify = pipeline("text-classification", model=str(reranker), device="cpu")
    found = classify([{"text": QUERY, "text_pair": passage} for passage in passages], truncation=True)
    assert [one["score"] for one in found] == pytest.approx(scores, abs=1e-5)


def test_a_query_ranks_the_passages_of_a_file(reranker, passages, scores, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("\n".join(passages) + "\n")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"passage": one}) + "\n" for one in passages))
    by_score = sorted(range(len(scores)), key=lambda i: -scores[i])
    for name in ("a.txt", "a.jsonl"):
        run(artifact=reranker, input=tmp_path / name, query=QUERY)
        printed = lines(capsys.readouterr().out)
        assert [line["passage"] for line in printed] == [passages[i] for i in by_score]
        assert {line["query"] for line in printed} == {QUERY}


def test_pairs_keep_their_order(reranker, passages, scores, tmp_path, capsys):
    (tmp_path / "a.tsv").write_text("query\tpassage\n" + "".join(f"{QUERY}\t{one}\n" for one in passages))
    run(artifact=reranker, input=tmp_path / "a.tsv")
    assert [line["score"] for line in lines(capsys.readouterr().out)] == pytest.approx(scores, abs=1e-5)
    run(artifact=reranker, text=QUERY, text_pair=passages[0])
    (line,) = lines(capsys.readouterr().out)
    assert line == {"query": QUERY, "passage": passages[0], "score": pytest.approx(scores[0], abs=1e-5)}


def test_large_logits_are_told_apart(reranker):
    predictor = Predictor(reranker)
    one, other = (predictor._prediction(torch.tensor([logit]))["score"] for logit in (20.0, 21.0))
    assert one < other < 1


def test_a_folder_without_a_manifest_is_known_as_a_reranker(reranker, passages, scores, tmp_path):
    for path in reranker.iterdir():
        if path.is_file() and path.name != "manifest.json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    found = Predictor(tmp_path)([(QUERY, passage) for passage in passages])
    assert [one["score"] for one in found] == pytest.approx(scores, abs=1e-5)
