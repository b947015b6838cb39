"""The grammar of ``.x`` files, in the order of RFC 4506 section 6.3 and RFC 5531 section 12.

Productions build nodes and nothing else. What the RFCs do not have and C's rpcgen or libvirt accept
is here too; what only makes sense in some places (``void`` fields, ``string`` without bounds) is
accepted and left to the model, which explains it better than a grammar can.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from rpcgen.syntax import tree
from rpcgen.syntax.lexer import KEYWORDS, number
from rpcgen.syntax.pieces import (
    Body,
    Bounds,
    Declarator,
    Labels,
    Rule,
    body_of,
    body_remarks,
    declare,
    declare_unnamed,
    make_arm,
    name_of,
    remarks_of,
    require_content,
    tolerate,
)

tokens = ("NAME", "NUMBER", "TEXT", *KEYWORDS.values())
"""PLY's name for the terminals; single characters need none."""

_F = TypeVar("_F", bound=Callable[[Any], None])


def production(text: str) -> Callable[[_F], _F]:
    """Set the production that PLY reads from a docstring, so that ``python -OO`` finds it too."""

    def mark(function: _F) -> _F:
        function.__doc__ = text
        return function

    return mark


# RFC 4506 section 6.3


@production("declaration : type_specifier declarator")
def p_declaration(p: Rule) -> None:
    p[0] = declare(p, p[2], None)


@production("declaration : type_specifier '*' declarator")
def p_declaration_optional(p: Rule) -> None:
    p[0] = declare(p, p[3], p[2])


@production("declaration : VOID")
def p_declaration_void(p: Rule) -> None:
    p[0] = declare_unnamed(tree.Builtin("void", p[1].at), remarks_of(p[1], p[1]))


@production("declarator : NAME")
def p_declarator(p: Rule) -> None:
    p[0] = Declarator(name_of(p[1]))


@production("declarator : declarator bounds")
def p_declarator_bounds(p: Rule) -> None:
    inner, bounds = p[1], p[2]
    if inner.form is tree.Form.PLAIN:
        p[0] = Declarator(inner.name, bounds.form, bounds.value)
    else:
        p[0] = inner._replace(extra=inner.extra or bounds.at)


@production("bounds : '[' value ']'")
def p_bounds_fixed(p: Rule) -> None:
    p[0] = Bounds(tree.Form.FIXED, p[2], p[1].at)


@production("""
    bounds : '<' value '>'
           | '<' '>'
    """)
def p_bounds_variable(p: Rule) -> None:
    p[0] = Bounds(tree.Form.VARIABLE, p[2] if len(p) == 4 else None, p[1].at)


@production("value : NAME")
def p_value_name(p: Rule) -> None:
    p[0] = name_of(p[1])


@production("value : NUMBER")
def p_value_number(p: Rule) -> None:
    token = p[1]
    p[0] = tree.Number(number(token.text), token.spelling, token.at)


@production("value : '-' NUMBER")
def p_value_negative(p: Rule) -> None:
    sign, token = p[1], p[2]
    spelling = sign.spelling if sign.note else f"-{token.spelling}"
    width = token.end - sign.offset if token.source is sign.source else 1
    p[0] = tree.Number(-number(token.text), spelling, sign.source.at(sign.offset, width))


@production("""
    type_specifier : integer
                   | FLOAT
                   | DOUBLE
                   | QUADRUPLE
                   | BOOL
                   | OPAQUE
                   | STRING
    """)
def p_type_specifier(p: Rule) -> None:
    p[0] = tree.Builtin(p[1].text, p[1].at)


@production("""
    type_specifier : UNSIGNED integer
                   | UNSIGNED
    """)
def p_type_specifier_unsigned(p: Rule) -> None:
    p[0] = tree.Builtin(f"unsigned {p[2].text if len(p) == 3 else 'int'}", p[1].at)


@production("""
    integer : INT
            | CHAR
            | SHORT
            | SHORT INT
            | LONG
            | LONG INT
            | HYPER
            | HYPER INT
    """)
def p_integer(p: Rule) -> None:
    p[0] = p[1]


@production("type_specifier : NAME")
def p_type_specifier_name(p: Rule) -> None:
    name = name_of(p[1])
    p[0] = tree.TypeName(name, None, name.at)


@production("""
    type_specifier : ENUM NAME
                   | STRUCT NAME
                   | UNION NAME
    """)
def p_type_specifier_tag(p: Rule) -> None:
    tag, name = p[1], p[2]
    tolerate(p, f"'{tag.text} {name.text}' as a type: RFC 4506 has the name alone", tag)
    p[0] = tree.TypeName(name_of(name), tag.text, tag.at)


@production("type_specifier : ENUM enum_body")
def p_type_specifier_enum(p: Rule) -> None:
    p[0] = tree.InlineEnum(p[2].content, p[1].at)


@production("type_specifier : STRUCT struct_body")
def p_type_specifier_struct(p: Rule) -> None:
    p[0] = tree.InlineStruct(p[2].content, p[1].at)


@production("type_specifier : UNION union_body")
def p_type_specifier_union(p: Rule) -> None:
    p[0] = tree.InlineUnion(p[2].content, p[1].at)


@production("enum_body : '{' enum_list enum_member '}'")
def p_enum_body(p: Rule) -> None:
    p[0] = Body((*p[2], p[3]), p[1].after)


@production("enum_body : '{' enum_list '}'")
def p_enum_body_trailing_comma(p: Rule) -> None:
    if p[2]:
        tolerate(p, "a comma behind the last member: RFC 4506 has none", p.lexspan(2)[1])
    else:
        require_content(p, "a name")
    p[0] = body_of(p)


@production("enum_member : NAME")
def p_enum_member_implicit(p: Rule) -> None:
    name = name_of(p[1])
    p[0] = tree.EnumMember(name, None, name.at, remarks_of(p[1], p[1]))


@production("enum_member : NAME '=' value")
def p_enum_member(p: Rule) -> None:
    name = name_of(p[1])
    p[0] = tree.EnumMember(name, p[3], name.at, remarks_of(p[1], p.lexspan(3)[1]))


@production("struct_body : '{' fields '}'")
def p_struct_body(p: Rule) -> None:
    if p[3].index == p[1].index + 1:
        tolerate(p, "a struct without fields: RFC 4506 wants one", p[3])
    p[0] = body_of(p)


@production("union_body : SWITCH '(' declaration ')' case_specs")
def p_union_body(p: Rule) -> None:
    p[0] = Body(tree.UnionBody(p[3], p[5].content), p[5].remarks)


@production("case_specs : '{' arms '}'")
def p_case_specs(p: Rule) -> None:
    require_content(p, "'case' or 'default'")
    p[0] = body_of(p)


@production("arm : labels declaration ';'")
def p_arm(p: Rule) -> None:
    p[0] = make_arm(p[1], p[2])


@production("arm : DEFAULT ':' declaration ';'")
def p_arm_default(p: Rule) -> None:
    p[0] = make_arm(Labels([], p[1].at, [*p[1].before], [*p[2].after]), p[3])


@production("""
    labels : CASE value ':'
           | labels CASE value ':'
    """)
def p_labels(p: Rule) -> None:
    case, value, colon = p[len(p) - 3], p[len(p) - 2], p[len(p) - 1]
    labels = p[1] if len(p) == 5 else Labels([], case.at, [], [])
    labels.values.append(value)
    labels.before.extend(case.before)
    labels.after.extend(colon.after)
    p[0] = labels


@production("constant_def : CONST NAME '=' value ';'")
def p_constant_def(p: Rule) -> None:
    p[0] = tree.ConstDefinition(name_of(p[2]), p[4], p[1].at, remarks_of(p[1], p.lexspan(4)[1]))


@production("constant_def : CONST NAME '=' TEXT ';'")
def p_constant_def_text(p: Rule) -> None:
    text = p[4]
    tolerate(p, "a text as a constant: RFC 4506 has numbers only", text)
    value = tree.Text(text.text[1:-1], text.at)
    p[0] = tree.ConstDefinition(name_of(p[2]), value, p[1].at, remarks_of(p[1], text))


@production("type_def : TYPEDEF declaration ';'")
def p_type_def(p: Rule) -> None:
    declaration = replace(p[2], remarks=tree.NO_REMARKS)
    p[0] = tree.TypedefDefinition(declaration, p[1].at, remarks_of(p[1], p.lexspan(2)[1]))


@production("type_def : ENUM NAME enum_body ';'")
def p_type_def_enum(p: Rule) -> None:
    p[0] = tree.EnumDefinition(name_of(p[2]), p[3].content, p[1].at, body_remarks(p, 3))


@production("type_def : STRUCT NAME struct_body ';'")
def p_type_def_struct(p: Rule) -> None:
    p[0] = tree.StructDefinition(name_of(p[2]), p[3].content, p[1].at, body_remarks(p, 3))


@production("type_def : STRUCT '*' NAME struct_body ';'")
def p_type_def_struct_pointer(p: Rule) -> None:
    tolerate(p, "'struct *' at a definition: only RFC 1833 has it", p[2])
    p[0] = tree.StructDefinition(
        name_of(p[3]), p[4].content, p[1].at, body_remarks(p, 4), pointer=True
    )


@production("type_def : UNION NAME union_body ';'")
def p_type_def_union(p: Rule) -> None:
    p[0] = tree.UnionDefinition(name_of(p[2]), p[3].content, p[1].at, body_remarks(p, 3))


@production("""
    definition : type_def
               | constant_def
               | program_def
    """)
def p_definition(p: Rule) -> None:
    p[0] = p[1]


@production("specification : definitions")
def p_specification(p: Rule) -> None:
    p[0] = p[1]


@production("definitions :")
def p_definitions_none(p: Rule) -> None:
    p[0] = []


@production("definitions : definitions definition")
def p_definitions(p: Rule) -> None:
    p[1].append((p.lexpos(2).index, p[2]))
    p[0] = p[1]


# RFC 5531 section 12


@production("program_def : PROGRAM NAME program_body '=' value ';'")
def p_program_def(p: Rule) -> None:
    p[0] = tree.ProgramDefinition(name_of(p[2]), p[3].content, p[5], p[1].at, body_remarks(p, 3, 5))


@production("program_body : '{' versions '}'")
def p_program_body(p: Rule) -> None:
    require_content(p, "'version'")
    p[0] = body_of(p)


@production("version_def : VERSION NAME version_body '=' value ';'")
def p_version_def(p: Rule) -> None:
    p[0] = tree.VersionDefinition(name_of(p[2]), p[3].content, p[5], p[1].at, body_remarks(p, 3, 5))


@production("version_body : '{' procedures '}'")
def p_version_body(p: Rule) -> None:
    require_content(p, "a type")
    p[0] = body_of(p)


@production("procedure_def : proc_return NAME '(' proc_arguments ')' '=' value ';'")
def p_procedure_def(p: Rule) -> None:
    result = p[1]
    remarks = remarks_of(p.lexpos(1), p.lexspan(7)[1])
    p[0] = tree.ProcedureDefinition(name_of(p[2]), result, p[4], p[7], result.at, remarks)


@production("proc_return : VOID")
def p_proc_return_void(p: Rule) -> None:
    p[0] = declare_unnamed(tree.Builtin("void", p[1].at))


@production("""
    proc_return : type_specifier
                | type_specifier '*'
    """)
def p_proc_return(p: Rule) -> None:
    p[0] = declare_unnamed(p[1], optional=len(p) == 3)


@production("""
    proc_arguments :
                   | VOID
    """)
def p_proc_arguments_void(p: Rule) -> None:
    p[0] = ()


@production("proc_arguments : arguments")
def p_proc_arguments(p: Rule) -> None:
    p[0] = tuple(p[1])


@production("arguments : argument")
def p_arguments_first(p: Rule) -> None:
    p[0] = [p[1]]


@production("arguments : arguments ',' argument")
def p_arguments(p: Rule) -> None:
    p[1].append(p[3])
    p[0] = p[1]


@production("""
    argument : type_specifier
             | type_specifier '*'
    """)
def p_argument_unnamed(p: Rule) -> None:
    p[0] = declare_unnamed(
        p[1], remarks_of(p.lexpos(1), p.lexspan(len(p) - 1)[1]), optional=len(p) == 3
    )


@production("argument : type_specifier declarator")
def p_argument(p: Rule) -> None:
    p[0] = declare(p, p[2], None)


@production("argument : type_specifier '*' declarator")
def p_argument_optional(p: Rule) -> None:
    p[0] = declare(p, p[3], p[2])


# Lists


@production("""
    enum_list  :
               | enum_list enum_member ','
    fields     :
               | fields declaration ';'
    arms       :
               | arms arm
    versions   :
               | versions version_def
    procedures :
               | procedures procedure_def
    """)
def p_list(p: Rule) -> None:
    p[0] = p[1] if len(p) > 1 else []
    if len(p) > 1:
        p[0].append(p[2])


# Where parsing resumes after an error: nothing is kept of the broken part. ``recovery`` steers towards these.


@production("""
    definitions : definitions error ';'
                | definitions error '}'
                | definitions error '}' ';'
                | definitions error '}' '=' value ';'
    enum_list   : enum_list error ','
    fields      : fields error ';'
    arms        : arms error ';'
    versions    : versions error ';'
    procedures  : procedures error ';'
    """)
def p_resumed(p: Rule) -> None:
    p.parser.errok()
    p[0] = p[1]


@production("""
    enum_body    : '{' enum_list error '}'
    struct_body  : '{' fields error '}'
    case_specs   : '{' arms error '}'
    program_body : '{' versions error '}'
    version_body : '{' procedures error '}'
    """)
def p_resumed_body(p: Rule) -> None:
    p.parser.errok()
    p[0] = body_of(p)
