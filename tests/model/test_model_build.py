"""What shapes do not show: docs, spellings, order, places, chains, and tolerated forms."""

from __future__ import annotations

import pytest
from loading import Loads

from rpcgen.model import types as t


def test_docs_of_everything(loads: Loads) -> None:
    module = loads("""\
/*
 * The file.
 */

/* A constant. */
const A = 1;    /* one */

/* An enum.
 * @open
 */
enum e {
    /* A member. */
    E_A = 1,    // trailing
    E_B         /* last */
};

/* A struct. */
struct s {      /* behind its brace */
    /* A field. */
    int x;      /* trailing */
    int y;
};

/* A union. */
union u switch (int kind) {
/* An arm. */
case 1:
    int a;      /* its value */
default:
    void;
};

/* Detached. */

typedef int plain;

/* A typedef. */
typedef int commented<5>;
""").module
    assert module.doc == "The file."
    assert module.constants[0].doc == "A constant.\none"
    docs = {one.name: one.doc for one in module.types}
    assert docs["e"] == "An enum."
    assert docs["s"].startswith("A struct.")
    assert docs["u"] == "A union."
    assert docs["plain"] == ""
    assert docs["commented"] == "A typedef."
    enum, struct, union, *_ = module.types
    assert isinstance(enum, t.Enum)
    assert [member.doc for member in enum.members] == ["A member.\ntrailing", "last"]
    assert enum.open
    assert isinstance(struct, t.Struct)
    assert [field.doc for field in struct.fields] == ["A field.\ntrailing", ""]
    assert isinstance(union, t.Union)
    assert union.arms[0].doc.startswith("An arm.")


def test_spellings_keep_what_the_file_writes(loads: Loads) -> None:
    loaded = loads("""\
const LIMIT = 0x10;
struct other { int x; };
struct s {
    unsigned a;
    unsigned int b[LIMIT];
    string c<>;
    opaque d[020];
    struct other *e;
    other f<LIMIT>;
    enum { IN_LINE } g<2>;
};
typedef string name<LIMIT>;
union u switch (int kind) {
case LIMIT:
case 0x11:
    int x;
};
""")
    struct, alias, union = loaded.type("s"), loaded.type("name"), loaded.type("u")
    assert isinstance(struct, t.Struct)
    assert isinstance(alias, t.Alias)
    assert isinstance(union, t.Union)
    assert [field.spelling for field in struct.fields] == [
        "unsigned int a",
        "unsigned int b[LIMIT]",
        "string c<>",
        "opaque d[020]",
        "struct other *e",
        "other f<LIMIT>",
        "s_g g<2>",
    ]
    assert alias.spelling == "string name<LIMIT>"
    assert [(one.value, one.spelling) for one in union.arms[0].labels] == [
        (16, "LIMIT"),
        (17, "0x11"),
    ]
    assert loaded.module.constants[0].spelling == "0x10"


def test_inline_types_stand_before_their_user(loads: Loads) -> None:
    module = loads(
        "struct a { struct { struct { int x; } in; } b; enum { X } e; };\n"
        "typedef struct { int y; } *c;\nstruct d { int z; };\n"
    ).module
    assert [one.name for one in module.types] == ["a_b_in", "a_b", "a_e", "a", "c_item", "c", "d"]


def test_chains(loads: Loads) -> None:
    module = loads("""\
struct direct { int x; direct *next; };
typedef struct node *nodes;
struct node { int x; nodes rest; };
struct *legacy { int x; legacy next; };
struct first { first *next; int x; };
struct two { two *left; two *right; };
struct other { direct *next; };
struct array { array next<1>; };
typedef node renamed;
struct empty { };
""").module
    chains = {one.name for one in module.types if isinstance(one, t.Struct) and one.chain}
    assert chains == {"direct", "node", "legacy_item", "two"}


def test_a_chain_through_a_renamed_struct(loads: Loads) -> None:
    struct = loads("struct s { int x; again *next; };\ntypedef s again;\n").type("s")
    assert isinstance(struct, t.Struct)
    assert struct.chain


def test_places_are_those_of_names(loads: Loads) -> None:
    loaded = loads("struct s {\n    int x;\n};\ntypedef int a<5>;\nconst C = 1;\n")
    places = {one.name: str(one.at).partition(":")[2] for one in loaded.module.types}
    assert places == {"s": "1:8", "a": "4:13"}
    assert str(loaded.module.constants[0].at).endswith("f.x:5:7")
    struct = loaded.type("s")
    assert isinstance(struct, t.Struct)
    assert str(struct.fields[0].at).endswith("f.x:2:9")


def test_uses_of_a_type_are_one_definition(loads: Loads) -> None:
    loaded = loads("struct s { later a; later *b; later c<>; };\nstruct later { int x; };\n")
    struct, later = loaded.type("s"), loaded.type("later")
    assert isinstance(struct, t.Struct)
    named = t.Named(later)
    assert [field.type for field in struct.fields] == [
        named,
        t.Optional(named),
        t.Array(named, t.UNBOUNDED, fixed=False),
    ]


def test_a_module_knows_its_file(loads: Loads) -> None:
    module = loads("const A = 1;").module
    assert module.stem == "f"
    assert module.file.endswith("f.x")
    assert module.inputs == (module.file,)


def test_errors_of_one_file_are_all_reported(loads: Loads) -> None:
    said = loads(
        "struct s { missing x; void; string y; };\nconst A = B;\nunion u switch (float f) { case 1: void; };\n"
    ).said
    assert len(said) == 5


def test_unknown_names_are_not_reported_behind_a_syntax_error(loads: Loads) -> None:
    said = loads("struct lost {\n    int int;\n};\nstruct s { lost x; int y[GONE]; void; };\n").said
    assert not [line for line in said if "unknown" in line]
    assert any("got void" in line for line in said)


PREDEFINED = "warning: 2:5: 'u_int' is no type of RFC 4506"


def test_predefined_types_are_tolerated(loads: Loads) -> None:
    text = "struct s {\n    u_int a;\n    u_int b;\n};\n"
    assert loads(text).said == []
    assert loads(text, pedantic=True).said == [PREDEFINED]


def test_a_typedef_of_itself_is_tolerated(loads: Loads) -> None:
    text = "struct s { int x; };\ntypedef struct s s;\n"
    assert loads(text).said == []
    assert (
        "warning: 2:1: 'typedef' of 's' as itself does nothing" in loads(text, pedantic=True).said
    )


@pytest.mark.parametrize("depth", [1, 60])
def test_inline_types_in_inline_types(loads: Loads, depth: int) -> None:
    inner = "int x;"
    for _ in range(depth):
        inner = f"struct {{ {inner} }} s;"
    loaded = loads(f"struct outer {{ {inner} }};\n")
    assert loaded.said == []
    assert len(loaded.module.types) == depth + 1


def test_references_far_beyond_the_recursion_limit(loads: Loads) -> None:
    aliases = "".join(f"typedef a{n + 1} a{n};\n" for n in range(3_000)) + "typedef int a3000;\n"
    structs = (
        "".join(f"struct s{n} {{ s{n + 1} x; }};\n" for n in range(2_000))
        + "struct s2000 { a0 x; };\n"
    )
    constants = "".join(f"const C{n} = C{n + 1};\n" for n in range(3_000)) + "const C3000 = 7;\n"
    optionals = "typedef a0 *maybe;\nunion u switch (a0 kind) { case C0: maybe x; };\n"
    loaded = loads(aliases + structs + constants + optionals)
    assert loaded.said == []
    assert loaded.module.constants[0].value == 7


def test_cycles_far_beyond_the_recursion_limit(loads: Loads) -> None:
    count = 2_000
    text = "".join(
        f"typedef a{m} a{n};\nconst C{n} = C{m};\nstruct s{n} {{ s{m} x; }};\n"
        for n, m in ((n, (n + 1) % count) for n in range(count))
    )
    said = loads(text).said
    assert [line[:60] for line in said] == [
        "error: 1:12: typedef 'a0' stands for itself: a0 -> a1 -> a2 ",
        "error: 2:7: constant 'C0' depends on itself: C0 -> C1 -> C2 ",
        "error: 3:8: struct 's0' contains itself: s0 -> s1 -> s2 -> s",
    ]
