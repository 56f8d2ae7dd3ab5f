"""The documentation builds strictly, with sound links, and asks nothing of other servers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#\s]+)|<img[^>]* src=\"([^\"]+)\"")
LOADED = re.compile(r"<(?:script|img|iframe)[^>]* src=\"?(https?:[^\" >]+)")
STYLED = re.compile(r"<link[^>]* rel=\"?(?:stylesheet|preconnect)[^>]* href=\"?(https?:[^\" >]+)")
MOST_BYTES = 60_000
MOST_BYTES_IN_ALL = 500_000


def test_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocstrings", reason="the extra docs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not LOADED.findall(text) + STYLED.findall(text), page


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_to_files(name: str) -> None:
    for found in LINK.findall((ROOT / name).read_text(encoding="utf-8")):
        assert (ROOT / "".join(found)).exists(), f"{name}: {found}"


def test_public_names_are_on_the_page_of_the_api() -> None:
    stub = (ROOT / "src/swinkit/__init__.pyi").read_text(encoding="utf-8")
    public = re.findall(r"^from \.(\S+) import (\w+) as", stub, re.MULTILINE)
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    missing = [name for module, name in public if f"::: swinkit.{module}.{name}\n" not in page]
    assert public
    assert missing == []


def test_pictures_are_small() -> None:
    sizes = [path.stat().st_size for path in (ROOT / "docs/pictures").iterdir()]
    assert sizes
    assert max(sizes) <= MOST_BYTES
    assert sum(sizes) <= MOST_BYTES_IN_ALL
