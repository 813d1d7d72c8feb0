"""People: users, organizations and what each member may do."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """A person who signs in. Our own class from the start: it can't be swapped in later."""

    language = models.CharField(
        max_length=10, blank=True, default="", db_default="", help_text="Of pages and letters; empty: the browser's."
    )

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(Lower("email"), condition=~models.Q(email=""), name="user_email_unique"),
        ]


class Organization(models.Model):
    """Who shares projects and data; nothing of another organization can be seen."""

    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    keep_epochs = models.PositiveSmallIntegerField(
        default=3, db_default=3, help_text="So many periodic checkpoints of an ended job stay; best and last always do."
    )
    keep_epochs_days = models.PositiveSmallIntegerField(
        default=7, db_default=7, help_text="For so many days after a job's end all of them stay."
    )
    members = models.ManyToManyField(User, through="Membership", related_name="organizations")

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """Roles from the least to the most; each has what the one before it has."""

    GUEST = "guest", _("Guest")
    STANDARD_ENGINEER = "standard_engineer", _("Standard engineer")
    ADVANCED_ENGINEER = "advanced_engineer", _("Advanced engineer")
    MANAGER = "manager", _("Manager")
    ADMIN = "admin", _("Admin")

    def at_least(self, other: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


class Membership(models.Model):
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=24, choices=Role.choices, default=Role.GUEST)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "organization"], name="membership_unique")]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} in {self.organization}"
