from django.apps import AppConfig


class ObservabilityConfig(AppConfig):
    name = "observability"
    verbose_name = "Observability"

    def ready(self) -> None:
        """Refuse to start with a backend that nobody knows; hear what the journal records."""
        from observability import receivers, registry

        registry.configured()
        receivers.connect()
