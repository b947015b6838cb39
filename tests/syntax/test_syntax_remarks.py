"""Which comment belongs to what."""

from __future__ import annotations

import pytest

from rpcgen.syntax import parse, tree


def words(remarks: tree.Remarks) -> tuple[str, str]:
    """Comments before and after, delimiters and blanks taken away."""
    before, after = (
        " ".join(comment.text.strip("/* \n") for comment in side)
        for side in (remarks.before, remarks.after)
    )
    return before, after


def only(text: str) -> tree.Definition:
    (definition,) = parse(text, "f.x").definitions
    return definition


@pytest.mark.parametrize(
    "definition",
    [
        "const A = 1;",
        "const A = -1 ;",
        'const A = "x";',
        "typedef int x<3>;",
        "enum e { A };",
        "struct s { };",
        "struct *s { int x; };",
        "union u switch (int d) { default: void; };",
        "program P { version V { void f() = 1; } = 2; } = 3;",
    ],
)
def test_definitions(definition: str) -> None:
    node = only(f"/* before */\n{definition} /* after */\n/* not */\n")
    assert not isinstance(node, tree.PassThrough)
    assert words(node.remarks) == ("before", "after")


def test_a_comment_behind_the_opening_brace_belongs_to_the_definition() -> None:
    for text in (
        "struct s { /* x */\nint y;\n}; /* y */",
        "enum e { /* x */\nA\n}; /* y */",
        "union u switch (int d) { /* x */\ndefault: void; }; /* y */",
        "program P { /* x */\nversion V { void f() = 1; } = 2; } = 3; /* y */",
    ):
        node = only(text)
        assert not isinstance(node, tree.PassThrough)
        assert words(node.remarks) == ("", "x y")


def test_fields() -> None:
    struct = only("""struct s {
            /* one */
            // two
            int a;  /* three */ // four

            /* apart */

            int b  /* five */ ;
            int c; int d; /* seven */
            /* lost */
        };""")
    assert isinstance(struct, tree.StructDefinition)
    assert [words(field.remarks) for field in struct.fields] == [
        *(("one two", "three four"), ("apart", "five"), ("", ""), ("", "seven")),
    ]


def test_members() -> None:
    enum = only("""enum e {
            /* one */ A = 1, /* two */
            B /* three */, /* four */ C /* five */ };""")
    assert isinstance(enum, tree.EnumDefinition)
    assert [words(member.remarks) for member in enum.members] == [
        *(("one", "two"), ("", "three four"), ("", "five")),
    ]


def test_a_comment_of_several_lines_behind_a_field() -> None:
    struct = only("struct s {\n int a; /* one\n two */ /* b's */\n int b;\n};")
    assert isinstance(struct, tree.StructDefinition)
    first, second = struct.fields
    assert [comment.text for comment in first.remarks.after] == ["/* one\n two */"]
    assert words(second.remarks) == ("b's", "")


def test_arms_own_all_comments_around_them() -> None:
    union = only("""union u switch (int d /* d's */) {
            /* one */
            case 1: /* two */
            /* three */
            case 2:
                /* four */
                int x; /* five */
            default: /* six */
                void; // seven
        };""")
    assert isinstance(union, tree.UnionDefinition)
    first, second = union.body.arms
    assert words(union.body.discriminant.remarks) == ("", "d's")
    assert words(first.remarks) == ("one three four", "two five")
    assert words(second.remarks) == ("", "six seven")
    assert first.declaration.remarks is tree.NO_REMARKS


def test_programs() -> None:
    program = only("""program P {
            /* one */
            version V { /* two */
                /* three */
                T
                f(int a, /* four */
                  int b /* five */) = 1; /* six */
                void g(T /* seven */) = 2;
            } = 1; /* eight */
        } = 1;""")
    assert isinstance(program, tree.ProgramDefinition)
    (version,) = program.versions
    f, g = version.procedures
    assert words(version.remarks) == ("one", "two eight")
    assert words(f.remarks) == ("three", "six")
    assert [words(one.remarks)[1] for one in (*f.arguments, *g.arguments)] == [
        *("four", "five", "seven"),
    ]


@pytest.mark.parametrize(
    ("text", "head", "before"),
    [
        ("/* a */\nconst A = 1;", "", "a"),
        ("/* a */\n\nconst A = 1;", "a", ""),
        ("/* a */\n/* b */\nconst A = 1;", "", "a b"),
        ("/* a */\n\n/* b */\nconst A = 1;", "a", "b"),
        ("/* a */\n\n/* b */\n\nconst A = 1;", "a b", ""),
        ("/* a */\n#define X\nconst A = 1;", "a", ""),
        ("/* a */\n%x\n/* b */\n\n/* c */ const A = 1;", "a b", "c"),
        ("\n\n// a\n// b\n\nconst A = 1;", "a b", ""),
        ("#if 0\n/* a */\n#endif\nconst A = 1;", "", ""),
    ],
)
def test_the_head_of_a_file(text: str, head: str, before: str) -> None:
    spec = parse(text, "f.x")
    (const,) = (one for one in spec.definitions if isinstance(one, tree.ConstDefinition))
    assert (words(spec.remarks), words(const.remarks)) == ((head, ""), (before, ""))


def test_a_file_of_comments() -> None:
    assert words(parse("/* a */\n/* b */\n", "f.x").remarks) == ("a b", "")


def test_directives_part_comments_from_what_follows() -> None:
    spec = parse("const A = 1; /* a */\n/* x */\n#define X\n/* b */\nconst B = 1;", "f.x")
    assert [words(one.remarks) for one in spec.definitions] == [("", "a"), ("b", "")]  # type: ignore[union-attr]


def test_comments_do_not_cross_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.x").write_text("/* a's head */\n\nconst A = 1; /* a */\n/* a's end */\n")
    text = '/* head */\n#include "a.x"\nconst B = 1;\n'
    spec = parse(text, str(folder / "f.x"))
    assert words(spec.remarks) == ("head", "")
    assert [words(one.remarks) for one in spec.definitions] == [("", "a"), ("", "")]  # type: ignore[union-attr]


def test_comments_are_kept_as_written_with_their_place() -> None:
    (definition,) = parse("\n  /** a\n   * b */\nconst A = 1;", "f.x").definitions
    assert isinstance(definition, tree.ConstDefinition)
    (comment,) = definition.remarks.before
    assert (comment.text, str(comment.at)) == ("/** a\n   * b */", "f.x:2:3")
