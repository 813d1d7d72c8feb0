"""Archives on their way up from people, in parts."""

from django.conf import settings
from django.db import models

from training.models.people import Organization
from training.models.visibility import OrganizationQuerySet


class DatasetUpload(models.Model):
    """An archive that a person sends in parts; an import puts them together. It goes once its dataset is made."""

    organization_path = "organization"
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="uploads")
    filename = models.CharField(max_length=200)
    key = models.CharField(max_length=255, unique=True, help_text="Below it lie the parts, in the internal store.")
    size = models.PositiveBigIntegerField(help_text="Of the whole archive, in bytes.")
    part_size = models.PositiveIntegerField(help_text="Of each part but the last, in bytes.")
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of the whole archive, where the sender told it.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    touched_at = models.DateTimeField(auto_now_add=True, help_text="When a part last came.")
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["touched_at"], name="upload_touched")]

    def __str__(self) -> str:
        return self.filename

    @property
    def part_count(self) -> int:
        return -(-self.size // self.part_size)

    def part_bytes(self, number: int) -> int:
        """How many bytes the part has, counted from 1."""
        return min(self.part_size, self.size - (number - 1) * self.part_size)


class DatasetUploadPart(models.Model):
    """A part that is in the store whole."""

    upload = models.ForeignKey(DatasetUpload, models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField(help_text="Counted from 1.")
    sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["upload", "number"], name="upload_part_unique")]

    def __str__(self) -> str:
        return f"part {self.number} of {self.upload_id}"
