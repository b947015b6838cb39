"""Rules in TOML: who they are about, which one decides, and where an error is."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rpcgen.runtime.access import Permission, Rules, RulesError
from rpcgen.runtime.globs import is_allowed
from rpcgen.runtime.interfaces import Identity
from rpcgen.runtime.program import VOID, Procedure, Program

ROOT = pwd.getpwuid(0).pw_name
PROCEDURE: Procedure[Any, Any] = Procedure(Program("THINGS", 1, 1), 1, "P", "p", VOID, VOID)
LOCAL = Identity(uid=0, gid=7, pid=1)
REMOTE = Identity(address="192.0.2.1:5", distinguished_name="C=UK,O=A[1],CN=bob")


def with_sasl(**about: Any) -> Identity:
    """One that has also given a name and a password."""
    identity = Identity(**about)
    identity.sasl_user_name = "bob@EXAMPLE"
    return identity


def allows(rules: Rules, identity: Identity, permission: str = "domain:read") -> bool:
    kind, _, name = permission.partition(":")
    return rules.is_allowed(identity, Permission(kind, name, PROCEDURE))


@pytest.mark.parametrize(
    ("who", "fitting", "others"),
    [
        ({}, [LOCAL, REMOTE, with_sasl()], []),
        ({"uid": 0}, [LOCAL], [REMOTE, Identity(uid=1)]),
        ({"uid": [5, 0]}, [LOCAL, Identity(uid=5)], [Identity(uid=50)]),
        ({"user": ROOT}, [LOCAL], [REMOTE, Identity(uid=1)]),
        ({"gid": 7}, [LOCAL], [REMOTE, Identity(gid=0)]),
        ({"uid": 0, "gid": 8}, [], [LOCAL]),
        ({"certificate": "C=UK,*,CN=bob"}, [REMOTE], [LOCAL, with_sasl()]),
        ({"certificate": "C=UK,O=A[1],CN=b?b"}, [REMOTE], [LOCAL]),
        ({"certificate": ["C=DE,*", "c=uk,*", "UK", "*CN=bo"]}, [], [REMOTE, LOCAL]),
        ({"certificate": "*"}, [REMOTE], [LOCAL]),
        ({"certificate": "CN=*"}, [Identity(distinguished_name="CN=a\nb")], [REMOTE]),
        ({"sasl": "*@EXAMPLE"}, [with_sasl()], [LOCAL, REMOTE]),
    ],
)
def test_who_a_rule_is_about(
    who: dict[str, Any], fitting: list[Identity], others: list[Identity]
) -> None:
    rules = Rules({"rules": [{"allow": "*:*", **who}]})
    assert [allows(rules, one) for one in fitting] == [True] * len(fitting)
    assert [allows(rules, one) for one in others] == [False] * len(others)


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("domain:read", ["domain:read"], ["domain:write", "network:read", "domain:read_secure"]),
        ("domain:*", ["domain:read", "domain:write"], ["domain_x:read"]),
        ("*:get*", ["secret:getattr"], ["secret:read"]),
        (["a:b", "storage_???:x"], ["a:b", "storage_vol:x"], ["a:x", "storage_pool:x"]),
    ],
)
def test_what_a_rule_is_about(
    pattern: str | list[str], fitting: list[str], others: list[str]
) -> None:
    rules = Rules({"rules": [{"allow": pattern}]})
    assert [allows(rules, LOCAL, one) for one in fitting] == [True] * len(fitting)
    assert [allows(rules, LOCAL, one) for one in others] == [False] * len(others)


@pytest.mark.parametrize("first", ["allow", "deny"])
def test_the_first_rule_that_fits_decides(first: str) -> None:
    second = {"allow": "deny", "deny": "allow"}[first]
    rules = Rules(
        {
            "default": "allow",
            "rules": [
                {first: "domain:*", "uid": 0},
                {second: "domain:*"},
            ],
        }
    )
    assert allows(rules, LOCAL) is (first == "allow")
    assert allows(rules, REMOTE) is (second == "allow")


@pytest.mark.parametrize(
    ("values", "allowed"), [({}, False), ({"default": "deny"}, False), ({"default": "allow"}, True)]
)
def test_what_no_rule_fits(values: dict[str, str], allowed: bool) -> None:
    assert allows(Rules({**values, "rules": [{"allow": "x:y"}]}), LOCAL) is allowed


def test_a_long_name_takes_no_long_time() -> None:
    """A matcher that goes back would take years: the test would run into its deadline."""
    rules = Rules({"rules": [{"allow": "*:*", "certificate": "*a" * 30 + "b"}]})
    assert not allows(rules, Identity(distinguished_name="a" * 10_000))


PIECES = st.text(alphabet="ab*?[]!-\\\n", max_size=8)


@given(name=PIECES, pattern=PIECES.filter(bool))
@example(name="a[b]\n", pattern="?[?]*")
def test_patterns_mean_what_lists_of_names_mean(name: str, pattern: str) -> None:
    """``tls_allowed_dn_list`` and rules are written by the same people, of the same names."""
    rules = Rules({"rules": [{"allow": "*:*", "certificate": pattern}]})
    assert allows(rules, Identity(distinguished_name=name)) is is_allowed(name, [pattern])


def test_rules_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "r"
    file.write_text('[[rules]]\r\nallow = ["connect:*", "domain:read"]\r\nuid = 0\r\n')
    rules = Rules.load(str(file))
    assert allows(rules, LOCAL)
    assert not allows(rules, LOCAL, "domain:write")
    assert not allows(rules, REMOTE)


@pytest.mark.parametrize(
    ("source", "line", "key"),
    [
        ("x = 1\n", 1, "x"),
        ('# c\ndefault = "maybe"\n', 2, "default"),
        ("default = []\n", 1, "default"),
        ("[rules]\n", 1, "rules"),
        ("\nrules = [1]\n", 2, "rules[0]"),
        ("[[rules]]\n", 1, "rules[0]"),
        ('[[rules]]\nallow = "a:b"\n\n[[rules]]\nuid = 1\n', 4, "rules[1]"),
        ('[[rules]]\nallow = "a:b"\ndeny = "a:b"\n', 1, "rules[0]"),
        ('[[rules]]\nallow = "a"\n', 2, "rules[0].allow"),
        ('[[rules]]\nallow = "a:b:c"\n', 2, "rules[0].allow"),
        ("[[rules]]\ndeny = []\n", 2, "rules[0].deny"),
        (
            '[[rules]]\nallow = "a:b"\nuid = 1\n[[rules]]\nallow = "a:b"\nuid = -1\n',
            6,
            "rules[1].uid",
        ),
        ('[[rules]]\nallow = "a:b"\nuid = [\n1,\ntrue]\n', 3, "rules[0].uid"),
        ('[[rules]]\nallow = "a:b"\ngid = 4294967295\n', 3, "rules[0].gid"),
        ('[[rules]]\nallow = "a:b"\nuser = "no such user"\n', 3, "rules[0].user"),
        ('[[rules]]\nallow = "a:b"\nuser = 3\n', 3, "rules[0].user"),
        ('[[rules]]\nallow = "a:b"\nuser = "a\\u0000"\n', 3, "rules[0].user"),
        ('[[rules]]\nallow = "a:b"\ncertificate = ""\n', 3, "rules[0].certificate"),
        ('[[rules]]\nallow = "a:b"\nsasl = 1\n', 3, "rules[0].sasl"),
        ('[[rules]]\nallow = "a:b"\n"usr" = "root"\n', 3, "rules[0].usr"),
        ('[[rules]]\nallow = "a:b"\n[rules.who]\nuid = 1\n', 3, "rules[0].who"),
        ('rules = [{allow = "a:b"}, {allow = 3}]\n', 1, "rules[1].allow"),
        ('default = "deny"\n[[rules\n', 2, ""),
        ('default = "deny"\n\ndefault = "deny"\n', 3, ""),
        ("default = \n", 1, ""),
        ("\ndefault = " + "9" * 5000, 2, ""),
        ('[[rules]]\nallow = "a:b"\nuid' + ".a" * 5000 + " = 1\n", 3, ""),
        ("\ndefault = " + "[" * 5000 + "]" * 5000, 2, ""),
    ],
)
def test_an_error_has_its_line_and_key(tmp_path: Path, source: str, line: int, key: str) -> None:
    file = tmp_path / "r"
    file.write_text(source)
    with pytest.raises(RulesError) as caught:
        Rules.load(str(file))
    assert (caught.value.line, caught.value.key) == (line, key)
    assert str(caught.value).startswith(f"{file}: {line}: {key}")


def test_a_default_behind_rules_is_a_rules(tmp_path: Path) -> None:
    """TOML puts it into the last table: it must not be taken for the file's."""
    (tmp_path / "r").write_text('[[rules]]\nallow = "a:b"\ndefault = "allow"\n')
    with pytest.raises(RulesError, match=r"3: rules\[0\]\.default: unknown key"):
        Rules.load(str(tmp_path / "r"))


def test_an_error_without_a_file_has_its_key() -> None:
    with pytest.raises(RulesError, match=r"^rules\[0\]\.uid: expected a whole number .*, got 'x'$"):
        Rules({"rules": [{"allow": "a:b", "uid": "x"}]})


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"/none: No such file or directory$"):
        Rules.load(str(tmp_path / "none"))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r")
    with pytest.raises(RulesError, match="expected a file, got a pipe"):
        Rules.load(str(tmp_path / "r"))


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(b'default = "deny"\n# \xff\n')
    with pytest.raises(RulesError, match="2: expected UTF-8"):
        Rules.load(str(tmp_path / "r"))
