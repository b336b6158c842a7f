# SPDX-License-Identifier: Apache-2.0
"""cffi's view in the installed extension is the header's."""

from types import ModuleType

from tiara_layout.description import Layout, layout_id


def test_struct_sizes_and_offsets(extension: ModuleType, layout: Layout) -> None:
    """Each struct and member is where the compiler puts it."""
    ffi = extension.ffi
    for struct in layout.structs:
        kind = ffi.typeof(f"struct {struct.name}")
        assert ffi.sizeof(kind) == struct.size_bytes
        offsets = {name: (field.offset, ffi.sizeof(field.type)) for name, field in kind.fields}
        assert offsets == {m.name: (m.offset, m.size_bytes) for m in struct.members}


def test_enum_values(extension: ModuleType, layout: Layout) -> None:
    """Each enumerator has its value."""
    for enum in layout.enums:
        for name, value in enum.values:
            assert getattr(extension.lib, name) == value


def test_layout_id(extension: ModuleType, layout: Layout) -> None:
    """libtiara says the id that the header makes."""
    assert extension.lib.tiara_layout_id() == layout_id(layout)
