"""Pages without a script, in the look of the report: they need no other file for it and no network."""
from pathlib import Path

from markupsafe import Markup

from basics.files import written_anew
from report.page import HERE, content_security_policy, page_environment


def write_small_page(path: Path, template: str, **values) -> None:
    """Fills in a template of this folder and writes it whole or not at all. Raises OSError."""
    style = (HERE / "page.css").read_text(encoding="utf-8").replace("\r\n", "\n")
    policy = content_security_policy(style, "")
    page = page_environment(HERE).get_template(template).render(style=Markup(style), policy=policy, **values)
    with written_anew(path, "", encoding="utf-8", errors="xmlcharrefreplace", newline="\n") as file:
        file.write(page)
