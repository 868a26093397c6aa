"""Every table, key and constraint on one page. Queries live in the module of their noun.

Full-text indexes differ by database and are created beside these tables (storage/fulltext.py).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Utc(TypeDecorator[datetime]):
    """An aware instant, kept as fixed-width UTC text: sorts right and means the same on both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive datetime {value!r} refused: pass an aware one")
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)  # strptime takes fifty times as long


class Json(TypeDecorator[Any]):
    """A JSON value as text, the same on both databases; characters stay readable."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


# --- people -----------------------------------------------------------------------------------------------------

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("department", Text, nullable=False, default=""),
    Column("department_set", Boolean, nullable=False, default=False),  # by an admin: no platform changes it
    Column("banned", Boolean, nullable=False, default=False),
    Column("ban_reason", Text, nullable=False, default=""),
    Column("banned_until", Utc),  # null = until an admin lifts it
    Column("created_at", Utc, nullable=False),
    Column("joined_to", ForeignKey("users.id")),  # who this turned out to be: see scheduler/joining.py
    CheckConstraint("role in ('user', 'reviewer', 'admin')", name="role"),
)

identities = Table(
    "identities",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
)

# What one part of a platform calls people whom another part knows by another id: WeCom's robot and its app.
links = Table(
    "links",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("alias", Text, primary_key=True),  # exactly as it was said: its case matters to those who said it
    Column("own", Text, nullable=False),  # the external id somebody has here while nothing else is known of the alias
    Column("external_id", Text, nullable=False, default=""),  # whose it is; empty = not told yet
    Column("asked_at", Utc),  # when the platform told that
    Index("ix_links_external_id", "platform", "external_id"),
    Index("ix_links_own", "platform", "own"),
)

# What a platform's directory says about its people. A row without `fetched_at` was made by an event and not asked for.
profiles = Table(
    "profiles",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("name", Text, nullable=False, default=""),
    Column("departments", Json, nullable=False),
    Column("union_id", Text, nullable=False, default=""),
    Column("tenant_key", Text, nullable=False, default=""),
    Column("guest", Boolean, nullable=False, default=False),
    Column("fetched_at", Utc),
    Column("refused_at", Utc),
)

# The organisation a platform's app belongs to; whoever comes from another one is an outsider.
tenants = Table(
    "tenants",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("tenant_key", Text, nullable=False),
)

# Groups that people of other organisations read along in.
external_chats = Table(
    "external_chats",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("chat_id", Text, primary_key=True),
)

# Logins that were begun at a platform and have not come back: only hashes of what the browser holds.
logins = Table(
    "logins",
    metadata,
    Column("state", Text, primary_key=True),
    Column("browser", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("expires_at", Utc, nullable=False, index=True),
)

# Sessions of the web chat and API tokens: only the SHA-256 of the secret is kept.
tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("purpose", Text, nullable=False),  # session | api | login
    Column("note", Text, nullable=False, default=""),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc),
    Column("revoked_at", Utc),
)

# --- in and out -------------------------------------------------------------------------------------------------

# Kept before the acknowledgement: the unique key is what makes a redelivered event harmless.
inbox = Table(
    "inbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("platform", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("event", Json, nullable=False),
    Column("received_at", Utc, nullable=False),
    Column("handled_at", Utc),
    Column("outcome", Text, nullable=False, default=""),
    UniqueConstraint("platform", "key"),
    Index("ix_inbox_open", "id", sqlite_where=text("handled_at is null"), postgresql_where=text("handled_at is null")),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("origin", Json, nullable=False),
    Column("job_id", ForeignKey("jobs.id"), index=True),
    Column("slot", Text, nullable=False),
    Column("body", Json, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Utc, nullable=False),
    Column("lease_until", Utc),
    Column("receipt", Json, nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("created_at", Utc, nullable=False),
    Column("sent_at", Utc),
    Column("replaces", Text, nullable=False, default=""),
    Column("owner", Text, nullable=False, default=""),  # the process that leased it last (storage/owner.py)
    CheckConstraint("state in ('pending', 'sent', 'skipped', 'failed')", name="state"),
    Index("ix_outbox_due", "state", "next_at"),
)

# What only one process at a time may do, such as holding an app's long connection (storage/leases.py).
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),  # empty = given back
    Column("until", Utc, nullable=False),
    Column("seen", Utc),  # until when its holder missed nothing; null = never said
)

# What WeCom is answered when it asks again about a message of the robot in callback mode (storage/wecom_replies.py).
wecom_replies = Table(
    "wecom_replies",
    metadata,
    Column("stream", Text, primary_key=True),  # what WeCom asks by; made from the message's id
    Column("msgid", Text, nullable=False),
    Column("chat_id", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("opened_at", Utc, nullable=False),
    Column("state", Text, nullable=False),
    Column("reply", Json),  # what it says now; null = nothing yet
    Column("delivery", Text, nullable=False, default=""),  # key of the message that ends it
    Column("closing_at", Utc),  # since when its end waits for being fetched
    Column("response_url", Text, nullable=False, default=""),  # one further answer; a secret; empty = none, or used
    Column("until", Utc, nullable=False),  # the response_url can be used
    Column("used_by", Text, nullable=False, default=""),  # key of the message that goes, or went, by response_url
    CheckConstraint("state in ('open', 'promised', 'closing', 'told', 'over')", name="state"),
    Index("ix_wecom_replies_chat", "chat_id", "until"),
    Index("ix_wecom_replies_sender", "sender", "opened_at"),
)

# The web chat's own history: what a platform like Feishu keeps for us elsewhere.
messages = Table(
    "messages",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),  # delivery key, or the browser's id of what was written
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("author", Text, nullable=False),  # user | bot
    Column("body", Json, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("updated_at", Utc, nullable=False),
    Index("ix_messages_user", "user_id", "id"),
)

# Where a conversation began: /new moves the mark, older turns are no longer part of it.
conversations = Table(
    "conversations",
    metadata,
    Column("key", Text, primary_key=True),  # platform/chat/thread/sender: see storage/conversations.py
    Column("started_at", Utc, nullable=False),
)

# Group chats and direct chats as the platform tells of them: whether we are in, and whether we have said hello.
chats = Table(
    "chats",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("chat_id", Text, primary_key=True),
    Column("name", Text, nullable=False, default=""),
    Column("state", Text, nullable=False),
    Column("changed_at", Utc, nullable=False),  # when that became so: an older event changes nothing
    Column("greeted_at", Utc),
    Column("removed_at", Utc),
    CheckConstraint("state in ('member', 'removed', 'disbanded')", name="state"),
)

# --- work -------------------------------------------------------------------------------------------------------

_CLOSING = "state = 'queued' and not_after is not null"
_RISING = "state = 'queued' and priority > 0"
_TELLING = "kind = 'ask' and cleared is null and finished_at is not null"
#: Questions that the documents did not answer, as `Json` writes it. Within a string a quotation mark has a backslash
#: before it: no answer can spell this.
REFUSED = {
    "sqlite": """kind = 'ask' and instr(result, '"grounded"\\:false') > 0""",
    "postgresql": """kind = 'ask' and strpos(result, '"grounded"\\:false') > 0""",
}

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),  # one event makes at most one job
    Column("kind", Text, nullable=False),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("params", Json, nullable=False),
    Column("origin", Json, nullable=False),
    Column("cost", Integer, nullable=False),
    Column("weight", Float, nullable=False),
    Column("priority", Integer, nullable=False, default=0),
    Column("since", Utc, nullable=False),  # when it came into this priority: see scheduler.fairness.rises
    Column("vtag", Float, nullable=False),
    Column("span", Float, nullable=False),  # in virtual time: so far behind it comes the same person's next one
    Column("batch_key", Text, nullable=False, default=""),
    Column("attempt", Integer, nullable=False, default=0),
    Column("lost", Integer, nullable=False, default=0),
    Column("token", Text, nullable=False, default=""),
    Column("lease_until", Utc),
    Column("cancel_requested", Boolean, nullable=False, default=False),
    Column("parent_id", ForeignKey("jobs.id")),
    Column("result", Json),
    Column("error", Text),
    Column("cause", Text),
    Column("notices", Json, nullable=False, default=()),
    Column("created_at", Utc, nullable=False),
    Column("not_before", Utc),
    Column("started_at", Utc),
    Column("finished_at", Utc),
    Column("not_after", Utc),
    Column("foreseen", Float),  # seconds to its result and how sure that was, when it was ordered
    Column("doubt", Float),
    Column("cleared", Integer),  # what was asked and answered is gone, after so many days: storage/forgetting.py
    CheckConstraint("state in ('queued', 'running', 'review', 'done', 'failed', 'cancelled')", name="state"),
    CheckConstraint("cost >= 0", name="cost"),
    Index("ix_jobs_turn", "kind", "state", "priority", "vtag", "id", "weight"),
    Index("ix_jobs_user", "user_id", "id"),
    Index("ix_jobs_lease", "state", "lease_until"),
    # Looked at every few seconds, however many wait: the few that may become due, in the order of their time.
    Index("ix_jobs_closing", "not_after", sqlite_where=text(_CLOSING), postgresql_where=text(_CLOSING)),
    # Looked for among all that were ever asked, by storage/questions.py in the same words.
    Index(
        "ix_jobs_refused",
        "kind",
        "state",
        "id",
        sqlite_where=text(REFUSED["sqlite"]),
        postgresql_where=text(REFUSED["postgresql"]),
    ),
    Index("ix_jobs_rising", "since", sqlite_where=text(_RISING), postgresql_where=text(_RISING)),
    # Those whose words the retention rule has yet to take, the oldest first.
    Index("ix_jobs_telling", "finished_at", sqlite_where=text(_TELLING), postgresql_where=text(_TELLING)),
)

# Pictures that wait for a reviewer, and what was decided. An appeal is a review of its own, one for each rejection.
_PENDING = "state = 'pending'"
reviews = Table(
    "reviews",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("why", Json, nullable=False),
    Column("appeal_of", ForeignKey("reviews.id"), unique=True),
    Column("plea", Text, nullable=False, default=""),
    Column("reviewer_id", ForeignKey("users.id")),
    Column("reason", Text, nullable=False, default=""),
    Column("created_at", Utc, nullable=False),
    Column("decided_at", Utc),
    CheckConstraint("state in ('pending', 'approved', 'rejected', 'withdrawn')", name="state"),
    Index("ix_reviews_job", "job_id"),
    # A job has one open question at a time; and the open ones are few among the many.
    Index("ix_reviews_open", "job_id", unique=True, sqlite_where=text(_PENDING), postgresql_where=text(_PENDING)),
)

# What people think of a finished job: one word per person, the last one counts.
feedback = Table(
    "feedback",
    metadata,
    Column("job_id", ForeignKey("jobs.id"), primary_key=True),
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("value", Integer, nullable=False),  # 1 | -1
    Column("reasons", Json, nullable=False, default=()),  # why not, where that was asked: see storage/feedback.py
    Column("said", Text, nullable=False, default=""),
    Column("at", Utc, nullable=False),
    CheckConstraint("value in (1, -1)", name="value"),
)

# Questions that the knowledge base did not answer, and that somebody has seen to since.
settled = Table(
    "settled",
    metadata,
    Column("job_id", ForeignKey("jobs.id"), primary_key=True),
    Column("user_id", ForeignKey("users.id")),  # who said so; null = at the machine
    Column("at", Utc, nullable=False),
)

lanes = Table(
    "lanes",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("rate", Float, nullable=False, default=0.0),  # measured seconds per unit of work, smoothed
    Column("variance", Float, nullable=False, default=0.0),  # of that rate from run to run, smoothed alike
    Column("samples", Integer, nullable=False, default=0),  # how many runs that rate was learned from
    Column("early", Float, nullable=False, default=-1.28),  # how its promises turned out: scheduler.estimate.Misses
    Column("middle", Float, nullable=False, default=0.0),
    Column("late", Float, nullable=False, default=1.28),
    Column("failing", Json, nullable=False, default=()),  # [job, cause] of each that failed since the last success
    Column("open_until", Utc),  # that many open the circuit
    Column("paused", Boolean, nullable=False, default=False),  # by an admin: accepted work waits
    Column("switching", Boolean, nullable=False, default=False),  # another model was chosen and does not draw yet
    Column("waits", Text, nullable=False, default=""),  # pictures | answers | loading: who has the GPU's memory instead
    Column("waits_s", Float, nullable=False, default=0.0),  # seconds until that is handed over, once they have finished
)

# The model that an admin chose while the program ran: see scheduler/switching.py. No row = what model.yaml says.
model_choices = Table(
    "model_choices",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("version", Integer, nullable=False),  # grows with every choice: each process follows to the newest
    Column("name", Text, nullable=False),  # empty = what model.yaml says
    Column("before", Text, nullable=False),  # what was in use: goes on when this one cannot be loaded
    Column("actor", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("origin", Json),  # the chat that hears how it went; null = it was chosen on the command line
    Column("settled", Boolean, nullable=False),  # a process draws with it
)

# Start-time fair queueing within each priority of a lane: its virtual time, and each person's place in that.
classes = Table(
    "classes",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("priority", Integer, primary_key=True),
    Column("vtime", Float, nullable=False, default=0.0),  # the tag served last
)

turns = Table(
    "turns",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("priority", Integer, primary_key=True),
    Column("vfinish", Float, nullable=False, default=0.0),  # where the person's last job ends in virtual time
    Column("waiting", Integer, nullable=False, default=0),  # how many of the person's jobs wait
    CheckConstraint("waiting >= 0", name="waiting"),
)

# The waiting jobs of a priority in the order of their turns, cut into stretches: see storage/line.py.
stretches = Table(
    "stretches",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("priority", Integer, primary_key=True),
    Column("vtag", Float, primary_key=True),  # where it begins; it ends where the next one begins
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("jobs", Integer, nullable=False),
    Column("work", Float, nullable=False),
    CheckConstraint("jobs > 0", name="jobs"),
)

# How fast each person orders: see scheduler/rates.py.
rates = Table(
    "rates",
    metadata,
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("scope", Text, primary_key=True),  # user | draw | ask | reserve
    Column("at", Utc, nullable=False),
)

# --- reservations -----------------------------------------------------------------------------------------------

reservations = Table(
    "reservations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("origin", Json, nullable=False),
    Column("params", Json, nullable=False),
    Column("work", Float, nullable=False),
    Column("rule", Json, nullable=False),
    Column("choices", Json, nullable=False),
    Column("window", Json),
    Column("zone", Text, nullable=False),
    Column("late_limit", Integer),
    Column("version", Integer, nullable=False, default=1),
    Column("since", Utc),
    Column("next_at", Utc),
    Column("closes_at", Utc),
    Column("reason", Text, nullable=False, default=""),
    Column("card", Text, nullable=False, default=""),
    Column("created_at", Utc, nullable=False),
    CheckConstraint("state in ('proposed', 'active', 'paused', 'ended', 'cancelled')", name="state"),
    Index("ix_reservations_due", "state", "next_at"),
    Index("ix_reservations_user", "user_id", "id"),
)

# What became of each due time; the unique key is what makes a second clock harmless.
occurrences = Table(
    "occurrences",
    metadata,
    Column("reservation_id", ForeignKey("reservations.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("due_at", Utc, nullable=False),
    Column("fate", Text, nullable=False),
    Column("job_id", ForeignKey("jobs.id"), unique=True),
    Column("reason", Text, nullable=False, default=""),
    Column("at", Utc, nullable=False),
    CheckConstraint("fate in ('fired', 'skipped', 'refused')", name="fate"),
)

# --- prompt templates -------------------------------------------------------------------------------------------

# Every version of every template: what a job was made from can always be read. The newest one counts.
templates = Table(
    "templates",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scope", Text, nullable=False),
    Column("owner", Text, nullable=False),  # id of the person, <platform>:<chat id>, or empty
    Column("key", Text, nullable=False),  # the name without case and width
    Column("version", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("body", Text),  # null = deleted with this version
    Column("user_id", ForeignKey("users.id")),  # who may change it; null = admins only
    Column("saved_by", Text, nullable=False),
    Column("saved_at", Utc, nullable=False),
    CheckConstraint("scope in ('user', 'chat', 'team')", name="scope"),
    CheckConstraint("version > 0", name="version"),
    UniqueConstraint("scope", "owner", "key", "version"),
)

# --- quotas -----------------------------------------------------------------------------------------------------

# What an account may spend per period; no row = the row of `default`, else policy.yaml.
allowances = Table(
    "allowances",
    metadata,
    Column("subject", Text, primary_key=True),  # user:12 | group:feishu:oc_1 | dept:设计部 | default
    Column("unit", Text, primary_key=True),
    Column("period", Text, primary_key=True),  # day | week | month
    Column("amount", Integer, nullable=False),
    CheckConstraint("amount >= 0", name="amount"),
)

# The running balance; always the sum of the ledger's entries of the same account, unit and bucket. `granted` is the
# sum of its grants alone: an order must not add up a month of a busy group to see whether its allowance was changed.
accounts = Table(
    "accounts",
    metadata,
    Column("account", Text, primary_key=True),
    Column("unit", Text, primary_key=True),
    Column("bucket", Text, primary_key=True),
    Column("balance", Integer, nullable=False, default=0),
    Column("granted", Integer, nullable=False, default=0),
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount", Integer, nullable=False),
    Column("job_id", ForeignKey("jobs.id")),
    Column("actor", Text, nullable=False),
    Column("note", Text, nullable=False, default=""),
    Column("created_at", Utc, nullable=False),
    CheckConstraint("kind in ('grant', 'hold', 'settle', 'refund', 'return', 'join')", name="kind"),
    UniqueConstraint("job_id", "account", "bucket", "kind"),
    Index("ix_ledger_account", "account", "unit", "bucket"),
)

# --- what was made and what is known ----------------------------------------------------------------------------

assets = Table(
    "assets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sha256", Text, nullable=False, index=True),
    Column("media_type", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("job_id", ForeignKey("jobs.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("day", Text, nullable=False),  # in the team's zone: 2026-11-21
    Column("seq", Integer, nullable=False),  # which picture of that day; never changes, so that its name does not
    # What decides who may see it is its job's, and stands here too so that one index finds it: see storage/gallery.py.
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("chat", Text, nullable=False, default=""),  # platform:chat id of the group it was ordered in; else empty
    Column("private", Boolean, nullable=False, default=False),
    Column("model", Text, nullable=False, default=""),
    Column("removed", Integer),  # its file was deleted by the retention rule, after so many days; null = it is here
    UniqueConstraint("job_id", "position"),
    UniqueConstraint("day", "seq"),
    Index("ix_assets_user", "user_id", "id"),
    Index("ix_assets_chat", "chat", "id"),
    Index(
        "ix_assets_kept", "created_at", sqlite_where=text("removed is null"), postgresql_where=text("removed is null")
    ),
)

# In which groups somebody has written or pressed a button: what was drawn there they have seen.
attendance = Table(
    "attendance",
    metadata,
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("chat", Text, primary_key=True),  # platform:chat id
)

# Files that no row needs any more and that are being deleted: until they are gone, these rows account for them.
leaving = Table(
    "leaving",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("since", Utc, nullable=False),
)

# Pictures that people gave to draw from. A job names its source by content, and so does a message that carries one.
sources = Table(
    "sources",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("created_at", Utc, nullable=False),
)

documents = Table(
    "documents",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("recipe", Text, nullable=False),  # versions of parser, chunker, tokenizer: another recipe = index again
    Column("source", Text, nullable=False, default=""),  # what it is kept in step with; empty = added by hand
    Column("ref", Text, nullable=False, default=""),  # its id where it came from; names change, this does not
    Column("revision", Text, nullable=False, default=""),  # which version of it that source had
    Column("url", Text, nullable=False, default=""),  # where people open the original
    Column("collection", Text, nullable=False, default=""),  # what the settings call its source; empty = nothing
    Column("updated_at", Utc, nullable=False),
    Index("ix_documents_ref", "ref", unique=True, sqlite_where=text("ref <> ''"), postgresql_where=text("ref <> ''")),
)

# How the last reading of each source went, and who reads it now: see storage/syncs.py.
syncs = Table(
    "syncs",
    metadata,
    Column("source", Text, primary_key=True),
    Column("owner", Text, nullable=False, default=""),  # the process that reads it now
    Column("claimed_until", Utc),
    Column("finished_at", Utc),
    Column("report", Json),
)

document_access = Table(
    "document_access",
    metadata,
    Column("principal", Text, primary_key=True),  # everyone, user:12, user:feishu:ou_1, dept:设计部, group:feishu:oc_1
    Column("document_id", ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
)

passages = Table(
    "passages",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("document_id", ForeignKey("documents.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("ordinal", Integer, nullable=False),
    Column("heading", Text, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("text", Text, nullable=False),
    UniqueConstraint("document_id", "ordinal"),
    sqlite_autoincrement=True,  # an id is never given twice: an old answer must not cite another text
)

# A model that makes vectors or ranks, as it was examined here: see storage/encoders.py. Its vectors are in a table of
# their own, vectors_<id> (storage/vectors.py), because their length is the model's.
encoders = Table(
    "encoders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),  # embedder, reranker
    Column("recipe", Text, nullable=False),  # what its numbers depend on: another recipe is another encoder
    Column("model", Text, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("state", Text, nullable=False),  # preparing, live, refused, retired
    Column("reason", Text, nullable=False, default=""),  # why it is refused
    Column("figures", Json),  # of its last examination
    Column("changed_at", Utc, nullable=False),
    UniqueConstraint("kind", "recipe"),
    sqlite_autoincrement=True,  # a table of vectors is never taken for that of another model
)

# --- audit ------------------------------------------------------------------------------------------------------

# Appended unsealed in the transaction of the act; one sealer links them into the hash chain, in the order it sees.
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Utc, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Json, nullable=False),
    Column("seq", Integer, unique=True),
    Column("prev", Text),
    Column("hash", Text),
)

# The end of the chain, one row: without it, cutting off the last entries would leave a chain that looks whole.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("hash", Text, nullable=False),
    CheckConstraint("id = 1", name="single"),
)
