"""A second virtual environment without powerbert, and models saved to be loaded there."""

import os
import sysconfig
import venv
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def python_without_powerbert(tmp_path_factory) -> Path:
    """The Python of an environment that has every package of this one but powerbert; nothing is installed."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, symlinks=os.name != "nt")
    place = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", scheme="venv", vars=place))
    for installed in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(installed).iterdir():
            # A .pth file is how an editable installation is found.
            if "powerbert" not in entry.name and entry.suffix != ".pth":
                (packages / entry.name).symlink_to(entry)
    return Path(sysconfig.get_path("scripts", scheme="venv", vars=place)) / "python"
