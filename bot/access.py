"""Who may do what: roles for commands, ownership for jobs. Pure."""

from __future__ import annotations

from datetime import UTC, tzinfo

from bot.commands import (
    Ban,
    Command,
    Conversation,
    Decide,
    KbAdd,
    KbList,
    KbRemove,
    ModelList,
    ModelUse,
    Pause,
    QuotaClear,
    QuotaGrant,
    QuotaSet,
    QuotaShow,
    Resume,
    ReviewList,
    SetRole,
    Sources,
    Unban,
)
from scheduler.policy import Refusal, shut_out
from storage.records import ChatType, Job, JobState, Kind, Origin, Reservation, Role, Scope, Template, User

#: Commands that need more than being a user, and how people call them. Everything else is for everybody.
NEEDED: dict[type, tuple[Role, str]] = {
    QuotaSet: (Role.ADMIN, "/quota set"),
    QuotaClear: (Role.ADMIN, "/quota set"),
    QuotaGrant: (Role.ADMIN, "/quota grant"),
    Sources: (Role.ADMIN, "/kb"),
    SetRole: (Role.ADMIN, "/role"),
    Pause: (Role.ADMIN, "/pause"),
    Resume: (Role.ADMIN, "/resume"),
    Ban: (Role.ADMIN, "/ban"),
    Unban: (Role.ADMIN, "/unban"),
    KbAdd: (Role.ADMIN, "/kb"),
    KbList: (Role.ADMIN, "/kb"),
    KbRemove: (Role.ADMIN, "/kb"),
    ModelList: (Role.ADMIN, "/model"),
    ModelUse: (Role.ADMIN, "/model"),
    ReviewList: (Role.REVIEWER, "/review"),
    Decide: (Role.REVIEWER, "/review"),
}
_RANK = {Role.USER: 0, Role.REVIEWER: 1, Role.ADMIN: 2}


def allowed(user: User, command: Command | Conversation, zone: tzinfo = UTC) -> Refusal | None:
    """Whether this person may use this command at all; None = yes. `zone` is what a moment is told in."""
    refusal = shut_out(user, zone)
    if refusal is not None:
        return refusal
    if isinstance(command, QuotaShow) and command != QuotaShow():
        needed, name = Role.ADMIN, "/quota show"
    else:
        needed, name = NEEDED.get(type(command), (Role.USER, ""))
    if _RANK[user.role] < _RANK[needed]:
        code = "not_admin" if needed is Role.ADMIN else "not_reviewer"
        return Refusal(code=code, detail={"command": name})
    return None


def cancel(user: User, job: Job | None) -> Refusal | None:
    """Whether this person may stop this job."""
    if job is None:
        return None  # the caller knows the number it looked for, and says that there is no such job
    return None if _owns(user, job) else Refusal(code="not_yours", detail={"job": job.id})


def redo(user: User, job: Job | None) -> Refusal | None:
    """Whether this person may have this job done again."""
    refusal = cancel(user, job)
    if refusal is None and job is not None and job.kind is not Kind.DRAW:
        return Refusal(code="not_a_picture", detail={"job": job.id})
    return refusal


def picture(user: User, job: Job | None, here: Origin) -> Refusal | None:
    """Whether this person may draw from this job's pictures: their own, and what everybody in this group has seen."""
    if job is None:
        return None
    seen = job.origin.chat_type is ChatType.GROUP and (job.origin.platform, job.origin.chat_id) == (
        here.platform,
        here.chat_id,
    )
    if not seen and not _owns(user, job):
        return Refusal(code="not_yours", detail={"job": job.id})
    return None if job.kind is Kind.DRAW else Refusal(code="no_picture", detail={"job": job.id})


def asset(user: User, job: Job) -> bool:
    """Whether this person may see this job's pictures as files. What is not done is for those who may review it.

    Admins see everybody's but what was ordered as private.
    """
    if job.state is not JobState.DONE:
        return _RANK[user.role] >= _RANK[Role.REVIEWER]
    return job.user_id == user.id or (user.role is Role.ADMIN and not job.params.get("private"))


def look(user: User, job: Job | None, *, open_case: bool) -> Refusal | None:
    """Whether this person may see how a job stands; a reviewer may while there is a case to decide."""
    return None if open_case and _RANK[user.role] >= _RANK[Role.REVIEWER] else cancel(user, job)


def appeal(user: User, job: Job | None) -> Refusal | None:
    """Whether this person may appeal: the owner alone."""
    if job is None or job.user_id == user.id:
        return None
    return Refusal(code="not_yours_appeal", detail={"job": job.id})


def reservation(user: User, found: Reservation | None) -> Refusal | None:
    """Whether this person may confirm, change or cancel this reservation."""
    if found is None:
        return None
    return None if _owns(user, found) else Refusal(code="not_yours_reservation", detail={"reservation": found.id})


def template(user: User, scope: Scope, before: Template | None) -> Refusal | None:
    """Whether this person may keep a template of this scope, or change or take away the one there is.

    Their own; a group's that they made, or that nobody made yet; everything but the settings' as an admin.
    """
    if scope is Scope.SETTINGS:
        return Refusal(code="template_in_settings", detail={"name": before.name if before else ""})
    if scope is Scope.USER or user.role is Role.ADMIN:
        return None
    if scope is Scope.TEAM:
        return Refusal(code="template_team")
    if before is None or before.user_id == user.id:
        return None
    return Refusal(code="not_yours_template", detail={"name": before.name})


def _owns(user: User, job: Job | Reservation) -> bool:
    return job.user_id == user.id or user.role is Role.ADMIN
