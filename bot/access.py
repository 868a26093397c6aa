"""Who may do what: roles for commands, ownership for jobs. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, tzinfo

from bot.commands import (
    Ban,
    Command,
    Conversation,
    Decide,
    KbAdd,
    KbList,
    KbRemove,
    KbUnanswered,
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
from storage.gallery import Sight
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
    KbUnanswered: (Role.REVIEWER, "/kb unanswered"),
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


def sight(user: User, groups: frozenset[str], here: Origin | None = None) -> Sight:
    """Whose pictures this person may see: `groups` are those they have spoken in, `here` is where they ask.

    What is shown in a group is shown to everybody there: nothing but what was ordered in it.
    """
    everything = user.role is Role.ADMIN
    only = here.group if here is not None else ""
    return Sight(user_id=user.id, groups=groups, everything=everything, only=only)


def sees(seer: Sight, job: Job) -> bool:
    """Whether the pictures of this job may be seen: one's own, and what everybody in a group of one's has seen.

    storage/gallery.py says the same to the database.
    """
    private = bool(job.params.get("private"))
    if job.state is not JobState.DONE:
        return False
    if seer.only:
        return not private and job.origin.group == seer.only
    if job.user_id == seer.user_id:
        return True
    return not private and (seer.everything or bool(job.origin.group and job.origin.group in seer.groups))


def picture(user: User, job: Job | None, groups: frozenset[str], here: Origin) -> Refusal | None:
    """Whether this person may draw from this job's pictures, once it is done: those they see.

    `groups` are those they have spoken in.
    """
    if job is None:
        return None
    present = groups | {here.group} if here.chat_type is ChatType.GROUP else groups
    if not sees(sight(user, present), replace(job, state=JobState.DONE)):
        return Refusal(code="not_yours", detail={"job": job.id})
    return None if job.kind is Kind.DRAW else Refusal(code="no_picture", detail={"job": job.id})


def result(user: User, job: Job | None) -> Refusal | None:
    """Whether this person may be shown what came of this job: their own, and admins what is not private."""
    if job is None or job.user_id == user.id or not job.params.get("private"):
        return cancel(user, job)
    return Refusal(code="not_yours", detail={"job": job.id})


def asset(user: User, job: Job, groups: frozenset[str] = frozenset()) -> bool:
    """Whether this person may see this job's pictures as files. What is not done is for those who may review it.

    `groups` are those they have spoken in.
    """
    if job.state is not JobState.DONE:
        return _RANK[user.role] >= _RANK[Role.REVIEWER]
    return sees(sight(user, groups), job)


def look(user: User, job: Job | None, *, open_case: bool) -> Refusal | None:
    """Whether this person may see how a job stands; a reviewer may while there is a case to decide."""
    return None if open_case and _RANK[user.role] >= _RANK[Role.REVIEWER] else result(user, job)


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
