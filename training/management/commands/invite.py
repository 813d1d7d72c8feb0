"""Invite somebody into an organization."""

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.models import Organization, Role
from training.people.invitations import invite
from training.people.mails import link


class Command(BaseCommand):
    help = "Mail an invitation and print its link, which works once. An older one to the same address ends."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="where the invitation goes")
        parser.add_argument("--organization", required=True, metavar="SLUG", help="the organization's slug")
        parser.add_argument(
            "--role",
            default=Role.STANDARD_ENGINEER.value,
            choices=Role.values,
            help="what the person may do (default: standard_engineer)",
        )
        parser.add_argument("--json", action="store_true", help="print one line of JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        organization = organization_named(options["organization"])
        try:
            made, page, problem = invite(organization, options["email"], Role(options["role"]))
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        said = {"id": made.pk, "email": made.email, "role": made.role, "expires_at": made.expires_at.isoformat()}
        said |= {"link": link(page), "sent": not problem}
        if options["json"]:
            self.stdout.write(json.dumps(said))
            return
        sent = f"{problem} Hand over the link yourself." if problem else "The letter is sent."
        self.stdout.write(f"{made.email} is invited to {organization} as {made.role}. {sent}\n{link(page)}")


def organization_named(slug: str) -> Organization:
    """The organization of this slug. Raises CommandError that names those that there are."""
    found = Organization.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Organization.objects.order_by("slug").values_list("slug", flat=True)[:20])
        raise CommandError(f"There is no organization {slug!r}. Known: {known or 'none yet'}.")
    return found
