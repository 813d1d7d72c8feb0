"""The domain in Django's admin, for superusers: one module per room, every model but the journal's rows."""

from training.admin import alerts, data, habits, jobs, people, results, upkeep  # noqa: F401  each registers its models
