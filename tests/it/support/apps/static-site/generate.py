"""Makes a page of each text: generate.py CONTENT PUBLIC"""

import pathlib
import sys

import jinja2

PAGE = jinja2.Template("<!DOCTYPE html>\n<title>{{ title }}</title>\n<p>{{ text | e }}</p>\n")

content, public = map(pathlib.Path, sys.argv[1:])
public.mkdir()
for source in content.glob("*.txt"):
    title, text = source.read_text(encoding="utf-8").split("\n", 1)
    page = PAGE.render(title=title, text=text.strip())
    (public / f"{source.stem}.html").write_text(page + "\n", encoding="utf-8")
