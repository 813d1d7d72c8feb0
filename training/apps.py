from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"
    verbose_name = "Training"

    def ready(self) -> None:
        from training.live.announcer import announcer
        from training.people import sign_in  # noqa: F401  it hears of sign-ins

        announcer.connect()
