"""The site has the repository's layout, so that a link works there as it does in a checkout."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter
from nbconvert.filters import strip_ansi

TAKEN = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "LICENSE")
TAKEN += ("docs/**/*.md", "docs/**/*.css", "docs/**/*.svg")
TAKEN += ("experiments/*/README.md", "experiments/**/*.png")


def on_files(files: Files, config: Any) -> Files:
    """Replace the files of docs/ by those of the repository that the site shows."""
    root = Path(config.config_file_path).parent
    for file in [*files]:
        if file.src_dir == config.docs_dir:
            files.remove(file)
    for path in sorted({path for pattern in TAKEN for path in root.glob(pattern)}):
        uri = path.relative_to(root).as_posix()
        files.append(File(uri, str(root), config.site_dir, config.use_directory_urls))
    for path in sorted(root.glob("docs/notebooks/*.ipynb")):
        page, resources = MarkdownExporter().from_filename(str(path), {"unique_key": path.stem})
        folder = path.parent.relative_to(root).as_posix()
        for name, content in {f"{path.stem}.md": strip_ansi(page), **resources["outputs"]}.items():
            files.append(File.generated(config, f"{folder}/{name}", content=content))
    return files


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """Put the yamls of `conf/` that a comment names, or matches, in its place; link to pages of notebooks."""
    root = Path(config.config_file_path).parent
    markdown = markdown.replace(".ipynb)", ".md)")

    def shown(comment: re.Match) -> str:
        paths = sorted(root.glob(comment[1]))
        assert paths, comment[1]
        return "\n".join(
            f"### `{path.relative_to(root)}`\n\n```yaml\n{path.read_text('utf-8')}```\n" for path in paths
        )

    return re.sub(r"<!-- (conf/\S+) -->", shown, markdown)
