"""Programs of both dialects: docs, annotations, and what is only warned of."""

from __future__ import annotations

from loading import Loads

from rpcgen.model import types as t

HEAD = "const DEMO_PROGRAM = 5;\nconst DEMO_PROTOCOL_VERSION = 1;\n"


def test_a_block(loads: Loads) -> None:
    loaded = loads("""\
/* The program. */
program CALC {
    /* The version. */
    version CALC_V1 {
        /* Adds.
         * @priority: high
         */
        int ADD(int a, int b) = 1;

        /* The result stands on a line of its own. */
        int
        TWICE(int number) = 2;
        void NOTHING(void) = 3;
        string NAME(string) = 4;
    } = 1;
} = 0x20000000;
""")
    assert loaded.said == []
    program = loaded.module.programs[0]
    assert (program.name, program.number) == ("CALC", 0x20000000)
    assert (program.version_name, program.version) == ("CALC_V1", 1)
    assert program.dialect == "block"
    assert program.doc == "The program.\n\nThe version."
    add, twice, nothing, name = program.procedures
    assert (add.name, add.label, add.number) == ("ADD", "ADD", 1)
    assert add.doc == "Adds."
    assert add.annotations.priority == "high"
    assert add.argument == t.Named(loaded.type("ADD_args"))
    assert twice.doc == "The result stands on a line of its own."
    assert (twice.argument, twice.parameter) == (t.INT, "number")
    assert (nothing.argument, nothing.result) == (None, None)
    assert name.argument == name.result == t.String(t.UNBOUNDED)
    assert name.parameter == ""


def test_several_arguments_are_an_implicit_struct(loads: Loads) -> None:
    loaded = loads(
        "program P { version V { void F(int, string name, unsigned *, char c<3>) = 1; } = 1; } = 1;"
    )
    struct = loaded.type("F_args")
    assert isinstance(struct, t.Struct)
    assert struct.implicit
    assert [(field.name, field.spelling) for field in struct.fields] == [
        ("arg1", "int"),
        ("name", "string name"),
        ("arg3", "unsigned int *"),
        ("c", "char c<3>"),
    ]


def test_inline_types_of_procedures(loads: Loads) -> None:
    module = loads(
        "program P { version V { void F(struct { int x; } a, enum { E } b) = 1; } = 1; } = 1;"
    ).module
    assert [one.name for one in module.types] == ["F_a", "F_b", "F_args"]


def test_libvirts_dialect(loads: Loads) -> None:
    loaded = loads("""\
/* Which program it is. */
const DEMO_PROGRAM = 0x20008086;
const DEMO_PROTOCOL_VERSION = 1;

struct demo_get_args { int x; };
struct demo_get_ret { int x; };

/* Every procedure. */
enum demo_procedure {
    /**
     * Gets it.
     *
     * @generate: both
     * @acl: none
     */
    DEMO_PROC_GET = 1, /* quickly */

    /* A group. */

    DEMO_PROC_NEXT
};
""")
    assert loaded.said == []
    program = loaded.module.programs[0]
    assert (program.name, program.number) == ("DEMO_PROGRAM", 0x20008086)
    assert (program.version_name, program.version) == ("DEMO_PROTOCOL_VERSION", 1)
    assert (program.dialect, program.doc) == ("enum", "Which program it is.")
    get, following = program.procedures
    assert (get.name, get.label, get.number) == ("DEMO_PROC_GET", "GET", 1)
    assert get.doc == "Gets it.\n\nquickly"
    assert get.annotations.pairs == (("generate", "both"), ("acl", "none"))
    assert get.argument == t.Named(loaded.type("demo_get_args"))
    assert get.result == t.Named(loaded.type("demo_get_ret"))
    assert (following.doc, following.annotations) == ("", t.Annotations())
    enum = loaded.type("demo_procedure")
    assert isinstance(enum, t.Enum)
    assert enum.members[0].doc == "Gets it.\n\nquickly"


def test_annotations_do_not_persist(loads: Loads) -> None:
    module = loads(
        HEAD
        + "enum demo_procedure {\n    /** @priority: high */\n    DEMO_PROC_A,\n    DEMO_PROC_B\n};\n"
    ).module
    assert [one.annotations.priority for one in module.programs[0].procedures] == ["high", "low"]


def test_an_event_may_carry_its_arguments(loads: Loads) -> None:
    loaded = loads(
        HEAD
        + "struct demo_a_args { int x; };\nenum demo_procedure {\n    /* @event */\n    DEMO_PROC_A\n};\n"
    )
    assert loaded.said == []
    event = loaded.module.programs[0].procedures[0]
    assert event.annotations.event
    assert event.argument == t.Named(loaded.type("demo_a_args"))


def test_structs_that_belong_to_no_procedure(loads: Loads) -> None:
    text = (
        "struct demo_gone_args { int x; };\n"
        "struct demo_used_ret { int x; };\n"
        "struct demo_a_ret { demo_used_ret many<>; };\n"
        "struct other_gone_args { int x; };\n"
        "enum demo_procedure { DEMO_PROC_A };\n"
    )
    assert loads(HEAD + text).said == [
        "warning: 3:8: struct 'demo_gone_args' belongs to no procedure"
    ]


def test_a_member_that_is_no_procedure(loads: Loads) -> None:
    loaded = loads(HEAD + "enum demo_procedure { DEMO_PROC_A, DEMO_LAST };\n")
    assert loaded.said == [
        "warning: 3:36: 'DEMO_LAST' is no procedure: expected a name that begins with 'DEMO_PROC_'"
    ]
    assert len(loaded.module.programs[0].procedures) == 1


def test_procedures_without_a_program(loads: Loads) -> None:
    loaded = loads("const DEMO_PROGRAM = 5;\nenum demo_procedure { DEMO_PROC_A };\n")
    assert loaded.said == [
        "warning: 2:6: enum 'demo_procedure' has procedures, but their program has no number or no version"
    ]
    assert loaded.module.programs == []


def test_nothing_is_missed_behind_a_syntax_error(loads: Loads) -> None:
    broken = "const DEMO_PROTOCOL_VERSION = = 1;\nstruct demo_gone_args { int x; };\n"
    procedures = "enum demo_procedure { DEMO_PROC_A };\n"
    for version in ("", "const DEMO_PROTOCOL_VERSION = 1;\n"):
        said = loads("const DEMO_PROGRAM = 5;\n" + version + broken + procedures).said
        assert [line.partition(":")[0] for line in said] == ["error"]


def test_what_only_looks_like_a_program(loads: Loads) -> None:
    loaded = loads(
        HEAD + "enum demo_procedures { DEMO_PROC_A };\nenum demo_procedure { DEMO_A };\n"
    )
    assert loaded.said == []
    assert loaded.module.programs == []


def test_both_dialects_in_one_file(loads: Loads) -> None:
    text = "enum demo_procedure { DEMO_PROC_A };\nprogram P { version V { void A(void) = 1; } = 1; } = 6;\n"
    assert [one.dialect for one in loads(HEAD + text).module.programs] == ["block", "enum"]


def test_programs_that_share_a_number(loads: Loads) -> None:
    text = "enum demo_procedure { DEMO_PROC_A };\nprogram P { version V { void A(void) = 1; } = 1; } = 5;\n"
    assert loads(HEAD + text).said == ["error: 1:7: program 5 version 1 is already defined"]


def test_unknown_annotations_are_warned_of_once(loads: Loads) -> None:
    text = "enum demo_procedure {\n    /* @prority: high */\n    DEMO_PROC_A\n};\n"
    assert loads(HEAD + text).said == ["warning: 4:8: unknown annotation '@prority'"]
