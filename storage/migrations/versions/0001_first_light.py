"""First light: every table, the full-text index, and the triggers that keep sealed audit entries as they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage import fulltext, vectors

revision = "0001"
down_revision = None

# A sealed entry stays as it is, and the head of the chain only moves on. Whoever can drop a trigger can go round it:
# that is what `storage.audit.verify` finds out.
_SQLITE = (
    """create trigger audit_sealed_update before update on audit when old.seq is not null
        begin select raise(abort, 'sealed audit entries cannot be changed'); end""",
    """create trigger audit_sealed_delete before delete on audit when old.seq is not null
        begin select raise(abort, 'sealed audit entries cannot be deleted'); end""",
    """create trigger audit_head_update before update on audit_head when new.seq <= old.seq
        begin select raise(abort, 'the head of the audit chain only moves on'); end""",
    """create trigger audit_head_delete before delete on audit_head
        begin select raise(abort, 'the head of the audit chain cannot be deleted'); end""",
)
_POSTGRESQL = (
    """create function audit_refuse() returns trigger language plpgsql as $$
        begin raise exception 'sealed audit entries and the head of their chain cannot be changed or deleted'
            using errcode = 'integrity_constraint_violation'; end $$""",
    """create trigger audit_sealed before update or delete on audit
        for each row when (old.seq is not null) execute function audit_refuse()""",
    "create trigger audit_truncate before truncate on audit execute function audit_refuse()",
    """create trigger audit_head_update before update on audit_head
        for each row when (new.seq <= old.seq) execute function audit_refuse()""",
    """create trigger audit_head_delete before delete on audit_head
        for each row execute function audit_refuse()""",
    "create trigger audit_head_truncate before truncate on audit_head execute function audit_refuse()",
)


def upgrade() -> None:
    _create_tables()
    conn = op.get_bind()
    fulltext.create(conn)
    for statement in _POSTGRESQL if conn.dialect.name == "postgresql" else _SQLITE:
        conn.exec_driver_sql(statement)


def downgrade() -> None:
    conn = op.get_bind()
    fulltext.drop(conn)
    _drop_tables()
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql("drop function audit_refuse()")


def _create_tables() -> None:
    op.create_table(
        "accounts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("balance", sa.Integer(), nullable=False),
        sa.Column("granted", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account", "unit", "bucket", name=op.f("pk_accounts")),
    )
    op.create_table(
        "allowances",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_allowances_amount")),
        sa.PrimaryKeyConstraint("subject", "unit", "period", name=op.f("pk_allowances")),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer()),
        sa.Column("prev", sa.Text()),
        sa.Column("hash", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sa.UniqueConstraint("seq", name=op.f("uq_audit_seq")),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "chats",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("chat_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.Text(), nullable=False),
        sa.Column("greeted_at", sa.Text()),
        sa.Column("removed_at", sa.Text()),
        sa.CheckConstraint("state in ('member', 'removed', 'disbanded')", name=op.f("ck_chats_state")),
        sa.PrimaryKeyConstraint("platform", "chat_id", name=op.f("pk_chats")),
    )
    op.create_table(
        "classes",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("vtime", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "priority", name=op.f("pk_classes")),
    )
    op.create_table(
        "conversations",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_conversations")),
    )
    op.create_table(
        "documents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("collection", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
        sa.UniqueConstraint("name", name=op.f("uq_documents_name")),
    )
    op.create_index(
        "ix_documents_ref",
        "documents",
        ["ref"],
        unique=True,
        sqlite_where=sa.text("ref <> ''"),
        postgresql_where=sa.text("ref <> ''"),
    )
    op.create_table(
        "syncs",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("claimed_until", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.Text(), nullable=True),
        sa.Column("report", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_syncs")),
    )
    op.create_table(
        "inbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("received_at", sa.Text(), nullable=False),
        sa.Column("handled_at", sa.Text()),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox")),
        sa.UniqueConstraint("platform", "key", name=op.f("uq_inbox_platform_key")),
    )
    op.create_index(
        "ix_inbox_open",
        "inbox",
        ["id"],
        sqlite_where=sa.text("handled_at is null"),
        postgresql_where=sa.text("handled_at is null"),
    )
    op.create_table(
        "lanes",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("rate", sa.Float(), nullable=False),
        sa.Column("variance", sa.Float(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("early", sa.Float(), nullable=False),
        sa.Column("middle", sa.Float(), nullable=False),
        sa.Column("late", sa.Float(), nullable=False),
        sa.Column("failing", sa.Text(), nullable=False),
        sa.Column("open_until", sa.Text()),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("switching", sa.Boolean(), nullable=False),
        sa.Column("waits", sa.Text(), nullable=False),
        sa.Column("waits_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_lanes")),
    )
    op.create_table(
        "model_choices",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text()),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_model_choices")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("until", sa.Text(), nullable=False),
        sa.Column("seen", sa.Text()),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "wecom_replies",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("msgid", sa.Text(), nullable=False),
        sa.Column("chat_id", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reply", sa.Text()),
        sa.Column("delivery", sa.Text(), nullable=False),
        sa.Column("closing_at", sa.Text()),
        sa.Column("response_url", sa.Text(), nullable=False),
        sa.Column("until", sa.Text(), nullable=False),
        sa.Column("used_by", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state in ('open', 'promised', 'closing', 'told', 'over')", name=op.f("ck_wecom_replies_state")
        ),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_wecom_replies")),
    )
    op.create_index("ix_wecom_replies_chat", "wecom_replies", ["chat_id", "until"])
    op.create_index("ix_wecom_replies_sender", "wecom_replies", ["sender", "opened_at"])
    op.create_table(
        "stretches",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("vtag", sa.Float(), nullable=False),
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("jobs", sa.Integer(), nullable=False),
        sa.Column("work", sa.Float(), nullable=False),
        sa.CheckConstraint("jobs > 0", name=op.f("ck_stretches_jobs")),
        sa.PrimaryKeyConstraint("kind", "priority", "vtag", "id", name=op.f("pk_stretches")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("department_set", sa.Boolean(), nullable=False),
        sa.Column("banned", sa.Boolean(), nullable=False),
        sa.Column("ban_reason", sa.Text(), nullable=False),
        sa.Column("banned_until", sa.Text()),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("joined_to", sa.Integer()),
        sa.CheckConstraint("role in ('user', 'reviewer', 'admin')", name=op.f("ck_users_role")),
        sa.ForeignKeyConstraint(["joined_to"], ["users.id"], name=op.f("fk_users_joined_to_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_table(
        "links",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("own", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.Text()),
        sa.PrimaryKeyConstraint("platform", "alias", name=op.f("pk_links")),
    )
    op.create_index("ix_links_external_id", "links", ["platform", "external_id"])
    op.create_index("ix_links_own", "links", ["platform", "own"])
    op.create_table(
        "profiles",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("departments", sa.Text(), nullable=False),
        sa.Column("union_id", sa.Text(), nullable=False),
        sa.Column("tenant_key", sa.Text(), nullable=False),
        sa.Column("guest", sa.Boolean(), nullable=False),
        sa.Column("fetched_at", sa.Text()),
        sa.Column("refused_at", sa.Text()),
        sa.PrimaryKeyConstraint("platform", "external_id", name=op.f("pk_profiles")),
    )
    op.create_table(
        "tenants",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("tenant_key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("platform", name=op.f("pk_tenants")),
    )
    op.create_table(
        "external_chats",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("chat_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "chat_id", name=op.f("pk_external_chats")),
    )
    op.create_table(
        "logins",
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("browser", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("state", name=op.f("pk_logins")),
    )
    op.create_index(op.f("ix_logins_expires_at"), "logins", ["expires_at"])
    op.create_table(
        "document_access",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_document_access_document_id_documents"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("principal", "document_id", name=op.f("pk_document_access")),
    )
    op.create_table(
        "identities",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_identities_user_id_users")),
        sa.PrimaryKeyConstraint("platform", "external_id", name=op.f("pk_identities")),
    )
    op.create_index(op.f("ix_identities_user_id"), "identities", ["user_id"])
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("cost", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
        sa.Column("vtag", sa.Float(), nullable=False),
        sa.Column("span", sa.Float(), nullable=False),
        sa.Column("batch_key", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("lost", sa.Integer(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.Text()),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("parent_id", sa.Integer()),
        sa.Column("result", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("cause", sa.Text()),
        sa.Column("notices", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("not_before", sa.Text()),
        sa.Column("started_at", sa.Text()),
        sa.Column("finished_at", sa.Text()),
        sa.Column("not_after", sa.Text()),
        sa.Column("foreseen", sa.Float()),
        sa.Column("doubt", sa.Float()),
        sa.Column("cleared", sa.Integer()),
        sa.CheckConstraint(
            "state in ('queued', 'running', 'review', 'done', 'failed', 'cancelled')", name=op.f("ck_jobs_state")
        ),
        sa.CheckConstraint("cost >= 0", name=op.f("ck_jobs_cost")),
        sa.ForeignKeyConstraint(["parent_id"], ["jobs.id"], name=op.f("fk_jobs_parent_id_jobs")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_jobs_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("key", name=op.f("uq_jobs_key")),
    )
    op.create_index("ix_jobs_lease", "jobs", ["state", "lease_until"])
    for name, column, where in (
        ("ix_jobs_closing", "not_after", "state = 'queued' and not_after is not null"),
        ("ix_jobs_rising", "since", "state = 'queued' and priority > 0"),
        ("ix_jobs_telling", "finished_at", "kind = 'ask' and cleared is null and finished_at is not null"),
    ):
        op.create_index(name, "jobs", [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    refused = "kind = 'ask' and {carries}(result, '\"grounded\"\\:false') > 0"
    op.create_index(
        "ix_jobs_refused",
        "jobs",
        ["kind", "state", "id"],
        sqlite_where=sa.text(refused.format(carries="instr")),
        postgresql_where=sa.text(refused.format(carries="strpos")),
    )
    op.create_index("ix_jobs_turn", "jobs", ["kind", "state", "priority", "vtag", "id", "weight"])
    op.create_index("ix_jobs_user", "jobs", ["user_id", "id"])
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_messages_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("key", name=op.f("uq_messages_key")),
    )
    op.create_index("ix_messages_user", "messages", ["user_id", "id"])
    op.create_table(
        "passages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("heading", sa.Text(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_passages_document_id_documents"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passages")),
        sa.UniqueConstraint("document_id", "ordinal", name=op.f("uq_passages_document_id_ordinal")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_passages_document_id"), "passages", ["document_id"])
    op.create_table(
        "encoders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("figures", sa.Text()),
        sa.Column("changed_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_encoders")),
        sa.UniqueConstraint("kind", "recipe", name=op.f("uq_encoders_kind_recipe")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Text()),
        sa.Column("revoked_at", sa.Text()),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tokens_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_tokens_hash")),
    )
    op.create_index(op.f("ix_tokens_user_id"), "tokens", ["user_id"])
    op.create_table(
        "turns",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("vfinish", sa.Float(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.CheckConstraint("waiting >= 0", name=op.f("ck_turns_waiting")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_turns_user_id_users")),
        sa.PrimaryKeyConstraint("kind", "user_id", "priority", name=op.f("pk_turns")),
    )
    op.create_table(
        "assets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("chat", sa.Text(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_assets_job_id_jobs")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_assets_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
        sa.UniqueConstraint("day", "seq", name=op.f("uq_assets_day_seq")),
        sa.UniqueConstraint("job_id", "position", name=op.f("uq_assets_job_id_position")),
    )
    op.create_index(op.f("ix_assets_sha256"), "assets", ["sha256"])
    op.create_index("ix_assets_user", "assets", ["user_id", "id"])
    op.create_index("ix_assets_chat", "assets", ["chat", "id"])
    op.create_index(
        "ix_assets_kept",
        "assets",
        ["created_at"],
        sqlite_where=sa.text("removed is null"),
        postgresql_where=sa.text("removed is null"),
    )
    op.create_table(
        "attendance",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("chat", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_attendance_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", "chat", name=op.f("pk_attendance")),
    )
    op.create_table(
        "leaving",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_leaving")),
    )
    op.create_table(
        "sources",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_sources")),
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("appeal_of", sa.Integer()),
        sa.Column("plea", sa.Text(), nullable=False),
        sa.Column("reviewer_id", sa.Integer()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.Text()),
        sa.CheckConstraint("state in ('pending', 'approved', 'rejected', 'withdrawn')", name=op.f("ck_reviews_state")),
        sa.ForeignKeyConstraint(["appeal_of"], ["reviews.id"], name=op.f("fk_reviews_appeal_of_reviews")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_reviews_job_id_jobs")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["users.id"], name=op.f("fk_reviews_reviewer_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        sa.UniqueConstraint("appeal_of", name=op.f("uq_reviews_appeal_of")),
    )
    op.create_index("ix_reviews_job", "reviews", ["job_id"])
    pending = sa.text("state = 'pending'")
    op.create_index(
        "ix_reviews_open", "reviews", ["job_id"], unique=True, sqlite_where=pending, postgresql_where=pending
    )
    op.create_table(
        "feedback",
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.CheckConstraint("value in (1, -1)", name=op.f("ck_feedback_value")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_feedback_job_id_jobs")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_feedback_user_id_users")),
        sa.PrimaryKeyConstraint("job_id", "user_id", name=op.f("pk_feedback")),
    )
    op.create_table(
        "settled",
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer()),
        sa.Column("at", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_settled_job_id_jobs")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_settled_user_id_users")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_settled")),
    )
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer()),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind in ('grant', 'hold', 'settle', 'refund', 'return', 'join')", name=op.f("ck_ledger_kind")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_ledger_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
        sa.UniqueConstraint("job_id", "account", "bucket", "kind", name=op.f("uq_ledger_job_id_account_bucket_kind")),
    )
    op.create_index("ix_ledger_account", "ledger", ["account", "unit", "bucket"])
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Integer()),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.Text()),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.Text()),
        sa.Column("replaces", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.CheckConstraint("state in ('pending', 'sent', 'skipped', 'failed')", name=op.f("ck_outbox_state")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_outbox_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("key", name=op.f("uq_outbox_key")),
    )
    op.create_index("ix_outbox_due", "outbox", ["state", "next_at"])
    op.create_index(op.f("ix_outbox_job_id"), "outbox", ["job_id"])
    op.create_table(
        "reservations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("work", sa.Float(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("choices", sa.Text(), nullable=False),
        sa.Column("window", sa.Text()),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("late_limit", sa.Integer()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("since", sa.Text()),
        sa.Column("next_at", sa.Text()),
        sa.Column("closes_at", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state in ('proposed', 'active', 'paused', 'ended', 'cancelled')", name=op.f("ck_reservations_state")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_reservations_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservations")),
    )
    op.create_index("ix_reservations_due", "reservations", ["state", "next_at"])
    op.create_index("ix_reservations_user", "reservations", ["user_id", "id"])
    op.create_table(
        "occurrences",
        sa.Column("reservation_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Text(), nullable=False),
        sa.Column("fate", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Integer()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.CheckConstraint("fate in ('fired', 'skipped', 'refused')", name=op.f("ck_occurrences_fate")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_occurrences_job_id_jobs")),
        sa.ForeignKeyConstraint(
            ["reservation_id"], ["reservations.id"], name=op.f("fk_occurrences_reservation_id_reservations")
        ),
        sa.PrimaryKeyConstraint("reservation_id", "key", name=op.f("pk_occurrences")),
        sa.UniqueConstraint("job_id", name=op.f("uq_occurrences_job_id")),
    )
    op.create_table(
        "templates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.Text()),
        sa.Column("user_id", sa.Integer()),
        sa.Column("saved_by", sa.Text(), nullable=False),
        sa.Column("saved_at", sa.Text(), nullable=False),
        sa.CheckConstraint("scope in ('user', 'chat', 'team')", name=op.f("ck_templates_scope")),
        sa.CheckConstraint("version > 0", name=op.f("ck_templates_version")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_templates_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_templates")),
        sa.UniqueConstraint("scope", "owner", "key", "version", name=op.f("uq_templates_scope_owner_key_version")),
    )
    op.create_table(
        "rates",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_rates_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", "scope", name=op.f("pk_rates")),
    )


def _drop_tables() -> None:
    op.drop_table("rates")
    op.drop_table("templates")
    op.drop_table("occurrences")
    op.drop_table("reservations")
    op.drop_table("outbox")
    op.drop_table("ledger")
    op.drop_table("settled")
    op.drop_table("feedback")
    op.drop_table("leaving")
    op.drop_table("attendance")
    op.drop_table("reviews")
    op.drop_table("assets")
    op.drop_table("turns")
    op.drop_table("tokens")
    vectors.drop_all(op.get_bind())
    op.drop_table("passages")
    op.drop_table("encoders")
    op.drop_table("messages")
    op.drop_table("jobs")
    op.drop_table("identities")
    op.drop_table("document_access")
    op.drop_table("logins")
    op.drop_table("external_chats")
    op.drop_table("tenants")
    op.drop_table("profiles")
    op.drop_table("links")
    op.drop_table("users")
    op.drop_table("stretches")
    op.drop_table("sources")
    op.drop_table("wecom_replies")
    op.drop_table("leases")
    op.drop_table("lanes")
    op.drop_table("model_choices")
    op.drop_table("inbox")
    op.drop_table("syncs")
    op.drop_table("documents")
    op.drop_table("conversations")
    op.drop_table("classes")
    op.drop_table("chats")
    op.drop_table("audit_head")
    op.drop_table("audit")
    op.drop_table("allowances")
    op.drop_table("accounts")
