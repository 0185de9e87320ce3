import errno
import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from fieldmark.training.tensor_file import (
    DTYPES,
    MalformedFileError,
    read_tensors,
    write_tensors,
)

IMAGES_NCHW = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5)


def round_trip(folder: Path, **tensors: Tensor) -> dict[str, Tensor]:
    return read_tensors(write_tensors(tensors, folder, stem="t", content={}))[0]


def require_same(found: Tensor, expected: Tensor) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.stride() == expected.stride()
    assert bits(found) == bits(expected)


def bits(value: Tensor) -> bytes:
    return value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (7,), (2, 3, 4, 5)], ids=str)
def test_a_tensor_comes_back_bit_for_bit(
    tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    generator = torch.Generator().manual_seed(0)
    value = (torch.randn(shape, generator=generator) * 9).to(dtype)
    require_same(round_trip(tmp_path, value=value)["value"], value)


def test_nan_infinity_and_negative_zero_keep_their_bits(tmp_path: Path) -> None:
    payload = torch.tensor([0x7FC01234, 0x7F800000, -0x80000000, 1], dtype=torch.int32)
    value = payload.view(torch.float32)
    assert bits(round_trip(tmp_path, value=value)["value"]) == bits(payload)


@pytest.mark.parametrize(
    "value",
    [
        IMAGES_NCHW.to(memory_format=torch.channels_last),
        IMAGES_NCHW.permute(3, 0, 1, 2),
        torch.zeros(8, 4, 1, 1).to(memory_format=torch.channels_last),
        torch.zeros(8, 4, 1, 1).as_strided((8, 4, 1, 1), (4, 1, 4, 4)),
        torch.zeros(4, 1, 3, 3).to(memory_format=torch.channels_last),
        torch.zeros(1, 2, 3, 4, 5).to(memory_format=torch.channels_last_3d),
        torch.zeros(3, 0, 2, 2).to(memory_format=torch.channels_last),
    ],
    ids=lambda value: f"{tuple(value.shape)}-{value.stride()}",
)
def test_the_strides_of_a_tensor_come_back(tmp_path: Path, value: Tensor) -> None:
    found = round_trip(tmp_path, value=value)["value"]
    require_same(found, value)


def test_a_channels_last_tensor_is_written_without_being_reordered(tmp_path: Path) -> None:
    value = IMAGES_NCHW.to(memory_format=torch.channels_last)
    path = write_tensors({"value": value}, tmp_path, stem="t", content={})
    assert load_file(path)["value"].tolist() == IMAGES_NCHW.permute(0, 2, 3, 1).flatten().tolist()


@pytest.mark.parametrize(
    "value",
    [IMAGES_NCHW[:, 1], IMAGES_NCHW[..., ::2], torch.ones(1).expand(4, 3)],
    ids=["slice", "every-other", "expanded"],
)
def test_a_view_with_gaps_or_overlaps_comes_back_as_a_plain_tensor(
    tmp_path: Path, value: Tensor
) -> None:
    require_same(round_trip(tmp_path, value=value)["value"], value.contiguous())


def test_tensors_that_share_memory_are_both_kept_and_come_back_apart(tmp_path: Path) -> None:
    value = torch.arange(6.0)
    found = round_trip(tmp_path, one=value, other=value, part=value[2:4])
    assert found["one"].tolist() == found["other"].tolist() == value.tolist()
    assert found["part"].tolist() == [2, 3]
    found["one"].zero_()
    assert found["other"].tolist() == value.tolist()


def test_a_parameter_that_needs_gradients_is_written_as_its_values(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(torch.ones(2, 2))
    found = round_trip(tmp_path, parameter=parameter)["parameter"]
    assert type(found) is Tensor
    assert not found.requires_grad


def test_tensors_come_back_in_memory_of_their_own_aligned_as_torch_aligns_it(
    tmp_path: Path,
) -> None:
    flags = torch.ones(3, dtype=torch.bool)
    found = round_trip(tmp_path, flags=flags, half=torch.ones(3).bfloat16(), wide=torch.ones(3))
    assert list(found) == ["flags", "half", "wide"]
    assert all(value.data_ptr() % 64 == 0 for value in found.values())
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    assert found["wide"].tolist() == [1, 1, 1]


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
        st.tuples(st.sampled_from(list(DTYPES)), st.lists(st.integers(0, 3), max_size=4)),
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mixture_of_tensors_in_any_order_of_axes_comes_back(
    tmp_path: Path, kinds: dict[str, tuple[torch.dtype, list[int]]], random: object
) -> None:
    tensors = {}
    for seed, (name, (dtype, shape)) in enumerate(kinds.items()):
        generator = torch.Generator().manual_seed(seed)
        value = (torch.randn(shape, generator=generator) * 9).to(dtype)
        axes = list(range(value.dim()))
        random.shuffle(axes)  # type: ignore[attr-defined]
        tensors[name] = value.permute(axes)
    found, _ = read_tensors(write_tensors(tensors, tmp_path, stem="t", content={}))
    assert list(found) == list(tensors)
    for name, value in tensors.items():
        require_same(found[name], value)


def test_equal_contents_have_equal_names_and_unequal_ones_have_not(tmp_path: Path) -> None:
    tensors = {str(index): torch.full((2,), float(index)) for index in range(20)}
    content = {"b": [1, 2.5, None, "ä"], "a": {"c": True}}
    names = {write_tensors(tensors, tmp_path, stem="t", content=content).name for _ in range(3)}
    assert len(names) == 1
    changed = write_tensors({**tensors, "3": torch.zeros(2)}, tmp_path, stem="t", content=content)
    assert changed.name not in names


def test_the_content_comes_back_with_exact_numbers(tmp_path: Path) -> None:
    content = {"loss": 0.1 + 0.2, "best": float("inf"), "step": 2**53 + 1, "name": "\udce9ä"}
    path = write_tensors({}, tmp_path, stem="t", content=content)
    assert read_tensors(path) == ({}, content)


def test_the_file_is_one_that_safetensors_reads(tmp_path: Path) -> None:
    path = write_tensors(
        {"flags": torch.tensor([True]), "value": IMAGES_NCHW}, tmp_path, stem="t", content={}
    )
    found = load_file(path)
    assert torch.equal(found["value"], IMAGES_NCHW)
    assert found["flags"].tolist() == [True]


def test_each_tensor_stands_at_a_multiple_of_its_width(tmp_path: Path) -> None:
    tensors = {dtype_name: torch.ones(3).to(dtype) for dtype, dtype_name in DTYPES.items()}
    for padding in range(8):
        content = write_tensors(
            dict(reversed(tensors.items())), tmp_path, stem="t", content={"x": "-" * padding}
        ).read_bytes()
        data = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:data])
        for name, value in tensors.items():
            assert (data + header[name]["data_offsets"][0]) % value.element_size() == 0


def test_a_kind_of_number_without_a_name_is_refused_by_the_name_of_its_tensor(
    tmp_path: Path,
) -> None:
    value = torch.zeros(2, dtype=torch.complex64)
    with pytest.raises(TypeError, match=r"'wave' is torch.complex64"):
        write_tensors({"wave": value}, tmp_path, stem="t", content={})
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_tensors({"value": IMAGES_NCHW}, tmp_path, stem="t", content={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="folders are synced on POSIX only")
def test_the_file_is_on_the_disk_before_it_has_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def spy(descriptor: int) -> None:
        is_folder = os.path.samestat(os.fstat(descriptor), tmp_path.stat())
        seen.append((is_folder, [path.suffix for path in tmp_path.iterdir()]))

    monkeypatch.setattr(os, "fsync", spy)
    write_tensors({"value": IMAGES_NCHW}, tmp_path, stem="t", content={})
    assert seen == [(False, [".tmp"]), (True, [".safetensors"])]


@pytest.mark.parametrize("content", [b"", b"12345678", b"\0" * 64, b"\x02\0\0\0\0\0\0\0{}"])
def test_bytes_that_are_no_tensors_are_malformed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.safetensors").write_bytes(content)
    with pytest.raises(MalformedFileError):
        read_tensors(tmp_path / "t.safetensors")


@pytest.mark.parametrize(
    "metadata",
    [None, {"format": "pt"}, {"fieldmark": "{"}, {"fieldmark": "[]"}, {"fieldmark": "{}"}],
)
def test_tensors_of_another_program_are_malformed(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    save_file({"value": torch.ones(2)}, tmp_path / "t.safetensors", metadata)
    with pytest.raises(MalformedFileError):
        read_tensors(tmp_path / "t.safetensors")
