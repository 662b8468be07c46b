"""The documentation builds as a site that loads nothing from elsewhere; a broken link fails."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs")

ROOT = Path(__file__).parents[1]


def build(config: Path, site: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", config, "--site-dir", site]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_the_site_is_complete_and_loads_nothing_from_elsewhere(tmp_path):
    done = build(ROOT / "mkdocs.yml", tmp_path)
    assert done.returncode == 0, done.stderr
    pages = {
        path.relative_to(tmp_path).as_posix(): path.read_text("utf-8") for path in tmp_path.rglob("*.html")
    }
    for path, page in pages.items():
        loaded = re.findall(r'<(?:link|script|img|iframe)\b[^>]*?(?:href|src)="([^"]+)', page)
        assert not [address for address in loaded if re.match(r"(\w+:)?//", address)], path
    assert 'id="powerbert.eliminate"' in pages["docs/reference/python.html"]
    assert "retention_learning_rate" in pages["docs/reference/settings.html"]


def test_a_broken_link_or_anchor_fails(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# Home\n\n[a](docs/missing.md) [b](#nowhere) [c](docs) [d](/x.md)\n")
    (tmp_path / "mkdocs.yml").write_text(
        f"INHERIT: {ROOT / 'mkdocs.yml'}\nnav: [README.md]\nhooks: [{ROOT / 'docs' / 'site' / 'hooks.py'}]\n"
    )
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    warnings = re.findall("WARNING.*", done.stderr)
    for link in ("docs/missing.md", "#nowhere", "'docs'", "/x.md"):
        assert [warning for warning in warnings if link in warning], link
