"""Make an organization and its first admin."""

import json
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.urls import reverse

from training.models import Role
from training.people.members import member_add, organization_make
from training.people.sign_in import accounts_called


class Command(BaseCommand):
    help = "Make an organization whose admin is USER; people are then invited on its page, or by `manage.py invite`."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="name of the organization")
        parser.add_argument("--admin", required=True, metavar="USER", help="its first admin: a user name or address")
        parser.add_argument("--json", action="store_true", help="print one line of JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        found = accounts_called(options["admin"])
        if not found:
            raise CommandError(f"There is no user {options['admin']!r}. `manage.py createsuperuser` makes one.")
        try:
            with transaction.atomic():
                made = organization_make(options["name"])
                member_add(made, found[0], Role.ADMIN)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        address = f"{settings.SITE_URL}{reverse('organization-page', args=[made.pk])}"
        said = {"id": made.pk, "slug": made.slug, "name": made.name, "admin": found[0].username, "address": address}
        text = f"{made.name} is there, as {made.slug}; its admin is {found[0]}: {address}"
        self.stdout.write(json.dumps(said) if options["json"] else text)
