"""People in the admin: accounts, organizations, members, invitations, keys, the audit log."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from platform_site.admin import Audited, Kept, ReadOnly, confirmed, linked
from training.models import (
    ApiKey,
    AuditEntry,
    Invitation,
    Membership,
    Organization,
    ProjectMembership,
    TryCount,
    User,
)
from training.people.invitations import invitation_revoke
from training.people.keys import key_revoke

admin.site.unregister(Group)  # what people may do is told by their roles


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ("user", "organization")
    show_change_link = True


@admin.register(User)
class PersonAdmin(Kept, UserAdmin):
    """Accounts are switched off, not removed: what they made keeps its maker."""

    list_display = ("username", "email", "first_name", "last_name", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser", "memberships__role")
    search_fields = ("username", "email", "first_name", "last_name")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email", "language")}),
        ("Rights", {"fields": ("is_active", "is_superuser")}),
        ("When", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "email", "usable_password", "password1", "password2")}),
    )
    inlines = (MembershipInline,)

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.inlines if obj else ()


@admin.register(Organization)
class OrganizationAdmin(Kept):
    list_display = ("name", "slug", "member_count", "project_count", "created_at")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("created_at",)
    inlines = (MembershipInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        members, projects = Count("memberships", distinct=True), Count("projects", distinct=True)
        return super().get_queryset(request).annotate(members_n=members, projects_n=projects)

    @admin.display(description="members", ordering="members_n")
    def member_count(self, organization: Any) -> int:
        return int(organization.members_n)

    @admin.display(description="projects", ordering="projects_n")
    def project_count(self, organization: Any) -> int:
        return int(organization.projects_n)


@admin.register(Membership)
class MembershipAdmin(Audited):
    list_display = ("id", "user_link", "organization_link", "role", "created_at")
    list_filter = ("role",)
    search_fields = ("user__username", "user__email", "organization__name")
    autocomplete_fields = ("user", "organization")
    list_select_related = ("user", "organization")
    user_link = linked("user")
    organization_link = linked("organization")


@admin.register(ProjectMembership)
class ProjectMembershipAdmin(Audited):
    list_display = ("id", "user_link", "project_link", "created_at")
    search_fields = ("user__username", "project__name")
    autocomplete_fields = ("user", "project")
    list_select_related = ("user", "project")
    user_link = linked("user")
    project_link = linked("project")


@admin.register(Invitation)
class InvitationAdmin(ReadOnly):
    list_display = ("email", "organization_link", "role", "by_link", "created_at", "expires_at", "accepted_at")
    list_filter = ("role", ("accepted_at", admin.EmptyFieldListFilter), ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("email", "organization__name")
    list_select_related = ("organization", "created_by")
    exclude = ("digest",)
    actions = ("revoke",)
    organization_link = linked("organization")
    by_link = linked("created_by", "invited by")

    @admin.action(description="Revoke", permissions=["view"])
    @confirmed("Revoke these invitations? Their links will open nothing.")
    def revoke(self, request: HttpRequest, rows: QuerySet[Invitation]) -> None:
        for invitation in rows:
            invitation_revoke(invitation, by=_superuser(request))
        self.message_user(request, "Those that were open are revoked.", messages.SUCCESS)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly):
    list_display = ("name", "prefix", "user_link", "organization_link", "last_used_at", "expires_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), ("last_used_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "prefix", "user__username", "organization__name")
    list_select_related = ("user", "organization")
    exclude = ("digest",)
    actions = ("revoke",)
    user_link = linked("user", "whose")
    organization_link = linked("organization")

    @admin.action(description="Revoke", permissions=["view"])
    @confirmed("Revoke these keys? Programs that use them are refused at once.")
    def revoke(self, request: HttpRequest, rows: QuerySet[ApiKey]) -> None:
        for key in rows.select_related("user"):
            key_revoke(key, by=_superuser(request))
        self.message_user(request, "The keys open nothing any more.", messages.SUCCESS)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ("time", "who", "by", "action", "object_type", "object_name", "organization_link", "address")
    list_filter = ("object_type", "time")
    search_fields = ("who", "action", "object_name", "=object_id", "=request_id", "=address")
    date_hierarchy = "time"
    list_select_related = ("organization",)
    ordering = ("-id",)

    @admin.display(description="organization")
    def organization_link(self, entry: AuditEntry) -> str:
        """Its name, or its number once it is gone: entries outlive what they name."""
        gone = entry.organization is None and entry.organization_id is not None
        return f"{entry.organization_id} (gone)" if gone else linked("organization")(self, entry)


@admin.register(TryCount)
class TryCountAdmin(ReadOnly):
    """To see whether somebody is guessing, and to let somebody in who has to wait: remove the row."""

    list_display = ("kind", "count", "started_at", "digest")
    list_filter = ("kind",)
    ordering = ("-started_at",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True


def _superuser(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
