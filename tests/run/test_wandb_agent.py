"""W&B's own agent runs points of a sweep as docs/wandb.md says; its server is a stand-in on this machine."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from tests.tiny_runs import overrides
from tests.wandb_file import read_back

PAGE = Path(__file__).parents[2] / "docs" / "wandb.md"
POINT = {"lambda": {"value": 0.02}, "seed": {"value": 43}}
USER = {"id": "1", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}


class StandIn(BaseHTTPRequestHandler):
    """Answers an agent: who it is, what the sweep is, and which point to run."""

    sweep = ""
    commands: ClassVar[list] = []

    def do_POST(self):
        query = self.rfile.read(int(self.headers["Content-Length"])).decode()
        told = {}
        if "agentHeartbeat" in query:
            told = {"agentHeartbeat": {"agent": {"id": "a"}, "commands": json.dumps(self.commands)}}
            type(self).commands = []
        elif "createAgent" in query:
            told = {"createAgent": {"agent": {"id": "a"}}}
        elif "viewer" in query:
            told = {"viewer": USER, "serverInfo": {"features": []}}
        elif "sweepName" in query:
            runs = {"edges": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}
            sweep = {"id": "s", "name": "s", "state": "RUNNING", "config": self.sweep, "runs": runs}
            told = {"project": {"id": "p", "sweep": sweep}}
        answer = json.dumps({"data": told}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def documented(*more):
    """The sweep of the page, with the settings of a tiny run in place of its experiment."""
    (text,) = (block for block in PAGE.read_text().split("```") if block.startswith("yaml\nprogram"))
    sweep = yaml.safe_load(text.removeprefix("yaml"))
    place = sweep["command"].index("+experiment=rte_search")
    command = [*sweep["command"][:place], *more, *sweep["command"][place + 1 :]]
    return sweep | {"command": [sys.executable if word == "python" else word for word in command]}


@pytest.mark.slow
def test_an_agent_runs_a_point_of_the_documented_sweep(corpus, tmp_path):
    sweep = documented(*overrides(corpus, tmp_path / "runs"))
    StandIn.sweep = yaml.safe_dump(sweep)
    run = {"type": "run", "run_id": "first", "program": sweep["program"], "args": POINT}
    StandIn.commands = [run]
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        places = {"WANDB_BASE_URL": f"http://127.0.0.1:{server.server_port}", "WANDB_API_KEY": 40 * "a"}
        done = subprocess.run(
            [sys.executable, "-m", "wandb", "agent", "--count", "1", "me/powerbert/s"],
            env=os.environ | places | {"WANDB_MODE": "offline"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        server.shutdown()
    files = list((tmp_path / "runs" / "records").glob("*.json"))
    assert len(files) == 1, done.stderr
    record = json.loads(files[0].read_text())
    assert record["config"]["lambda"] == POINT["lambda"]["value"]
    assert record["seed"] == POINT["seed"]["value"]
    (file,) = tmp_path.glob("**/offline-run-*/run-*.wandb")
    summary, _ = read_back(file)
    assert summary["latency"]["dynamic"]["speedup"] == record["latency"]["dynamic"]["speedup"]
    assert summary["metric"]["value"] == record["metric"]["value"]
