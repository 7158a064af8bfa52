"""What the stages of an analysis find: the data classes of these programs.

Nothing here knows of Headway. A tracker takes any class with its fields, keeps those that it does not know, and gives
back what other programs of this kind read.
"""

from dataclasses import dataclass, field


@dataclass
class SupportResistanceResult:
    """Prices at which the market turned several times. tolerance: how far apart two turns of one price may be."""

    status: str
    supports_count: int = 0
    resistances_count: int = 0
    supports: list[dict[str, float]] = field(default_factory=list)
    resistances: list[dict[str, float]] = field(default_factory=list)
    error_message: str = ""
    tolerance: float = 0.0


@dataclass
class MLPredictionResult:
    """How often a model was right about bars that it had not seen. rise: what it says of the last one."""

    status: str
    predictions_count: int = 0
    confidence: float = 0.0
    error_message: str = ""
    rise: float = 0.5


@dataclass
class MarketContextResult:
    """The trend of the last bars, and how unrestful they are."""

    status: str
    trend_direction: str = ""
    market_phase: str = ""
    error_message: str = ""


@dataclass
class LeverageDecisionResult:
    """The leverage that keeps within every limit of risk."""

    status: str
    recommended_leverage: float = 0.0
    confidence_level: float = 0.0
    risk_reward_ratio: float = 0.0
    error_message: str = ""
