"""Rules on their way into force."""

from __future__ import annotations

import structlog

from ratelimit_service.config.load import check_rules
from ratelimit_service.config.settings import Settings
from ratelimit_service.config.watch import RulesWatcher
from ratelimit_service.core.rules import RuleSet
from ratelimit_service.errors import ConfigError
from ratelimit_service.health import RULES, Health
from ratelimit_service.limiter import Limiter
from ratelimit_service.telemetry.recorder import Recorder

_log = structlog.get_logger(__name__)


class StartError(Exception):
    """Rule files that the service cannot start with; ``errors`` are all that is wrong."""

    def __init__(self, errors: tuple[ConfigError, ...]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


def require_rules(settings: Settings) -> None:
    """Raise StartError where the rule files are wrong, unless the service may start without."""
    errors = check_rules(settings.rules).errors
    if errors and not settings.start_without_rules:
        raise StartError(errors)


class RulesInForce:
    """Hands what the watcher finds to all who need to know."""

    def __init__(self, limiter: Limiter, recorder: Recorder, health: Health) -> None:
        self._limiter = limiter
        self._recorder = recorder
        self._health = health

    def watch(self, settings: Settings) -> RulesWatcher:
        """Return a watcher that brings rules into force; it still has to be run."""
        return RulesWatcher(settings.rules, self._accept, self._reject)

    def _accept(self, rules: RuleSet) -> None:
        self._limiter.apply(rules)
        self._health.working(RULES)
        _log.info("rules in force", rules=sum(1 for _ in rules.rules()), domains=len(rules.domains))

    def _reject(self, error: ConfigError) -> None:
        self._recorder.rules_rejected()
        _log.error("rules not loaded; those before stay in force", error=str(error))
