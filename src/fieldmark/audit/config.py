"""What of an audit is asked for."""

from dataclasses import dataclass

from fieldmark.audit.codes import check_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditConfig:
    """Which checks are run."""

    ignore: tuple[str, ...] = ()
    """Codes of the checks to leave out, such as FM203."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ignore", check_codes(self.ignore))
