"""The score for unfamiliar photos as part of a network, so that an exported file gives it, too.

In: the rule and the space of a classifier. Out: a module with the arithmetic of
`evaluation.unfamiliar` and `evaluation.familiar_space`, in float64.

Shapes: N photos, F features, K components, C classes.
"""

import torch
from torch import Tensor, nn

from fieldmark.evaluation.familiar_space import SMALLEST_REST, TINY, FamiliarSpace
from fieldmark.evaluation.unfamiliar import DISTANCE, UnfamiliarRule


class Strangeness(nn.Module):
    """How unlike the training photos each photo is; higher is stranger."""

    def __init__(self, rule: UnfamiliarRule, space: FamiliarSpace | None) -> None:
        super().__init__()
        self._by_distance = rule.score == DISTANCE
        if not self._by_distance:
            return
        assert space is not None, "a bundle whose rule goes by the distance has a space"
        self.register_buffer("centre_F", torch.from_numpy(space.centre_F).double())
        self.register_buffer("spread_F", torch.from_numpy(space.spread_F).double())
        self.register_buffer("directions_FK", torch.from_numpy(space.directions_FK).double())
        self.register_buffer("whitening_KK", torch.from_numpy(space.whitening_KK).double())
        self.register_buffer("means_CK", torch.from_numpy(space.means_CK).double())

    def forward(self, features_NF: Tensor, logits_NC: Tensor) -> Tensor:
        """Return the score of each photo, (N,), float32."""
        if not self._by_distance:
            return -torch.logsumexp(logits_NC.double(), dim=1).float()
        centre_F, spread_F = self.get_buffer("centre_F"), self.get_buffer("spread_F")
        means_CK = self.get_buffer("means_CK")
        standardised_NF = (features_NF.double() - centre_F) / spread_F
        inside_NK = standardised_NF @ self.get_buffer("directions_FK")
        beside_N = standardised_NF.square().sum(1) - inside_NK.square().sum(1)
        rest_N = beside_N / features_NF.shape[1]
        white_NK = inside_NK @ self.get_buffer("whitening_KK")
        to_middle_N = white_NK.square().sum(1)
        to_means_NC = to_middle_N[:, None] - 2 * white_NK @ means_CK.T + means_CK.square().sum(1)
        nearest_N = to_means_NC.amin(1)
        ratio_N = nearest_N.clamp_min(TINY) / to_middle_N.clamp_min(TINY)
        return (0.5 * torch.log(ratio_N * rest_N.clamp_min(SMALLEST_REST))).float()
