#!/usr/bin/env python3
"""The API as a platform in another language meets it: Python's grpcio against the real program.

    python api.py PATH_OF_PARALLAX

Starts `parallax demo`, asks it by reflection alone, then with stubs made from our proto files at this moment: registers
accounts and a target, creates a diagnosis, watches it, reads the verdict. Needs the packages of requirements.txt. Prints
one line per check and at last "N passed, N failed"; exit 1 if any failed.
"""

from __future__ import annotations

import importlib
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
from pathlib import Path

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[2] / "proto"
START_LIMIT_S = 60
STOP_LIMIT_S = 15
CALL_LIMIT_S = 10
DIAGNOSIS_LIMIT_S = 120

SERVICES = {
    "parallax.v1.AccountService",
    "parallax.v1.CatalogService",
    "parallax.v1.DiagnosisService",
    "parallax.v1.FleetService",
    "parallax.v1.TargetService",
}


class Demo:
    """A running `parallax demo`: where its API is, which token it takes, and what it printed."""

    def __init__(self, binary):
        self._process = subprocess.Popen(
            [binary, "demo"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )
        self._lines = queue.Queue(maxsize=100_000)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.printed = []
        try:
            self.server, self.token_file = self._connection()
        except BaseException:
            self.stop()
            raise
        self.token = Path(self.token_file).read_text(encoding="ascii").strip()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _connection(self):
        """What the commands to try say: --server and --token-file."""
        until = time.monotonic() + START_LIMIT_S
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise RuntimeError(f"no address after {START_LIMIT_S} s:\n{''.join(self.printed)}") from None
            if line is None:
                raise RuntimeError(f"the demo ended:\n{''.join(self.printed)}")
            self.printed.append(line)
            text = "".join(self.printed)
            server = re.search(r"(?:--server |PARALLAX_SERVER=)(http://\S+)", text)
            token = re.search(r"(?:--token-file |PARALLAX_TOKEN_FILE=)(\S+)", text)
            if server and token:
                return server.group(1), token.group(1).strip("'\"")

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_LIMIT_S)
            raise RuntimeError(f"the demo did not stop within {STOP_LIMIT_S} s") from None
        finally:
            self._reader.join(STOP_LIMIT_S)


def make_stubs(folder):
    """Stubs from our proto files, as a caller would make them."""
    files = sorted(str(path.relative_to(PROTO)) for path in (PROTO / "parallax/v1").glob("*.proto"))
    well_known = str(Path(importlib.import_module("grpc_tools").__file__).parent / "_proto")
    arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={folder}", f"--grpc_python_out={folder}", *files]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc refuses our files")
    sys.path.insert(0, folder)
    names = ("account", "catalog", "diagnosis", "fleet", "target")
    return {
        name: (
            importlib.import_module(f"parallax.v1.{name}_pb2"),
            importlib.import_module(f"parallax.v1.{name}_pb2_grpc"),
        )
        for name in names
    }


class Api:
    """The services with a token."""

    def __init__(self, channel, stubs, token):
        self.channel = channel
        self.token = [("authorization", f"Bearer {token}")]
        self.account, account = stubs["account"]
        self.catalog, catalog = stubs["catalog"]
        self.diagnosis, diagnosis = stubs["diagnosis"]
        self.fleet, fleet = stubs["fleet"]
        self.target, target = stubs["target"]
        self.accounts = account.AccountServiceStub(channel)
        self.faults = catalog.CatalogServiceStub(channel)
        self.diagnoses = diagnosis.DiagnosisServiceStub(channel)
        self.agents = fleet.FleetServiceStub(channel)
        self.targets = target.TargetServiceStub(channel)

    def call(self, method, request, limit_s=CALL_LIMIT_S, metadata=None):
        return method(request, timeout=limit_s, metadata=self.token if metadata is None else metadata)

    def refused(self, method, request, **options):
        """The code and the details of a call that has to be refused."""
        try:
            answer = self.call(method, request, **options)
        except grpc.RpcError as error:
            return error.code(), details(error)
        raise AssertionError(f"not refused, but: {answer}")


def details(error):
    """`google.rpc` details by type name."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            found = {}
            for packed in status_pb2.Status.FromString(value).details:
                kind = packed.type_url.rsplit(".", 1)[-1]
                message = getattr(error_details_pb2, kind)()
                packed.Unpack(message)
                found[kind] = message
            return found
    return {}


def equal(found, wanted):
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


# --- the checks, in order; what one makes the next may use ---


def reflection_lists_the_services(api, made):
    services = set(ProtoReflectionDescriptorDatabase(api.channel).get_services())
    assert SERVICES <= services, f"missing: {SERVICES - services}"
    agents = [name for name in services if name.startswith("parallax.agent")]
    equal(agents, [])


def reflection_suffices_to_call(api, made):
    pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(api.channel))
    method = pool.FindServiceByName("parallax.v1.CatalogService").FindMethodByName("GetFault")
    request = message_factory.GetMessageClass(method.input_type)(name="faults/e2003_be_iwa_missing", language="ja")
    answer_type = message_factory.GetMessageClass(method.output_type)
    get = api.channel.unary_unary(
        "/parallax.v1.CatalogService/GetFault",
        request_serializer=type(request).SerializeToString,
        response_deserializer=answer_type.FromString,
    )
    fault = api.call(get, request)
    equal(fault.name, "faults/e2003_be_iwa_missing")
    equal(fault.text.language, "ja")
    assert re.search(r"[\u3040-\u30ff]", fault.text.title), fault.text.title


def health_is_serving_without_a_token(api, made):
    stub = health_pb2_grpc.HealthStub(api.channel)
    for service in ("", *sorted(SERVICES)):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=CALL_LIMIT_S)
        equal(answer.status, health_pb2.HealthCheckResponse.SERVING)


def a_call_without_the_token_is_refused(api, made):
    request = api.target.ListTargetsRequest()
    code, found = api.refused(api.targets.ListTargets, request, metadata=[])
    equal((code, found["ErrorInfo"].reason), (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING"))
    wrong = [("authorization", "Bearer " + "0" * 43)]
    code, found = api.refused(api.targets.ListTargets, request, metadata=wrong)
    equal((code, found["ErrorInfo"].reason), (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_WRONG"))


def an_account_is_created_once_per_request_id(api, made):
    secret = "planted-" + uuid.uuid4().hex
    request = api.account.CreateAccountRequest(
        account_id="python-anna",
        account=api.account.Account(
            directory="python",
            user_names=[api.account.UserName(form="NAME_FORM_UPN", login="anna@python.example")],
            mailbox="GENERATION_2003",
            lockout=api.account.LockoutPolicy(count=10),
            secret=secret,
        ),
        request_id=str(uuid.uuid4()),
    )
    request.account.lockout.window.FromSeconds(1800)
    first = api.call(api.accounts.CreateAccount, request)
    equal(api.call(api.accounts.CreateAccount, request).create_time, first.create_time)
    equal((first.name, first.secret, first.secret_version), ("accounts/python-anna", "", 1))
    equal((first.budget.limit, first.budget.charged), (4, 0))
    listed = api.call(api.accounts.ListAccounts, api.account.ListAccountsRequest())
    assert secret not in str(listed), "a secret came out again"
    made["account"] = first.name


def a_target_is_created_read_and_listed(api, made):
    listed = api.call(api.targets.ListTargets, api.target.ListTargetsRequest()).targets
    # The demo itself diagnoses the first one; each has accounts of its own.
    made["demo"] = listed[-1]
    target = api.target.Target(display_name="From Python", endpoints=made["demo"].endpoints)
    target.accounts.add(account=made["account"], purpose="PURPOSE_SUBJECT")
    request = api.target.CreateTargetRequest(target_id="python", target=target)
    request.validate_only = True
    api.call(api.targets.CreateTarget, request)
    code, _ = api.refused(api.targets.GetTarget, api.target.GetTargetRequest(name="targets/python"))
    equal(code, grpc.StatusCode.NOT_FOUND)
    request.validate_only = False
    created = api.call(api.targets.CreateTarget, request)
    equal(api.call(api.targets.GetTarget, api.target.GetTargetRequest(name="targets/python")), created)
    assert created.etag, "no etag"


def all_wrong_fields_are_named_at_once(api, made):
    target = api.target.Target()
    target.endpoints.add(name="Published", role="ROLE_EXTERNAL", url="ftp://mail.python.example")
    target.accounts.add(account="accounts/nobody", purpose="PURPOSE_SUBJECT")
    request = api.target.CreateTargetRequest(target_id="Wrong Name", target=target)
    code, found = api.refused(api.targets.CreateTarget, request)
    equal((code, found["ErrorInfo"].reason), (grpc.StatusCode.INVALID_ARGUMENT, "FIELDS_INVALID"))
    fields = {violation.field for violation in found["BadRequest"].field_violations}
    wanted = {"target_id", "target.endpoints[0].name", "target.endpoints[0].url", "target.accounts[0].account"}
    assert wanted <= fields, f"found {sorted(fields)}, wanted {sorted(wanted)}"


def what_cannot_be_served_is_refused_and_changes_nothing(api, made):
    everything = api.target.ListTargetsRequest()
    before = api.call(api.targets.ListTargets, everything)
    too_large = api.target.CreateTargetRequest(target_id="large", target=made["demo"])
    too_large.target.display_name = "x" * (5 << 20)
    code, found = api.refused(api.targets.CreateTarget, too_large)
    equal((code, found["ErrorInfo"].reason), (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"))
    diagnosis = api.diagnosis.Diagnosis(target=made["demo"].name)
    runs = api.diagnosis.ListDiagnosesRequest()
    count = len(api.call(api.diagnoses.ListDiagnoses, runs).diagnoses)
    late = api.diagnosis.DiagnoseRequest(diagnosis=diagnosis)
    code, found = api.refused(api.diagnoses.Diagnose, late, limit_s=1)
    equal((code, found["ErrorInfo"].reason), (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT"))
    unknown = api.diagnosis.CreateDiagnosisRequest(diagnosis=api.diagnosis.Diagnosis(target="targets/nothing"))
    code, _ = api.refused(api.diagnoses.CreateDiagnosis, unknown)
    equal(code, grpc.StatusCode.NOT_FOUND)
    equal(len(api.call(api.diagnoses.ListDiagnoses, runs).diagnoses), count)
    equal(api.call(api.targets.ListTargets, everything), before)


def a_zone_without_an_agent_is_named(api, made):
    target = api.target.Target(endpoints=made["demo"].endpoints)
    # `from` is a word of Python.
    getattr(target.endpoints[0], "from")[:] = ["moon"]
    request = api.target.CreateTargetRequest(target_id="python-moon", target=target)
    api.call(api.targets.CreateTarget, request)
    diagnosis = api.diagnosis.Diagnosis(target="targets/python-moon", anonymous_only=True)
    code, found = api.refused(api.diagnoses.CreateDiagnosis, api.diagnosis.CreateDiagnosisRequest(diagnosis=diagnosis))
    equal((code, found["ErrorInfo"].reason), (grpc.StatusCode.FAILED_PRECONDITION, "NO_VANTAGE"))
    violation = found["PreconditionFailure"].violations[0]
    equal(violation.subject, "targets/python-moon")
    api.call(api.targets.DeleteTarget, api.target.DeleteTargetRequest(name="targets/python-moon"))


def a_plan_is_made_and_nothing_runs(api, made):
    request = api.diagnosis.CreateDiagnosisRequest(
        diagnosis=api.diagnosis.Diagnosis(target=made["demo"].name), validate_only=True
    )
    plan = api.call(api.diagnoses.CreateDiagnosis, request).plan
    assert plan.paths, "no paths"
    assert plan.logons_max >= 3, plan.logons_max


def the_fleet_is_listed_and_an_agent_is_drained_and_resumed(api, made):
    agents = api.call(api.agents.ListAgents, api.fleet.ListAgentsRequest()).agents
    states = {agent.name: agent.state for agent in agents}
    equal(set(states.values()), {api.fleet.Agent.STATE_CONNECTED})
    name = min(states)
    drained = api.call(api.agents.DrainAgent, api.fleet.DrainAgentRequest(name=name))
    equal(drained.state, api.fleet.Agent.STATE_DRAINING)
    resumed = api.call(api.agents.ResumeAgent, api.fleet.ResumeAgentRequest(name=name))
    equal(resumed.state, api.fleet.Agent.STATE_CONNECTED)
    code, _ = api.refused(api.agents.GetAgent, api.fleet.GetAgentRequest(name="agents/nobody"))
    equal(code, grpc.StatusCode.NOT_FOUND)


def a_join_token_is_told_once(api, made):
    request = api.fleet.CreateJoinTokenRequest()
    request.join_token.agent = "python"
    request.join_token.zone = "nowhere"
    code, found = api.refused(api.agents.CreateJoinToken, request)
    equal(code, grpc.StatusCode.INVALID_ARGUMENT)
    equal([violation.field for violation in found["BadRequest"].field_violations], ["join_token.zone"])
    request.join_token.zone = "dmz"
    made_token = api.call(api.agents.CreateJoinToken, request)
    assert made_token.token.startswith("plx1_"), "no token"
    agents = api.call(api.agents.ListAgents, api.fleet.ListAgentsRequest())
    assert made_token.token not in str(agents), "a token came out again"


def a_diagnosis_is_created_watched_and_read(api, made):
    request = api.diagnosis.CreateDiagnosisRequest(
        diagnosis=api.diagnosis.Diagnosis(target=made["demo"].name, language="en"), request_id=str(uuid.uuid4())
    )
    created = api.call(api.diagnoses.CreateDiagnosis, request)
    equal(api.call(api.diagnoses.CreateDiagnosis, request).name, created.name)
    watch = api.diagnosis.WatchDiagnosisRequest(name=created.name)
    events = list(api.call(api.diagnoses.WatchDiagnosis, watch, limit_s=DIAGNOSIS_LIMIT_S))
    sequences = [event.sequence for event in events]
    equal(sequences, list(range(1, len(events) + 1)))
    kinds = {event.WhichOneof("event") for event in events}
    assert {"round_begun", "path_reported", "logon", "judged", "diagnosis"} <= kinds, kinds
    equal(events[-1].WhichOneof("event"), "diagnosis")
    read = api.call(api.diagnoses.GetDiagnosis, api.diagnosis.GetDiagnosisRequest(name=created.name))
    equal(events[-1].diagnosis.verdict, read.verdict)
    equal(read.state, api.diagnosis.Diagnosis.STATE_SUCCEEDED)
    equal((read.verdict.fault, read.verdict.standing), ("e2003_be_iwa_missing", "confirmed"))
    equal((read.logons.used, read.logons.refused), (3, 1))
    assert "bad_password" in {ruled_out.fault for ruled_out in read.ruled_out}, "bad_password is not ruled out"
    made["diagnosis"] = read.name


def a_watcher_comes_back_where_it_left(api, made):
    watch = api.diagnosis.WatchDiagnosisRequest(name=made["diagnosis"])
    everything = list(api.call(api.diagnoses.WatchDiagnosis, watch, limit_s=DIAGNOSIS_LIMIT_S))
    half = everything[len(everything) // 2].sequence
    watch.after_sequence = half
    rest = list(api.call(api.diagnoses.WatchDiagnosis, watch, limit_s=DIAGNOSIS_LIMIT_S))
    equal([event.sequence for event in rest], [event.sequence for event in everything if event.sequence > half])


def an_anonymous_diagnosis_sends_no_logon(api, made):
    request = api.diagnosis.DiagnoseRequest(
        diagnosis=api.diagnosis.Diagnosis(target="targets/python", anonymous_only=True)
    )
    done = api.call(api.diagnoses.Diagnose, request, limit_s=DIAGNOSIS_LIMIT_S)
    equal(done.state, api.diagnosis.Diagnosis.STATE_SUCCEEDED)
    equal((done.logons.used, done.verdict.fault), (0, "undetermined"))
    assert done.open, "nothing is open"


def a_spent_budget_is_refused_before_anything_is_asked(api, made):
    request = api.account.CreateAccountRequest(
        account_id="python-spent",
        account=api.account.Account(
            directory="python",
            user_names=[api.account.UserName(form="NAME_FORM_UPN", login="spent@python.example")],
            mailbox="GENERATION_2010",
            lockout=api.account.LockoutPolicy(count=5),
            secret="not-" + uuid.uuid4().hex,
        ),
    )
    request.account.lockout.window.FromSeconds(1800)
    api.call(api.accounts.CreateAccount, request)
    target = api.target.Target(endpoints=made["demo"].endpoints)
    target.accounts.add(account="accounts/python-spent", purpose="PURPOSE_SUBJECT")
    api.call(api.targets.CreateTarget, api.target.CreateTargetRequest(target_id="python-spent", target=target))
    diagnosis = api.diagnosis.Diagnosis(target="targets/python-spent")
    done = api.call(
        api.diagnoses.Diagnose, api.diagnosis.DiagnoseRequest(diagnosis=diagnosis), limit_s=DIAGNOSIS_LIMIT_S
    )
    equal(done.logons.refused, 1)
    budget = api.call(api.accounts.GetAccount, api.account.GetAccountRequest(name="accounts/python-spent")).budget
    equal((budget.limit, budget.charged, budget.breaker_open), (2, 2, True))
    again = api.diagnosis.CreateDiagnosisRequest(diagnosis=diagnosis)
    code, found = api.refused(api.diagnoses.CreateDiagnosis, again)
    equal((code, found["ErrorInfo"].reason), (grpc.StatusCode.FAILED_PRECONDITION, "CREDENTIAL_BUDGET_EXHAUSTED"))
    equal(found["PreconditionFailure"].violations[0].subject, "accounts/python-spent")
    assert found["RetryInfo"].retry_delay.seconds > 0, "no word of when"


def what_was_made_is_deleted(api, made):
    in_use = api.account.DeleteAccountRequest(name=made["account"])
    code, found = api.refused(api.accounts.DeleteAccount, in_use)
    equal((code, found["ErrorInfo"].reason), (grpc.StatusCode.FAILED_PRECONDITION, "ACCOUNT_IN_USE"))
    api.call(api.targets.DeleteTarget, api.target.DeleteTargetRequest(name="targets/python"))
    api.call(api.accounts.DeleteAccount, in_use)
    code, _ = api.refused(api.accounts.GetAccount, api.account.GetAccountRequest(name=made["account"]))
    equal(code, grpc.StatusCode.NOT_FOUND)


CHECKS = [
    reflection_lists_the_services,
    reflection_suffices_to_call,
    health_is_serving_without_a_token,
    a_call_without_the_token_is_refused,
    an_account_is_created_once_per_request_id,
    a_target_is_created_read_and_listed,
    all_wrong_fields_are_named_at_once,
    what_cannot_be_served_is_refused_and_changes_nothing,
    a_zone_without_an_agent_is_named,
    a_plan_is_made_and_nothing_runs,
    the_fleet_is_listed_and_an_agent_is_drained_and_resumed,
    a_join_token_is_told_once,
    a_diagnosis_is_created_watched_and_read,
    a_watcher_comes_back_where_it_left,
    an_anonymous_diagnosis_sends_no_logon,
    a_spent_budget_is_refused_before_anything_is_asked,
    what_was_made_is_deleted,
]


def run(api):
    """Runs the checks; how many failed."""
    failed = 0
    made = {}
    for check in CHECKS:
        started = time.monotonic()
        try:
            check(api, made)
        except Exception:
            failed += 1
            print(f"FAILED {check.__name__}\n{traceback.format_exc()}", flush=True)
        else:
            print(f"ok     {check.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
    return failed


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        stubs = make_stubs(folder)
        demo = Demo(sys.argv[1])
        try:
            with grpc.insecure_channel(demo.server.removeprefix("http://")) as channel:
                failed = run(Api(channel, stubs, demo.token))
        finally:
            demo.stop()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
