"""The changelog knows the version that the package says it is."""

import re
from pathlib import Path

from dacl import __version__

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def test_the_current_version_has_an_entry_with_content():
    sections = re.split(r"^## ", CHANGELOG.read_text(encoding="utf-8"), flags=re.MULTILINE)
    entry = [section for section in sections if section.startswith(f"[{__version__}]")]
    assert len(entry) == 1
    assert re.search(r"^- \S", entry[0], flags=re.MULTILINE)


def test_an_unreleased_section_leads():
    headings = re.findall(r"^## \[(.+?)\]", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
