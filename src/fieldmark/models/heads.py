"""Heads: what turns a photo's features into one logit a class.

In: the kind of head, features. Out: the head as a module, and its logits summed exactly.
"linear" is a dense layer on pooled features, "flatten" the same on unpooled ones, "cosine" looks
at the angle between features and one direction a class.
Not covered: which features there are (see `extractor`) and how a head is trained.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

HEADS = ("linear", "flatten", "cosine")
"""The kinds of head."""
COSINE_SCALE = 10.0
"""Where the scale of a cosine head starts, as Gidaris and Komodakis 2018 (section 4.1) start it."""

# Legend for shape suffixes: N photos, C classes, F features.


class CosineHead(nn.Linear):
    """Cosines between features and one direction a class, times a learned scale.

    logit = scale * (x / |x|) . (w / |w|), without a bias (Gidaris and Komodakis 2018): neither a
    photo with strong features nor a class with many photos has the advantage.
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        # On the meta device nothing is drawn from the global generator.
        super().__init__(num_features, num_classes, bias=False, device="meta")
        self.scale = nn.Parameter(torch.tensor(COSINE_SCALE))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the parent's name for it)
        """Return logits_NC of features_NF."""
        return self.scale * linear(normalize(input, dim=1), normalize(self.weight, dim=1))


def build_head(kind: str, *, num_features: int, num_classes: int) -> nn.Linear:
    """Return a head of one of `HEADS` whose weights and biases are all zeros.

    Nothing is drawn from the global generator. A cosine head learns nothing from zeros: give it
    weights before it is trained.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in HEADS:
        raise ValueError(f"head is {kind!r}")
    if kind == "cosine":
        head: nn.Linear = CosineHead(num_features, num_classes)
    else:
        head = nn.Linear(num_features, num_classes, device="meta")
    head.weight = nn.Parameter(torch.zeros(num_classes, num_features))
    if head.bias is not None:
        head.bias = nn.Parameter(torch.zeros(num_classes))
    return head


def head_logits(head: nn.Linear, features_NF: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return logits_NC (float32) of features for any kind of head, summed in float64.

    In float64 the order of summation no longer shows in the float32 result.
    """
    with torch.inference_mode():
        weight_CF = head.weight.cpu().double()
        exact_NF = torch.from_numpy(features_NF).double()
        if isinstance(head, CosineHead):
            cosines_NC = normalize(exact_NF, dim=1) @ normalize(weight_CF, dim=1).T
            logits_NC = head.scale.cpu().double() * cosines_NC
        else:
            logits_NC = exact_NF @ weight_CF.T + head.bias.cpu().double()
        rounded_NC: NDArray[np.float32] = logits_NC.float().numpy()
    return rounded_NC


def imprint(head: nn.Linear, features_NF: NDArray[np.float32], labels_N: NDArray[np.int64]) -> None:
    """Point each class of a cosine head at the mean of its photos' features of length 1.

    Weight imprinting of Qi et al. 2018 (section 3.2): a classifier before any training, and a
    start for it. `labels_N` are indices of classes; a class without photos keeps its weights.

    Raises:
        ValueError: the head is none of kind "cosine".
    """
    if not isinstance(head, CosineHead):
        raise ValueError("Only a cosine head can be imprinted.")  # noqa: TRY004  (a wrong value)
    units_NF = normalize(torch.from_numpy(features_NF).double(), dim=1)
    sums_CF = torch.zeros(head.weight.shape, dtype=torch.float64)
    sums_CF.index_add_(0, torch.from_numpy(labels_N), units_NF)
    met_C = torch.from_numpy(np.bincount(labels_N, minlength=len(sums_CF)) > 0)
    with torch.no_grad():
        head.weight[met_C.to(head.weight.device)] = normalize(sums_CF[met_C], dim=1).to(head.weight)
