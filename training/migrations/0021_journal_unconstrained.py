import django.db.models.deletion
from django.db import migrations, models


class AlterFieldOnPostgres(migrations.AlterField):
    """SQLite would copy the whole journal to be rid of a constraint that costs it little: there it stays."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)


def unconstrained(model):
    job = models.ForeignKey(
        db_constraint=False,
        db_index=False,
        on_delete=django.db.models.deletion.CASCADE,
        related_name="+",
        to="training.trainingjob",
    )
    return AlterFieldOnPostgres(model_name=model, name="job", field=job)


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0020_user_language"),
    ]

    operations = [
        unconstrained("journalrecord"),
        unconstrained("traininglog"),
    ]
