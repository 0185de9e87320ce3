"""Files that are offered as a model and are none of ours, refused before anything parses them.

In: a path. Out: nothing, or the reason for which it is refused.
Checkpoints of PyTorch, pickles and saved Keras models are programs as much as data: who loads one
runs what its author put there.
"""

from pathlib import Path

from fieldmark.base.errors import BundleError

PROGRAMS = {
    ".pt": "a checkpoint of PyTorch",
    ".pth": "a checkpoint of PyTorch",
    ".ckpt": "a checkpoint",
    ".bin": "a checkpoint",
    ".pkl": "a pickle",
    ".pickle": "a pickle",
    ".joblib": "a pickle",
    ".npy": "an array that may hold a pickle",
    ".npz": "arrays that may hold a pickle",
    ".keras": "a model of Keras",
    ".h5": "a model of Keras",
    ".hdf5": "a model of Keras",
}
"""What a file is by its name's end."""
BEGINNINGS = {
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x89HDF\r\n\x1a\n": "a model of Keras",
}
"""What a file is by its first bytes, whatever its name: pickles of protocols 2 to 5, and HDF5."""
_LONGEST = max(map(len, BEGINNINGS))


def refuse_foreign(path: Path) -> None:
    """Refuse a file that could be a program; of its content only the first bytes are looked at.

    Raises:
        BundleError: it is one.
    """
    if not path.is_file():
        return
    kind = PROGRAMS.get(path.suffix.lower()) or _by_content(path)
    if kind is not None:
        raise BundleError(
            f"{path} is {kind}, which can run any program when it is loaded; it was not opened. "
            "Give a run folder, a bundle, a .fieldmark file or an .onnx file that Fieldmark wrote."
        )


def _by_content(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            first = stream.read(_LONGEST)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from error
    return next((kind for start, kind in BEGINNINGS.items() if first.startswith(start)), None)
