from django.apps import AppConfig


class ObservabilityConfig(AppConfig):
    name = "observability"
    verbose_name = "Observability"

    def ready(self) -> None:
        """Refuse to start with a backend that nobody knows; hear what the journal records; tell the form the labels."""
        from observability import receivers, registry
        from training.jobs.backends import backends_label

        registry.configured()
        backends_label({name: found.label for name, found in registry.known().items()})
        receivers.connect()
