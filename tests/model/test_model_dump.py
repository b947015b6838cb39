"""The dump says everything that the model knows; the shapes say what is on the wire and nothing else."""

from __future__ import annotations

import json

from loading import Loads

from rpcgen.model import types as t
from rpcgen.model.dump import Thing, as_json, shapes

TEXT = """\
/* A file. */

const LIMIT = 0x10;
const KEY = "abc";

/* Colours. */
enum color {
    RED = 1 /* warm */
};

struct s {
    int numbers<LIMIT>;
    opaque bytes[4];
    string text<>;
    char letters[3];
    s *next;
};

union u switch (color kind) {
case RED:
    color value;
default:
    void;
};

typedef color *maybe;

program P {
    version V {
        /* @acl: domain:read
         * @fds: in
         */
        void CALL(maybe what) = 1;
        int SEVERAL(int, int) = 2;
    } = 1;
} = 5;
"""


def without_places(data: object) -> object:
    """The same data without folders, which differ from run to run."""
    if isinstance(data, dict):
        return {
            key: without_places(value)
            for key, value in data.items()
            if key not in ("at", "file", "inputs")
        }
    return [without_places(one) for one in data] if isinstance(data, list) else data


def test_json(loads: Loads) -> None:
    data = as_json(loads(TEXT).module)
    assert json.loads(json.dumps(data)) == data
    assert without_places(data) == {
        "stem": "f",
        "doc": "A file.",
        "imports": [],
        "constants": [
            {"name": "LIMIT", "value": 16, "spelling": "0x10"},
            {"name": "KEY", "value": "abc", "spelling": '"abc"'},
        ],
        "types": [
            {
                "kind": "enum",
                "name": "color",
                "doc": "Colours.",
                "open": False,
                "members": [{"name": "RED", "doc": "warm", "value": 1}],
            },
            {
                "kind": "struct",
                "name": "s",
                "chain": True,
                "implicit": False,
                "fields": [
                    {
                        "name": "numbers",
                        "spelling": "int numbers<LIMIT>",
                        "type": {
                            "kind": "array",
                            "element": {"kind": "int", "size": 4},
                            "length": 16,
                            "fixed": False,
                        },
                    },
                    {
                        "name": "bytes",
                        "spelling": "opaque bytes[4]",
                        "type": {"kind": "opaque", "length": 4, "fixed": True},
                    },
                    {
                        "name": "text",
                        "spelling": "string text<>",
                        "type": {"kind": "string", "maximum": 4294967295},
                    },
                    {
                        "name": "letters",
                        "spelling": "char letters[3]",
                        "type": {"kind": "chars", "length": 3, "fixed": True, "signed": True},
                    },
                    {
                        "name": "next",
                        "spelling": "s *next",
                        "type": {
                            "kind": "optional",
                            "element": {"kind": "named", "name": "s", "module": "f"},
                        },
                    },
                ],
            },
            {
                "kind": "union",
                "name": "u",
                "discriminant": {
                    "name": "kind",
                    "spelling": "color kind",
                    "type": {"kind": "named", "name": "color", "module": "f"},
                },
                "arms": [
                    {
                        "labels": [{"value": 1, "spelling": "RED"}],
                        "default": False,
                        "field": {
                            "name": "value",
                            "spelling": "color value",
                            "type": {"kind": "named", "name": "color", "module": "f"},
                        },
                    },
                    {"labels": [], "default": True, "field": None},
                ],
            },
            {
                "kind": "typedef",
                "name": "maybe",
                "spelling": "color *maybe",
                "type": {
                    "kind": "optional",
                    "element": {"kind": "named", "name": "color", "module": "f"},
                },
            },
            {
                "kind": "struct",
                "name": "SEVERAL_args",
                "chain": False,
                "implicit": True,
                "fields": [
                    {"name": "arg1", "spelling": "int", "type": {"kind": "int", "size": 4}},
                    {"name": "arg2", "spelling": "int", "type": {"kind": "int", "size": 4}},
                ],
            },
        ],
        "programs": [
            {
                "name": "P",
                "number": 5,
                "version_name": "V",
                "version": 1,
                "dialect": "block",
                "procedures": [
                    {
                        "name": "CALL",
                        "label": "CALL",
                        "number": 1,
                        "argument": {"kind": "named", "name": "maybe", "module": "f"},
                        "parameter": "what",
                        "result": None,
                        "annotations": {
                            "pairs": [["acl", "domain:read"], ["fds", "in"]],
                            "generate": "both",
                            "priority": "low",
                            "stream": None,
                            "sparse_flag": None,
                            "acl": [{"object": "domain", "permission": "read"}],
                            "acl_filter": [],
                            "event": False,
                            "auth_none": False,
                            "fds_in": True,
                            "fds_out": False,
                            "nonblocking": False,
                        },
                    },
                    {
                        "name": "SEVERAL",
                        "label": "SEVERAL",
                        "number": 2,
                        "argument": {"kind": "named", "name": "SEVERAL_args", "module": "f"},
                        "result": {"kind": "int", "size": 4},
                        "annotations": {
                            "pairs": [],
                            "generate": "both",
                            "priority": "low",
                            "stream": None,
                            "sparse_flag": None,
                            "acl": [],
                            "acl_filter": [],
                            "event": False,
                            "auth_none": False,
                            "fds_in": False,
                            "fds_out": False,
                            "nonblocking": False,
                        },
                    },
                ],
            }
        ],
    }


def test_places(loads: Loads) -> None:
    data = as_json(loads(TEXT).module)
    assert data["types"][0]["at"].endswith("f.x:7:6")
    assert data["types"][1]["fields"][0]["at"].endswith("f.x:12:9")


def test_python_names_stand_beside_those_of_the_file(loads: Loads) -> None:
    def python_name(thing: Thing) -> str | None:
        return None if isinstance(thing, t.Constant | t.Arm) else thing.name.title()

    data = as_json(loads(TEXT).module, python_name)
    assert "python" not in data["constants"][0]
    assert data["types"][0]["python"] == "Color"
    assert data["types"][0]["members"][0]["python"] == "Red"
    assert data["programs"][0]["procedures"][0]["python"] == "Call"


def test_shapes_do_not_change_with_order_or_comments(loads: Loads) -> None:
    one = loads("/* a */\nconst A = 1;\nstruct s { int x; };\ntypedef s b<A>;\n").module
    two = loads("typedef s b<A>;\nstruct s { int x; /* x */ };\nconst A = 0x1;\n").module
    assert shapes(one) == shapes(two) == "const A = 1\nstruct s\n    x: int\ntypedef b: s<1>\n"


def test_shapes_change_with_the_wire(loads: Loads) -> None:
    texts = [
        "struct s { int x; int y; };",
        "struct s { int y; int x; };",
        "struct s { int x; hyper y; };",
        "struct s { int x; int y[2]; };",
        "struct s { int x; int y<2>; };",
        "struct s { int x; int y<3>; };",
        "struct s { int x; int y<>; };",
        "struct s { int x; int *y; };",
        "struct s { int x; char y[2]; };",
        "struct s { int x; opaque y[2]; };",
        "struct s { int x; string y<2>; };",
        "enum s { X, Y };",
        "enum s { X, Y = 2 };",
        "union s switch (int x) { case 0: int y; };",
        "union s switch (bool x) { case 0: int y; };",
        "union s switch (int x) { case 1: int y; };",
        "union s switch (int x) { case 1: int y; default: void; };",
        "union s switch (int x) { case 1: void; };",
        "typedef int s;",
    ]
    assert len({shapes(loads(text).module) for text in texts}) == len(texts)
