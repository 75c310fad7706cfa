#!/usr/bin/env python3
"""Checks every world of the folder above: its shape, its names, and what it says it shows.

    python3 check.py [FILE…]

Shape: `schema.json`, read by the PyPI package `jsonschema`. Names: whatever a world refers to must exist in it.
Facts: each entry of `shows` runs in the reference interpreter `sim.py`. It does not run the product: whether the
diagnosis is right is the question of `parallax world check`. Prints one line per difference and at last
"N passed, N failed"; exit 1 if any world failed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
from sim import Sim, as_list, compare

HERE = Path(__file__).resolve().parent
WORLDS = HERE.parent
VERDICT_ONLY = {"healthy", "undetermined"}
UNKNOWN_POLICY_BUDGET = 2


def shape(world, validator):
    """What the schema says, one line per place."""
    for error in sorted(validator.iter_errors(world), key=lambda e: list(map(str, e.absolute_path))):
        place = "/".join(str(p) for p in error.absolute_path) or "(top)"
        yield f"{place}: {error.message[:200]}"


def doubles(world):
    """Names that stand twice where each must be one."""
    for kind in ("directories", "accounts", "vantages", "hosts"):
        names = [entry["name"] for entry in world[kind]]
        yield from (f"{kind}: {name} stands twice" for name in sorted({n for n in names if names.count(n) > 1}))
    endpoints = [entry["name"] for entry in world["target"]["endpoints"]]
    yield from (f"endpoints: {name} stands twice" for name in sorted({n for n in endpoints if endpoints.count(n) > 1}))


def dns_hosts(answer):
    if isinstance(answer, dict):
        return [*answer.get("a", []), *answer.get("aaaa", [])]
    return [name for name in as_list(answer) if name not in ("nxdomain", "servfail", "timeout")]


def rule_references(host):
    """Every name that the rules of a host refer to, as (place, kind, name)."""
    for i, rule in enumerate(host.get("rules", [])):
        place = f"hosts/{host['name']}/rules/{i}"
        yield from ((f"{place}/account", "accounts", name) for name in as_list(rule["when"].get("account", [])))
        yield from ((f"{place}/origin", "vantages", name) for name in rule["when"].get("origin", []))
        yield from ((f"{place}/peer", "peers", name) for name in rule["when"].get("peer", []))
        yield from ((f"{place}/forward", "hosts", name) for name in rule.get("forward", {}).get("to", []))


def references(world):
    """Every name that the world refers to, as (place, kind, name)."""
    for directory in world["directories"]:
        if "kdc" in directory:
            yield f"directories/{directory['name']}/kdc", "hosts", directory["kdc"]
    for account in world["accounts"]:
        place = f"accounts/{account['name']}"
        yield f"{place}/directory", "directories", account["directory"]
        if account["mailbox"] not in ("cloud", "none"):
            yield f"{place}/mailbox", "hosts", account["mailbox"]
    for vantage in world["vantages"]:
        place = f"vantages/{vantage['name']}"
        for name, answer in vantage["dns"].items():
            yield from ((f"{place}/dns/{name}", "hosts", host) for host in dns_hosts(answer))
        yield from ((f"{place}/reach", "hosts", key.split("/")[0].split(":")[0]) for key in vantage["reach"])
        if "intercept" in vantage:
            yield f"{place}/intercept", "hosts", vantage["intercept"]["by"]
    for host in world["hosts"]:
        place = f"hosts/{host['name']}"
        yield from ((f"{place}/passthrough", "hosts", name) for name in host.get("passthrough", {}).get("to", []))
        yield from ((f"{place}/reach", "hosts", key.split("/")[0].split(":")[0]) for key in host.get("reach", {}))
        if "validates" in host:
            yield f"{place}/validates", "directories", host["validates"]["directory"]
            yield from ((f"{place}/cached", "accounts", name) for name in host["validates"].get("cached", []))
        yield from rule_references(host)
    for endpoint in world["target"]["endpoints"]:
        place = f"endpoints/{endpoint['name']}"
        if "connect" in endpoint:
            yield f"{place}/connect", "hosts", endpoint["connect"]
        yield from ((f"{place}/published_on", "hosts", name) for name in endpoint.get("published_on", []))
        yield from ((f"{place}/from", "vantages", name) for name in endpoint.get("from", []))
    for part in ("shows", "history"):
        for i, entry in enumerate(world.get(part, [])):
            yield f"{part}/{i}/from", "vantages", entry["from"]
            yield f"{part}/{i}/to", "endpoints", entry["to"]
            if "account" in entry:
                yield f"{part}/{i}/account", "accounts", entry["account"]


def dangling(world):
    """References to what is not there, and names that nobody resolves."""
    known = {
        kind: {entry["name"] for entry in world[kind]} for kind in ("directories", "accounts", "vantages", "hosts")
    }
    known["endpoints"] = {entry["name"] for entry in world["target"]["endpoints"]}
    known["peers"] = known["vantages"] | known["hosts"]
    for place, kind, name in references(world):
        if name not in known[kind]:
            yield f"{place}: no {name} among {kind}"
    for vantage in world["vantages"]:
        for name, answer in vantage["dns"].items():
            if isinstance(answer, dict) and "cname" in answer and set(answer) != {"cname"}:
                yield f"vantages/{vantage['name']}/dns/{name}: an alias has no addresses of its own"
    names = {name for vantage in world["vantages"] for name in vantage["dns"]}
    for endpoint in world["target"]["endpoints"]:
        if "connect" not in endpoint and urlsplit(endpoint["url"]).hostname not in names:
            yield f"endpoints/{endpoint['name']}: no vantage has a record for {urlsplit(endpoint['url']).hostname}"


def contradictions(world, twins):
    """An expectation that no answer could meet, or that the logon ledger would not permit."""
    expect = world["expect"]
    right = {expect["fault"], *expect["acceptable"]}
    both = sorted((right | set(expect["also"]) | set(expect.get("tolerated", []))) & set(expect["never"]))
    yield from (f"expect: {fault} is both right and never" for fault in both)
    if expect["fault"] in expect["acceptable"]:
        yield "expect: the fault stands among the acceptable ones again"
    yield from (f"expect/also: {fault} is no finding" for fault in sorted(set(expect["also"]) & VERDICT_ONLY))
    if (world["layer"] == "none") != (expect["fault"] in VERDICT_ONLY) and expect["fault"] != "undetermined":
        yield f"layer {world['layer']} does not fit the fault {expect['fault']}"
    threshold = world["target"].get("known_lockout", {}).get("threshold", 0)
    budget = (threshold - 1) // 2 if threshold else UNKNOWN_POLICY_BUDGET
    if expect["max_refused_logons"] > budget:
        yield f"expect: {expect['max_refused_logons']} refused logons, the budget is {budget}"
    if world.get("twin") not in (None, *twins):
        yield f"twin: no world {world['twin']}"


def untrue(world):
    """What `shows` says and the interpreter does not see."""
    sim = Sim(world)
    for i, entry in enumerate(world["shows"]):
        for _ in range(entry.get("times", 1)):
            saw = sim.probe(entry)
            yield from (
                f"shows/{i} ({entry['from']} {entry['to']} {entry['probe']}): {line}"
                for line in compare(entry["saw"], saw)
            )


def check(path, world, validator, twins):
    found = list(shape(world, validator))
    if found:
        return found
    if world["id"] != path.stem:
        found.append(f"id {world['id']} is not the file's name")
    found += [*doubles(world), *dangling(world), *contradictions(world, twins)]
    return found or list(untrue(world))


def main(arguments):
    paths = [Path(a) for a in arguments] or sorted(WORLDS.glob("*.json"))
    twins = {path.stem for path in WORLDS.glob("*.json")}
    validator = jsonschema.Draft202012Validator(json.loads((HERE / "schema.json").read_text(encoding="utf-8")))
    failed = 0
    for path in paths:
        found = check(path, json.loads(path.read_text(encoding="utf-8")), validator, twins)
        failed += bool(found)
        for line in found:
            print(f"{path.name}: {line}")
    print(f"{len(paths) - failed} passed, {failed} failed")
    return 1 if failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
