"""%#include lines as imports: how files are found, what becomes visible, what clashes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from loading import Loads

from rpcgen.errors import SpecErrors
from rpcgen.model import load
from rpcgen.model import types as t


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, text in files.items():
        (folder / f"{stem}.x").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "line",
    [
        '%#include "other.h"',
        "%#include <other.h>",
        "%#include <some/folder/other.h>",
        '%  #  include  "other.h"  /* for its types */',
        '#ifdef RPC_HDR\n%#include "other.h"\n#endif',
    ],
)
def test_a_header_stands_for_the_spec_of_its_stem(loads: Loads, tmp_path: Path, line: str) -> None:
    write(tmp_path, other="typedef int id;\n")
    loaded = loads(f"{line}\nstruct s {{ id x; }};\n")
    assert loaded.said == []
    assert [one.stem for one in loaded.module.imports] == ["other"]
    assert [os.path.basename(file) for file in loaded.module.inputs] == ["f.x", "other.x"]


def test_the_include_path(loads: Loads, tmp_path: Path) -> None:
    write(tmp_path / "one")
    write(tmp_path / "two", other="typedef int id;\n")
    path = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert loads('%#include "other.h"\nstruct s { id x; };\n', include_path=path).said == []


def test_a_folder_in_the_name_of_the_header(loads: Loads, tmp_path: Path) -> None:
    write(tmp_path / "sub", other="typedef int id;\n")
    assert loads('%#include "sub/other.h"\nstruct s { id x; };\n').said == []


def test_beside_the_file_comes_first(loads: Loads, tmp_path: Path) -> None:
    write(tmp_path, other="typedef hyper id;\n")
    write(tmp_path / "two", other="typedef int id;\n")
    module = loads('%#include "other.h"\n', include_path=[str(tmp_path / "two")]).module
    imported = module.imports[0].types[0]
    assert isinstance(imported, t.Alias)
    assert imported.target == t.HYPER


def test_an_import_in_an_included_file_is_found_beside_that_file(
    loads: Loads, tmp_path: Path
) -> None:
    write(tmp_path / "sub", part='%#include "other.h"\n', other="typedef int id;\n")
    loaded = loads('#include "sub/part.x"\nstruct s { id x; };\n')
    assert loaded.said == []
    names = [os.path.relpath(file, tmp_path) for file in loaded.module.inputs]
    assert names == ["f.x", os.path.join("sub", "part.x"), os.path.join("sub", "other.x")]


@pytest.mark.parametrize(
    "line", ["%#include <stdio.h>", '%#include "f.h"', "%#include HEADER", "%// other.h"]
)
def test_lines_that_import_nothing(loads: Loads, line: str) -> None:
    loaded = loads(f"{line}\nconst A = 1;\n")
    assert loaded.said == []
    assert loaded.module.imports == []


def test_one_module_for_each_file_of_a_run(loads: Loads, tmp_path: Path) -> None:
    write(tmp_path, a='%#include "c.h"\n', b='%#include "c.h"\n', c="typedef int id;\n")
    (tmp_path / "link.x").symlink_to(tmp_path / "c.x")
    first, second, third = loads("", "a.x", "b.x", "c.x", "link.x", "a.x").modules
    assert first.imports == second.imports == [third]


def test_order_of_files_does_not_matter(loads: Loads, tmp_path: Path) -> None:
    write(tmp_path, user='%#include "used.h"\nstruct s { id x; };\n', used="typedef int id;\n")
    assert [one.stem for one in loads("", "user.x", "used.x").modules] == ["user", "used"]
    assert [one.stem for one in loads("", "used.x", "user.x").modules] == ["used", "user"]


def test_what_an_import_imports_is_visible(loads: Loads, tmp_path: Path) -> None:
    write(
        tmp_path,
        a='%#include "b.h"\n',
        b='%#include "c.h"\n',
        c="typedef int id;\nconst N = 3;\nenum e { E = 4 };\n",
    )
    loaded = loads('%#include "a.h"\nstruct s { id x[N]; e y<E>; };\n')
    assert loaded.said == []
    assert [one.stem for one in loaded.module.imports] == ["a"]
    assert [os.path.basename(file) for file in loaded.module.inputs] == ["f.x", "a.x", "b.x", "c.x"]


def test_a_file_reached_twice_does_not_clash_with_itself(loads: Loads, tmp_path: Path) -> None:
    write(
        tmp_path, a='%#include "c.h"\n', b='%#include "c.h"\n', c="typedef int id;\nconst N = 3;\n"
    )
    assert (
        loads('%#include "a.h"\n%#include "b.h"\n%#include "c.h"\nstruct s { id x[N]; };\n').said
        == []
    )


def test_files_that_import_each_other(loads: Loads, tmp_path: Path) -> None:
    write(
        tmp_path,
        a='%#include "b.h"\nstruct a { b x; };\n',
        b='%#include "a.h"\nstruct b { a *x; };\n',
    )
    assert loads("", "a.x").said == [
        "error: b.x:1:1: these files import each other: a.x -> b.x -> a.x"
    ]


def test_a_long_line_of_imports(loads: Loads, tmp_path: Path) -> None:
    write(
        tmp_path,
        **{f"m{n}": f'%#include "m{n + 1}.h"\nconst C{n} = C{n + 1};\n' for n in range(300)},
    )
    write(tmp_path, m300="const C300 = 5;\n")
    loaded = loads("", "m0.x")
    assert loaded.said == []
    assert loaded.module.constants[0].value == 5


def test_two_imports_with_the_same_type(loads: Loads, tmp_path: Path) -> None:
    write(tmp_path, a="typedef int id;\nconst N = 1;\n", b="typedef int id;\nconst N = 2;\n")
    loaded = loads('%#include "a.h"\n%#include "b.h"\n')
    assert loaded.said == [
        "error: 2:1: two imports define 'id'",
        "error: 2:1: two imports define 'N'",
    ]


def test_two_imports_may_agree_on_a_constant(loads: Loads, tmp_path: Path) -> None:
    write(tmp_path, a="const N = 1;\n", b="enum e { N = 1 };\n")
    assert loads('%#include "a.h"\n%#include "b.h"\nconst M = N;\n').said == []


def test_a_definition_beside_an_imported_one(loads: Loads, tmp_path: Path) -> None:
    write(
        tmp_path,
        a="typedef int id;\nconst N = 1;\nconst M = 1;\nconst O = 1;\nstruct s { int x; };\n",
    )
    said = loads(
        '%#include "a.h"\nstruct id { int x; };\nconst N = 2;\nconst M = 1;\nstruct O { int x; };\nconst s = 1;\n'
    ).said
    assert said == [
        "error: 2:8: struct 'id' is already defined",
        "error: 3:7: constant 'N' is 2 here, but 1 in an import",
        "error: 5:8: struct 'O' is already defined",
        "error: 6:7: constant 's' is already defined",
    ]


def test_an_import_with_errors_is_reported_once_and_hides_unknown_names(
    loads: Loads, tmp_path: Path
) -> None:
    write(tmp_path, a="struct lost { int int; };\n")
    said = loads('%#include "a.h"\nstruct s { lost x; };\n').said
    assert len(said) == 1
    assert said[0].startswith("error: a.x:1:")


def test_files_that_cannot_be_read(loads: Loads, tmp_path: Path) -> None:
    (tmp_path / "folder.x").mkdir()
    loaded = loads("const A = 1;", "none.x", "f.x", "folder.x")
    assert [one.stem for one in loaded.modules] == ["f"]
    assert loaded.said == [
        "error: cannot read 'none.x': No such file or directory",
        "error: cannot read 'folder.x': Is a directory",
    ]


def test_an_import_that_cannot_be_read(
    loads: Loads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, locked="typedef int id;\n")
    read = Path.read_bytes

    def refuse(self: Path) -> bytes:
        if self.name == "locked.x":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    said = loads('%#include "locked.h"\nstruct s { id x; };\n').said
    assert said == ["error: 1:1: cannot read 'locked.x': Permission denied"]


def test_errors_are_raised_without_diagnostics(tmp_path: Path) -> None:
    write(tmp_path, bad="struct s { missing x; void; };\n")
    with pytest.raises(SpecErrors) as caught:
        load([str(tmp_path / "bad.x")])
    assert len(caught.value.errors) == 2


def test_no_files_are_no_modules() -> None:
    assert load([]) == []
