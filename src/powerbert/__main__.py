"""All commands in one: `powerbert train ...` does what `python -m powerbert.train ...` does."""

import ast
import runpy
import sys
from pathlib import Path

from powerbert import __version__
from powerbert.base.checks import suggestion


def commands() -> dict[str, str]:
    """Return what each command does by its name: the modules of the package that call `entry_point`."""
    folder = Path(__file__).parent
    texts = {path: path.read_text(encoding="utf-8") for path in folder.glob("*.py") if path.stem[0] != "_"}
    texts |= {path.parent: path.read_text(encoding="utf-8") for path in folder.glob("*/__main__.py")}
    docs = {p.stem: ast.get_docstring(ast.parse(t)) or "" for p, t in texts.items() if "entry_point(" in t}
    return {name: docs[name].partition("\n")[0].partition(":")[0] for name in sorted(docs)}


def main() -> None:
    """Run the command that the first argument names; without one, list them."""
    name, *arguments = sys.argv[1:] or ["--help"]
    known = commands()
    if name in ("-h", "--help"):
        lines = (f"  {command:10} {what}" for command, what in known.items())
        print("powerbert <command> [key=value ...]\n", *lines, sep="\n")
        print("\npowerbert <command> --help says more; so does docs/commands.md.")
    elif name == "--version":
        print(__version__)
    elif name in known:
        sys.argv[1:] = arguments
        runpy.run_module(f"powerbert.{name}", run_name="__main__", alter_sys=True)
    else:
        print(f"error: {name}: there is no such command{suggestion(name, known)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
