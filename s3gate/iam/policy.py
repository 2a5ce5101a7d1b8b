"""Policy documents: read strictly, compiled once, and refused saying where.

Four kinds of policy have one grammar and different demands: a bucket's names principals and only S3's own words and
its own bucket; an identity's and a session's name nobody; a role's trust policy names no resource. What is refused is
refused when it is put, so that a policy that is kept means something in every word. This file decides nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, NoReturn

from s3gate.iam import vocabulary
from s3gate.iam.conditions import Condition, compile_condition, split_operator
from s3gate.iam.patterns import Glob, Template, canonical_key, glob, has_wildcard, template, wild
from s3gate.iam.principal import is_principal_arn, is_provider, is_service, is_unique_id
from s3gate.iam.statement import Names, Policy, Principals, Statement, account_of, keys_of
from s3gate.s3.errors import S3Error

Kind = Literal["bucket", "identity", "session", "trust"]

BUCKET_POLICY_LIMIT_BYTES: Final = 20 * 1024
MANAGED_POLICY_LIMIT_CHARACTERS: Final = 6144
"""White space does not count, here and in what follows."""
TRUST_POLICY_LIMIT_CHARACTERS: Final = 2048
SESSION_POLICY_LIMIT_CHARACTERS: Final = 2048

VERSIONS = ("2012-10-17", "2008-10-17")
_WITH_VARIABLES = VERSIONS[0]
_ARN_OF_S3 = "arn:aws:s3:::"
_ELEMENTS = frozenset(
    ("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
)
_ACTION = re.compile(r"\*|\*:\*|[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+").fullmatch
_IDENTITY_SID = re.compile(r"[a-zA-Z0-9]*").fullmatch
_CANONICAL_ID = re.compile(r"[0-9a-f]{64}").fullmatch
_FORMS = {"Federated": is_provider, "Service": is_service}
_KEY = re.compile(r"[a-zA-Z0-9./_-]+:[^\s]+").fullmatch


@dataclass(frozen=True, slots=True)
class _Demands:
    code: str
    principal: bool
    resource: bool
    limit: int
    too_long: str


_DEMANDS: dict[str, _Demands] = {
    "bucket": _Demands("MalformedPolicy", True, True, BUCKET_POLICY_LIMIT_BYTES, "MalformedPolicy"),
    "identity": _Demands("MalformedPolicyDocument", False, True, MANAGED_POLICY_LIMIT_CHARACTERS, "PolicySize"),
    "session": _Demands(
        "MalformedPolicyDocument", False, True, SESSION_POLICY_LIMIT_CHARACTERS, "PackedPolicyTooLarge"
    ),
    "trust": _Demands("MalformedPolicyDocument", True, False, TRUST_POLICY_LIMIT_CHARACTERS, "ACLSizePerRole"),
}


def parse(
    document: bytes | str, kind: Kind, bucket: str = "", *, limit: int | None = None, kept: bool = False
) -> Policy:
    """The policy. `limit` replaces the kind's own: inline policies have others than managed ones. What is `kept` was
    checked when it was put, maybe by fewer rules: a word that is refused today means nothing in it, and no more.

    Raises S3Error: MalformedPolicy for a bucket's, MalformedPolicyDocument and the quota's error for IAM's.
    """
    return _parse(document.encode() if isinstance(document, str) else document, kind, bucket, limit, kept)


@lru_cache(maxsize=2048)
def _parse(document: bytes, kind: Kind, bucket: str, limit: int | None, kept: bool) -> Policy:
    reader = _Reader(kind, bucket, kept)
    _check_length(document, kind, _DEMANDS[kind].limit if limit is None else limit)
    return reader.policy(document)


def check_keys(document: bytes) -> None:
    """MalformedPolicy if a bucket's policy, which is valid, asks of an action what its requests never have.

    Asked when it is put only: such a condition holds for none of the requests or for all, and does no other harm in a
    policy that is kept.
    """
    for number, statement in enumerate(_listed(json.loads(document)["Statement"])):
        keys = [key for operator in statement.get("Condition", {}).values() for key in operator]
        for action in _listed(statement.get("Action", [])):
            for key in keys:
                if not vocabulary.has_key(action, canonical_key(key)):
                    message = "Conditions do not apply to combination of actions and resources in statement"
                    raise S3Error.of("MalformedPolicy", message, Detail=f'Statement[{number}].Condition: "{key}"')


def _check_length(document: bytes, kind: Kind, limit: int) -> None:
    demands = _DEMANDS[kind]
    if kind == "bucket":
        if len(document) > limit:
            raise S3Error.of(demands.too_long, "Policy exceeds the maximum allowed document size.")
        return
    if len(b"".join(document.split())) <= limit:
        return
    if kind == "session":
        raise S3Error(demands.too_long, 400, f"The session policy may have {limit} characters at most.")
    raise S3Error("LimitExceeded", 409, f"Cannot exceed quota for {demands.too_long}: {limit}")


class _Reader:
    """One document on its way to a policy, and the place in it where the reading is."""

    def __init__(self, kind: Kind, bucket: str, kept: bool) -> None:
        self._kind = kind
        self._kept = kept
        self._demands = _DEMANDS[kind]
        self._bucket = bucket
        self._variables = False
        self._place = ""

    def _refuse(self, message: str, element: str = "", value: object = None) -> NoReturn:
        where = ".".join(part for part in (self._place, element) if part)
        if value is not None:
            shown = value if isinstance(value, str) else json.dumps(value)
            where += f': "{shown[:200]}"' if where else f'"{shown[:200]}"'
        if self._kind == "bucket":
            raise S3Error.of("MalformedPolicy", message, **({"Detail": where} if where else {}))
        raise S3Error(self._demands.code, 400, f"{message} ({where})" if where else message)

    # --- the document

    def policy(self, document: bytes) -> Policy:
        root = self._json(document)
        for name in root:
            if name not in ("Version", "Id", "Statement"):
                self._refuse(f"Unknown field {name}")
        version = root.get("Version", VERSIONS[1])
        if version not in VERSIONS:
            self._refuse("The policy must contain a valid version string", "Version", version)
        if not isinstance(root.get("Id", ""), str):
            self._refuse("Invalid policy syntax.", "Id", root["Id"])
        self._variables = version == _WITH_VARIABLES
        if "Statement" not in root:
            self._refuse("Missing required field Statement")
        written = root["Statement"] if isinstance(root["Statement"], list) else [root["Statement"]]
        if not written:
            self._refuse("Could not parse the policy: Statement is empty!")
        statements = [self._statement(number, each) for number, each in enumerate(written)]
        self._check_sids(statements)
        return Policy(tuple(statements), frozenset().union(*map(keys_of, statements)))

    def _json(self, document: bytes) -> dict[str, Any]:
        if not document.lstrip().startswith(b"{"):
            self._refuse("Policies must be valid JSON and the first byte must be '{'")
        try:
            root = json.loads(document.decode(), object_pairs_hook=self._unique, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            self._refuse("This policy contains invalid Json")
        assert isinstance(root, dict)
        return root

    def _unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            self._refuse(f"Duplicate field {twice}")
        return found

    def _check_sids(self, statements: Iterable[Statement]) -> None:
        seen: set[str] = set()
        for number, each in enumerate(statements):
            self._place = f"Statement[{number}]"
            if each.sid in seen:
                self._refuse("Statement IDs (SID) in a single policy must be unique.", "Sid", each.sid)
            if each.sid:
                seen.add(each.sid)

    # --- a statement

    def _statement(self, number: int, written: object) -> Statement:
        self._place = f"Statement[{number}]"
        if not isinstance(written, dict):
            self._refuse("Invalid policy syntax.")
        for name in written:
            if name not in _ELEMENTS:
                self._refuse(f"Unknown field {name}")
        sid = written.get("Sid", "")
        if not isinstance(sid, str):
            self._refuse("Invalid policy syntax.", "Sid", sid)
        if self._kind != "bucket" and _IDENTITY_SID(sid) is None:
            self._refuse("Statement IDs (SID) must be alpha-numeric.", "Sid", sid)
        allows = self._effect(written)
        names_principals, principals = self._principals(written, allows)
        action_element = self._one_of(written, "Action", "NotAction")
        patterns = self._actions(action_element, written[action_element])
        resource_element, resources = self._resources(written)
        if self._kind == "bucket" and action_element == "Action" and resource_element == "Resource":
            self._check_levels(patterns, self._strings(resource_element, written[resource_element]))
        conditions = self._conditions(written.get("Condition", {}))
        return Statement(
            sid=sid,
            allows=allows,
            actions=_names([template(each.lower(), variables=False) for each in patterns]),
            names_actions=action_element == "Action",
            resources=resources,
            names_resources=resource_element == "Resource",
            principals=principals,
            names_principals=names_principals,
            conditions=conditions,
        )

    def _effect(self, written: dict[str, Any]) -> bool:
        if "Effect" not in written:
            self._refuse("Missing required field Effect")
        effect = written["Effect"]
        if effect not in ("Allow", "Deny"):
            self._refuse(f"Invalid effect: {effect}", "Effect", effect)
        return bool(effect == "Allow")

    def _one_of(self, written: dict[str, Any], name: str, other: str) -> str:
        if name in written and other in written:
            self._refuse(f"Statement has both {name} and {other}")
        if name not in written and other not in written:
            self._refuse(f"Missing required field {name}")
        return name if name in written else other

    def _strings(self, element: str, written: object) -> list[str]:
        found: list[Any] = written if isinstance(written, list) else [written]
        if not found or not all(isinstance(each, str) and each for each in found):
            self._refuse(f"Policy has invalid {element.removeprefix('Not').lower()}", element, written)
        return found

    # --- who

    def _principals(self, written: dict[str, Any], allows: bool) -> tuple[bool, Principals | None]:
        if not self._demands.principal:
            for name in ("Principal", "NotPrincipal"):
                if name in written:
                    self._refuse("Policy document should not specify a principal.", name)
            return True, None
        element = self._one_of(written, "Principal", "NotPrincipal")
        if element == "NotPrincipal" and allows:
            self._refuse("Allow with NotPrincipal is not allowed.", element)
        return element == "Principal", self._named(element, written[element])

    def _named(self, element: str, written: object) -> Principals:
        if written == "*":
            return Principals(everybody=True)
        if not isinstance(written, dict) or not written:
            self._refuse("Invalid principal in policy", element, written)
        everybody = False
        arns, accounts, canonical_ids, others = set(), set(), set(), set()
        for kind, listed in written.items():
            for each in listed if isinstance(listed, list) else [listed]:
                if not isinstance(each, str) or not each:
                    self._refuse("Invalid principal in policy", f"{element}.{kind}", each)
                if kind == "AWS" and each == "*":
                    everybody = True
                elif kind == "AWS" and account_of(each):
                    accounts.add(account_of(each))
                elif kind == "AWS" and (is_principal_arn(each) or is_unique_id(each)):
                    arns.add(each)
                elif kind == "CanonicalUser" and _CANONICAL_ID(each):
                    canonical_ids.add(each)
                elif kind in _FORMS and (self._kept or _FORMS[kind](each)):
                    others.add(f"{kind}:{each}")
                else:
                    self._refuse("Invalid principal in policy", f"{element}.{kind}", each)
            if listed == []:
                self._refuse("Invalid principal in policy", f"{element}.{kind}", listed)
        return Principals(everybody, frozenset(arns), frozenset(accounts), frozenset(canonical_ids), frozenset(others))

    # --- what

    def _actions(self, element: str, written: object) -> list[str]:
        patterns = self._strings(element, written)
        for each in patterns:
            if _ACTION(each) is None:
                if self._kind == "bucket":
                    self._refuse("Policy has invalid action", element, each)
                if each.count(":") > 1:
                    self._refuse("Actions/Condition can contain only one colon.", element, each)
                if ":" in each:
                    self._refuse(f"Vendor {each.partition(':')[0]} is not valid", element, each)
                self._refuse(
                    "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.", element, each
                )
            service = each.partition(":")[0].lower()
            if self._kind == "bucket" and each != "*" and (service != "s3" or not any(vocabulary.levels(each))):
                self._refuse("Policy has invalid action", element, each)
            if self._kind == "trust" and (service != "sts" or not (self._kept or vocabulary.is_of_trust(each))):
                self._refuse("AssumeRole policy may only specify STS AssumeRole actions.", element, each)
        return patterns

    def _resources(self, written: dict[str, Any]) -> tuple[str, Names | None]:
        if not self._demands.resource:
            for name in ("Resource", "NotResource"):
                if name in written:
                    self._refuse(f"Has prohibited field {name}")
            return "Resource", None
        element = self._one_of(written, "Resource", "NotResource")
        templates = []
        for each in self._strings(element, written[element]):
            if self._kind == "bucket":
                self._check_in_bucket(element, each)
            elif not self._kept and (fault := vocabulary.fault_of_arn(each)):
                self._refuse(fault, element)
            try:
                templates.append(template(each, variables=self._variables))
            except ValueError as error:
                self._refuse("Policy has invalid resource", element, str(error))
        return element, _names(templates)

    def _check_in_bucket(self, element: str, arn: str) -> None:
        """A bucket's policy speaks of this bucket and what is in it, of nothing else."""
        name = arn.removeprefix(_ARN_OF_S3).partition("/")[0]
        if not arn.startswith(_ARN_OF_S3) or not name or not _reaches(name, self._bucket):
            self._refuse("Policy has invalid resource", element, arn)

    def _check_levels(self, actions: list[str], arns: list[str]) -> None:
        """Every action acts on some of the resources: a bucket's own on the bucket, an object's on objects."""
        on_objects = any("/" in arn or arn.endswith("*") for arn in arns)
        on_bucket = any("/" not in arn for arn in arns)
        for each in actions:
            bucket_level, object_level = vocabulary.levels("s3:*" if each == "*" else each)
            if not ((bucket_level and on_bucket) or (object_level and on_objects)):
                self._refuse("Action does not apply to any resource(s) in statement", "Action", each)

    # --- under which conditions

    def _conditions(self, written: object) -> tuple[Condition, ...]:
        if not isinstance(written, dict):
            self._refuse("Invalid policy syntax.", "Condition", written)
        found = []
        for name, keys in written.items():
            operator = split_operator(name)
            if operator is None:
                self._refuse(f"Invalid Condition type : {name}", "Condition")
            if not isinstance(keys, dict):
                self._refuse("Invalid policy syntax.", f"Condition.{name}", keys)
            for key, values in keys.items():
                if self._kind == "bucket" and not vocabulary.is_condition_key(key):
                    self._refuse("Policy has an invalid condition key", f"Condition.{name}", key)
                if _KEY(key) is None:
                    self._refuse("Invalid condition key", f"Condition.{name}", key)
                texts = [self._value(f"Condition.{name}.{key}", each) for each in _listed(values)]
                try:
                    found.append(compile_condition(operator, key, texts, variables=self._variables))
                except ValueError as error:
                    self._refuse("Policy has an invalid condition value", f"Condition.{name}.{key}", str(error))
        return tuple(found)

    def _value(self, place: str, written: object) -> str:
        """JSON's booleans and numbers stand for their text."""
        if isinstance(written, bool):
            return "true" if written else "false"
        if isinstance(written, int | float):
            return str(written)
        if not isinstance(written, str):
            self._refuse("Policy has an invalid condition value", place, written)
        return written


def _listed(values: object) -> list[Any]:
    return values if isinstance(values, list) else [values]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _reaches(name: str, bucket: str) -> bool:
    """Whether the bucket's part of a resource is this bucket: by name, or by a pattern that it fits."""
    return name == bucket or (("*" in name or "?" in name) and wild(name)(bucket))


def _names(templates: list[Template]) -> Names:
    """Those with wildcards apart from those without, and those that wait for the request."""
    exact, globs, waiting = set(), list[Glob](), list[Template]()
    for each in templates:
        if each.text is None:
            waiting.append(each)
        elif has_wildcard(each.text):
            globs.append(glob(each.text))
        else:
            exact.add(each.text)
    return Names(frozenset(exact), tuple(globs), tuple(waiting))
