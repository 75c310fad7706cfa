"""Reference interpreter of the parallax-world/1 format: what does a probe see in a world?

It decides where FORMAT.md leaves a doubt. It keeps a clock, the bad-password counters, the request
counters and the turn of each balancer, and nothing else; no sockets are opened. It gives no verdict.
INVARIANT: `Sim.probe` depends on the world and on the probes made before it, never on real time.
"""

from __future__ import annotations

from urllib.parse import urlsplit

EAS = "/Microsoft-Server-ActiveSync"
VERSIONS = ["1.0", "1.1", "1.2", "1.3"]
CONNECT_TIMEOUT_MS = 10_000
REPLY_TIMEOUT_MS = 130_000
AUTODISCOVER_JSON = "/autodiscover/autodiscover.json"


class Lost(Exception):
    """The exchange ended at a stage before an HTTP status was seen."""

    def __init__(self, stage, ms=0):
        super().__init__(stage)
        self.stage, self.ms = stage, ms


def as_list(value):
    return value if isinstance(value, list) else [value]


def header(headers, name):
    """All values of one header, in order."""
    return [v for n, v in headers if n.lower() == name.lower()]


def challenges(headers):
    """Scheme names in order, split only at commas outside quotes (RFC 9110 11.6.1)."""
    names = []
    for value in header(headers, "www-authenticate"):
        parts, part, quoted, escaped = [], "", False, False
        for ch in value:
            if escaped:
                part, escaped = part + ch, False
            elif quoted and ch == "\\":
                part, escaped = part + ch, True
            elif ch == '"':
                quoted = not quoted
                part += ch
            elif ch == "," and not quoted:
                parts.append(part)
                part = ""
            else:
                part += ch
        for piece in [*parts, part]:
            words = piece.strip().split(None, 1)
            if words and "=" not in words[0]:
                names.append(words[0])
    return names


class Sim:
    """One world with its state: later probes see what earlier ones did to counters and turns."""

    def __init__(self, world):
        self.world = world
        self.hosts = {h["name"]: h for h in world["hosts"]}
        self.vantages = {v["name"]: v for v in world["vantages"]}
        self.endpoints = {e["name"]: e for e in world["target"]["endpoints"]}
        self.accounts = {a["name"]: dict(a) for a in world["accounts"]}
        self.dirs = {d["name"]: d for d in world["directories"]}
        self.hits, self.robin, self.clock = {}, {}, 0.0
        self.counts = {a: self.accounts[a].get("bad_count", 0) for a in self.accounts}

    # -- network -------------------------------------------------------------
    def resolve(self, vantage, name, family):
        """The hosts that this vantage's resolver gives for a name; aliases are followed."""
        v = self.vantages[vantage]
        answer = v["dns"].get(name, v.get("dns_default", "nxdomain"))
        if answer in ("nxdomain", "servfail", "timeout"):
            raise Lost("dns:" + answer)
        if isinstance(answer, dict):
            if "cname" in answer:
                return self.resolve(vantage, answer["cname"], family)
            found = answer.get("a" if family == "v4" else "aaaa", [])
            if not found:
                raise Lost("dns:nodata")
            return found
        if family == "v6":
            raise Lost("dns:nodata")
        return as_list(answer)

    @staticmethod
    def reach(holder, host, port, family):
        """What happens on the way to host and port; the most exact key wins."""
        table = holder.get("reach", {})
        for key in (f"{host}:{port}/{family}", f"{host}/{family}", f"{host}:{port}", host):
            if key in table:
                return table[key]
        return holder.get("reach_default", "open")

    def pick(self, key, to, balance, origin):
        """Whose turn it is behind a balancer."""
        if balance == "round_robin":
            n = self.robin.get(key, 0)
            self.robin[key] = n + 1
            return to[n % len(to)]
        if balance == "by_origin":
            names = sorted(self.vantages)
            return to[(names.index(origin) if origin in names else 0) % len(to)]
        return to[0]

    def land(self, name, port, origin):
        """Follow TCP pass-through until a host with its own listener; its listener or a refusal."""
        host = self.hosts[name]
        through = host.get("passthrough")
        if through and port in through["ports"]:
            return self.land(self.pick(("l4", name), through["to"], through["balance"], origin), port, origin)
        for listener in host.get("listeners", []):
            if listener["port"] == port:
                return host, listener
        raise Lost("tcp:refused")

    @staticmethod
    def handshake(tls, sni, certificate=True, offered=("1.0", "1.1", "1.2", "1.3"), modern=True):
        """The TLS version agreed on, or where the handshake ended."""
        if tls == "none":
            raise Lost("tls:not_tls")
        how = tls.get("handshake", "ok")
        if how == "reset_modern":
            # What forwards to an old server speaks as that server does.
            how = "reset" if modern else "ok"
        if how != "ok":
            raise Lost({"reset": "tls:reset", "stall": "tls:timeout", "alert40": "tls:alert40"}[how])
        if tls.get("ciphers") == "none_common":
            raise Lost("tls:alert40")
        low, high = tls.get("min_version", "1.0"), tls.get("max_version", "1.3")
        if tls.get("ciphers", "modern") != "modern" or tls.get("requests_client_cert") == "renegotiate":
            high = min(high, "1.2")  # TLS 1.3 has none of those suites, and no second handshake
        common = [v for v in VERSIONS if low <= v <= high and v in offered]
        if not common:
            raise Lost("tls:alert70")
        if tls.get("sni") == "required" and not sni:
            raise Lost("tls:reset")
        if tls.get("requests_client_cert") == "required" and not certificate:
            raise Lost("tls:certificate_required")
        return common[-1]

    # -- authentication ------------------------------------------------------
    def tags(self, host, path, request):
        """The tags of section 4 for a request at this host, and whom it names; checks and counts a Basic credential."""
        kind, login = request.get("auth", ("none", None)), request.get("login")
        scheme = kind[0]
        v = host.get("validates")
        if scheme != "basic":
            tags, who = {scheme}, request.get("account")
            if scheme in ("ntlm_type3", "negotiate"):
                account = self.accounts.get(who)
                good = account and account["secret"] == "right" and account["state"] == "ok"
                if scheme == "ntlm_type3":
                    tags = {"ntlm_orphan"} if request.get("orphan") else {"ntlm_ok" if good else "ntlm_bad"}
                    if not good and not request.get("orphan") and account and v:
                        self.fail(who, v.get("cost", 1))
                else:
                    tags = {
                        "negotiate",
                        "kerberos_ok" if good and host.get("kerberos", {}).get("accepts") == "yes" else "kerberos_bad",
                    }
            return tags, who
        tags = {"basic", {"bare": "basic_bare_name", "domain": "basic_domain"}.get(self.form(login), "basic_upn")}
        checks = v and any(self.path_is(p, path, False) for p in v["basic_on"])
        here = [a for a in self.accounts.values() if a["login"].lower() == login.lower()]
        if not checks:
            return tags | {"basic_unchecked"}, (here[0]["name"] if here else None)
        account = next((a for a in here if a["directory"] == v["directory"]), None)
        known = account and account["resolves"] and (self.form(login) != "bare" or v.get("default_domain", False))
        if not known:
            return tags | {"basic_unknown_user", "basic_refused"}, (account["name"] if account else None)
        name = account["name"]
        if name in v.get("cached", []):
            return tags | {"basic_ok", "basic_cached"}, name
        if account["state"] == "locked":
            return tags | {"basic_locked", "basic_refused"}, name
        charset = account.get("secret_charset", "ascii")
        right = account["secret"] == "right" and (
            charset == "ascii" or charset.startswith(request.get("charset", "utf8"))
        )
        if not right:
            self.fail(name, v.get("cost", 1))
            return tags | {"basic_bad_password", "basic_refused"}, name
        if account["state"] != "ok":
            return tags | {"basic_" + account["state"], "basic_refused"}, name
        self.counts[name] = 0
        return tags | {"basic_ok"}, name

    def fail(self, name, cost):
        """Count a refused password; lock the account at the threshold."""
        self.counts[name] += cost
        threshold = self.dirs[self.accounts[name]["directory"]]["lockout_threshold"]
        if threshold and self.counts[name] >= threshold:
            self.accounts[name]["state"] = "locked"

    @staticmethod
    def form(login):
        return "domain" if "\\" in login else "upn" if "@" in login else "bare"

    # -- rules ---------------------------------------------------------------
    @staticmethod
    def path_is(pattern, path, case):
        """Exact, or a prefix with a final `*`."""
        a, b = (pattern, path) if case else (pattern.lower(), path.lower())
        return b.startswith(a[:-1]) if a.endswith("*") else b == a

    def matches(self, key, when, request, tags, who, peer, origin, port):
        """Whether a rule's `when` holds; `nth` and `every` count only requests that passed all else."""
        checks = [
            "methods" not in when or request["method"] in when["methods"],
            "path" not in when
            or any(self.path_is(p, request["path"], when.get("path_case", False)) for p in as_list(when["path"])),
            "query" not in when or when["query"].lower() in request.get("query", "").lower(),
            "no_query" not in when or when["no_query"].lower() not in request.get("query", "").lower(),
            "auth" not in when or bool(set(as_list(when["auth"])) & tags),
            "account" not in when or who in as_list(when["account"]),
            "port" not in when or when["port"] == port,
            "host" not in when or request["host"].lower() in [h.lower() for h in when["host"]],
            "peer" not in when or peer in when["peer"],
            "origin" not in when or origin in when["origin"],
            self.clock >= when.get("from_s", 0) and self.clock < when.get("until_s", float("inf")),
        ]
        if not all(checks):
            return False
        for name, want in when.get("headers", {}).items():
            got = header(request["headers"], name)
            if want == "present" and not got or want == "absent" and got:
                return False
            if want not in ("present", "absent") and not any(want.lower() in g.lower() for g in got):
                return False
        if "nth" in when or "every" in when:
            n = self.hits.get(key, 0) + 1
            self.hits[key] = n
            if "nth" in when and not when["nth"][0] <= n <= when["nth"][1]:
                return False
            if "every" in when and n % when["every"][0] != when["every"][1]:
                return False
        return True

    @staticmethod
    def edit(headers, edits):
        """Header edits in their fixed order: strip, rename, set, add, lower case."""
        out = [[n, v] for n, v in headers if n.lower() not in [s.lower() for s in edits.get("strip", [])]]
        for old, new in edits.get("rename", []):
            out = [[new if n.lower() == old.lower() else n, v] for n, v in out]
        for name, value in edits.get("set", []):
            out = [[n, v] for n, v in out if n.lower() != name.lower()] + [[name, value]]
        out += [list(h) for h in edits.get("add", [])]
        return [[n.lower(), v] for n, v in out] if edits.get("lower_case") else out

    def serve(self, host, request, peer, origin, port, spent=0):
        """The answer of a host: the first rule that holds acts, else 404."""
        tags, who = self.tags(host, request["path"], request)
        if request.get("client_cert"):
            tags = tags | {"client_cert_" + request["client_cert"]}
        for i, rule in enumerate(host.get("rules", [])):
            if not self.matches((host["name"], i), rule["when"], request, tags, who, peer, origin, port):
                continue
            if "answer" in rule:
                a = rule["answer"]
                return {
                    "status": a["status"],
                    "reason": a.get("reason"),
                    "headers": [list(h) for h in a["headers"]],
                    "body": a.get("body", ""),
                    "ms": spent + a.get("delay_ms", 0),
                    "by": host["name"],
                    "version": a.get("version", "1.1"),
                }
            if "close" in rule:
                raise Lost("http:reset" if rule["close"] == "reset" else "http:closed", spent)
            if "stall" in rule:
                raise Lost("http:timeout", REPLY_TIMEOUT_MS)
            return self.forward(host, rule["forward"], request, origin, (host["name"], i), spent)
        return {
            "status": 404,
            "reason": None,
            "headers": [["Content-Type", "text/html"]],
            "body": "",
            "ms": spent,
            "by": host["name"],
            "version": "1.1",
        }

    def forward(self, host, f, request, origin, key, spent):
        """Hand a request on with its edits and hand the answer back with its own."""
        if "methods" in f and request["method"] not in f["methods"]:
            return {
                "status": 405,
                "reason": None,
                "headers": [],
                "body": "",
                "ms": spent,
                "by": host["name"],
                "version": "1.1",
            }
        to = self.pick(key, f["to"], f.get("balance", "first"), origin)
        onward = dict(request, path=f.get("path", request["path"]), host=f.get("host", request["host"]))
        edits = f.get("request", {})
        if request.get("auth") and "authorization" in [s.lower() for s in edits.get("strip", [])]:
            onward.update(auth=("none", None), login=None)
        onward["headers"] = self.edit(request["headers"], edits)
        if f.get("per_request_connection"):
            onward["orphan"] = True
        try:
            mode = self.reach(host, to, f["port"], "v4")
            if mode in ("refused", "blackhole"):
                raise Lost("tcp:" + {"refused": "refused", "blackhole": "timeout"}[mode])
            end, listener = self.land(to, f["port"], origin)
            if f["tls"]:
                self.handshake(listener["tls"], True, modern=False)
            reply = self.serve(end, onward, host["name"], origin, f["port"], spent)
        except Lost as lost:
            if "on_unreachable" not in f:
                raise
            a = f["on_timeout"] if "timeout" in lost.stage and "on_timeout" in f else f["on_unreachable"]
            return self.own(host, a, spent)
        if "timeout_ms" in f and reply["ms"] - spent > f["timeout_ms"]:
            return self.own(host, f["on_timeout"], spent + f["timeout_ms"])
        reply["headers"] = self.edit(reply["headers"], f.get("response", {}))
        reply["version"] = f.get("http", reply["version"])
        return reply

    @staticmethod
    def own(host, a, spent):
        """An answer that a forwarding host makes itself."""
        return {
            "status": a["status"],
            "reason": a.get("reason"),
            "headers": [list(h) for h in a["headers"]],
            "body": a.get("body", ""),
            "ms": spent + a.get("delay_ms", 0),
            "by": host["name"],
            "version": a.get("version", "1.1"),
        }

    # -- probes --------------------------------------------------------------
    def connect(self, vantage, endpoint, family="v4", certificate=False):
        """From name to TLS: where the exchange lands, or the stage at which it ended."""
        url = urlsplit(endpoint["url"])
        port = url.port or (443 if url.scheme == "https" else 80)
        v = self.vantages[vantage]
        if family not in v.get("families", ["v4"]):
            raise Lost("dns:family_absent")
        name = endpoint.get("connect") or self.resolve(vantage, url.hostname, family)[0]
        mode = self.reach(v, name, port, family)
        if "intercept" in v and port in v["intercept"]["ports"]:
            name, mode = v["intercept"]["by"], "open"
        if mode in ("refused", "blackhole"):
            raise Lost(
                "tcp:" + {"refused": "refused", "blackhole": "timeout"}[mode],
                CONNECT_TIMEOUT_MS if mode == "blackhole" else 0,
            )
        host, listener = self.land(name, port, vantage)
        if mode == "tls_stall" and url.scheme == "https":
            raise Lost("tls:timeout", CONNECT_TIMEOUT_MS)
        info = {"host": host["name"], "port": port, "mode": mode}
        if url.scheme == "https":
            info["tls_version"] = self.handshake(listener["tls"], True, certificate)
            info["tls"] = listener["tls"]
        return url, host, info

    def request(self, probe, url, show):
        """The request that a probe code of section 8 stands for."""
        path, method, headers, extra, query = url.path or "/", "OPTIONS", [], {}, url.query
        account = self.accounts.get(show.get("account"))
        if probe == "A0g" or probe == "NEG":
            method = "GET"
        elif probe == "HC":
            method, path = "GET", EAS + "/healthcheck.htm"
        elif probe == "P2":
            path, extra = EAS + "/Proxy", {"auth": ("ntlm_type1", None)}
        elif probe == "A2t1":
            extra = {"auth": ("ntlm_type1", None)}
        elif probe == "A2":
            extra = {"auth": ("ntlm_type3", None)}
        elif probe == "A3":
            extra = {"auth": ("negotiate", None)}
        elif probe == "AD2":
            who = account.get("smtp", account["login"]) if account else "probe@example.test"
            method, path, query = "GET", AUTODISCOVER_JSON, f"Email={who}&Protocol=ActiveSync&RedirectCount=3"
        elif probe == "AD1":
            method, path = "POST", "/autodiscover/autodiscover.xml"
        elif probe == "POST":
            method, query = "POST", "Cmd=FolderSync&DeviceId=PARALLAX1&DeviceType=Probe"
        elif probe in ("A4e", "A4ei", "A4"):
            kind = {"A4e": "bearer_empty", "A4ei": "bearer_empty_with_identity"}.get(probe)
            extra = {"auth": (kind or "bearer_" + account.get("bearer", "bad"), None)}
            if probe != "A4e":
                headers.append(["X-User-Identity", account.get("upn", account["login"])])
        elif probe == "A6":
            extra = {"client_cert": account.get("client_cert", "bad")}
        if probe in ("A1", "AD1", "POST") and account:
            extra = {"auth": ("basic", None), "login": account["login"], "charset": show.get("charset", "utf8")}
        if probe == "A1x":
            extra = {
                "auth": ("basic", None),
                "login": "probe-invalid-7f3a@" + next(iter(self.dirs.values()), {"dns_domain": "x.test"})["dns_domain"],
            }
        if extra.get("auth"):
            headers.append(["Authorization", "(credential)"])
        for n, v in show.get("headers", {}).items():
            headers.append([n, v])
        if "path" in show:
            path, _, query = show["path"].partition("?")
        return {
            "method": method,
            "path": path,
            "query": query,
            "host": url.hostname,
            "headers": headers,
            "account": account["name"] if account else None,
            **extra,
        }

    def probe(self, show):
        """One look; the answer has stage, status, reason, headers, body, ms, by, tls, counted."""
        before = dict(self.counts)
        self.clock = show.get("at_s", self.clock)
        out = {
            "stage": "http",
            "status": None,
            "headers": [],
            "body": "",
            "ms": 0,
            "reason": None,
            "by": None,
            "tls": None,
        }
        try:
            url, host, info = self.connect(
                show["from"], self.endpoints[show["to"]], show.get("family", "v4"), show["probe"] == "A6"
            )
            out["tls"], out["tls_version"], out["by"] = info.get("tls"), info.get("tls_version"), host["name"]
            if show["probe"] != "L":
                request = self.request(show["probe"], url, show)
                mode = info["mode"]
                if mode == "reset_after_request" or isinstance(mode, dict) and request["method"] in mode["methods"]:
                    raise Lost("http:reset")
                out.update(self.serve(host, request, show["from"], show["from"], info["port"]))
            else:
                out["stage"] = "tls"
        except Lost as lost:
            out["stage"], out["ms"] = lost.stage, lost.ms
        out["counted"] = sum(max(0, self.counts[a] - before[a]) for a in self.counts)
        return out


def compare(saw, out):
    """The differences between what a world says is seen and what is seen."""
    bad = []

    def want(name, expected, got):
        if expected != got:
            bad.append(f"{name}: expected {expected!r}, saw {got!r}")

    if "stage" in saw:
        want("stage", saw["stage"], out["stage"])
    if "status" in saw:
        want("status", saw["status"], out["status"] if out["stage"] == "http" else out["stage"])
    if "reason" in saw:
        want("reason", saw["reason"], out["reason"])
    if "challenges" in saw:
        want("challenges", [c.lower() for c in saw["challenges"]], [c.lower() for c in challenges(out["headers"])])
    for n in saw.get("has", []):
        if not header(out["headers"], n):
            bad.append("lacks header " + n)
    for n in saw.get("lacks", []):
        if header(out["headers"], n):
            bad.append("has header " + n)
    for n, v in saw.get("value", {}).items():
        if not any(v in g for g in header(out["headers"], n)):
            bad.append(f"{n} has no value with {v!r}: {header(out['headers'], n)}")
    if "body" in saw and saw["body"] not in out["body"]:
        bad.append(f"body lacks {saw['body']!r}")
    if "slow" in saw:
        want("slow", saw["slow"], out["ms"] >= 15_000)
    if "cert" in saw:
        want("cert", saw["cert"], (out["tls"] or {}).get("cert"))
    if "leaf" in saw:
        want("leaf", saw["leaf"], (out["tls"] or {}).get("leaf"))
    if "tls_max" in saw:
        want("tls_max", saw["tls_max"], out.get("tls_version"))
    if "by" in saw:
        want("by", saw["by"], out["by"])
    if "counted" in saw:
        want("counted", saw["counted"], out["counted"])
    return bad
