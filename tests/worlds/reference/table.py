#!/usr/bin/env python3
"""Writes the list of worlds into the README beside them, from the files themselves; --check only compares (exit 1: stale)."""
import json
import pathlib
import sys

WORLDS = pathlib.Path(__file__).resolve().parent.parent
README = WORLDS / "README.md"
HEADING = "## The worlds\n"
LAYERS = {
    "dns": "Names",
    "network": "Connections",
    "tls": "TLS and certificates",
    "publishing": "Publishing",
    "iis": "Virtual directory",
    "account": "Accounts and names of users",
    "fe_be": "Front end to back end",
    "legacy2003": "Exchange 2003 behind a newer CAS",
    "cloud": "Exchange Online and hybrid",
    "non_exchange": "Other servers, and what the prober itself brings about",
    "none": "Healthy, and what looks like a fault and is none",
}


def verdict(expect):
    """The verdict in words: the best one, its least standing, other honest ones, what must stand beside it."""
    is_fault = expect["fault"] not in ("healthy", "undetermined")
    text = f"`{expect['fault']}`"
    if is_fault and expect["standing_at_least"] != "undetermined":
        text += f" {expect['standing_at_least']}"
    if expect["acceptable"]:
        text += " or " + ", ".join(f"`{it}`" for it in expect["acceptable"])
    if expect["also"]:
        text += "; also " + ", ".join(f"`{it}`" for it in expect["also"])
    return text


def table():
    worlds = [json.loads(path.read_text()) for path in sorted(WORLDS.glob("*.json"))]
    unknown = {world["layer"] for world in worlds} - LAYERS.keys()
    if unknown:
        sys.exit(f"no heading for layer {', '.join(sorted(unknown))}")
    lines = [f"{len(worlds)} worlds. \"or\" gives further answers that are right; a standing is the least one; \"also\" must stand among the",
             "findings. Written by `reference/table.py`.", ""]
    for layer, title in LAYERS.items():
        rows = [world for world in worlds if world["layer"] == layer]
        if rows:
            lines += [f"### {title}", "", "| world | verdict | what it tries | twin |", "|---|---|---|---|"]
            for world in rows:
                twin = f"`{world['twin']}`" if world.get("twin") else ""
                title_text = world["title"].replace("|", "\\|")
                lines.append(f"| `{world['id']}` | {verdict(world['expect'])} | {title_text} | {twin} |")
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main():
    text = README.read_text()
    before, heading, _ = text.partition(HEADING)
    if not heading:
        sys.exit(f"{README} has no line `{HEADING.strip()}`")
    wanted = f"{before}{HEADING}\n{table()}"
    if "--check" in sys.argv[1:]:
        if text != wanted:
            sys.exit("tests/worlds/README.md does not list the worlds as they are: run tests/worlds/reference/table.py")
    else:
        README.write_text(wanted)


main()
