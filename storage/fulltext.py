"""The full-text indexes of passages and pictures, the one part of the schema that SQLite and PostgreSQL do not share.

SQLite: an FTS5 table `passages_fts` with two columns, `w` (words) and `b` (bigrams), already cut by us; rowid is
the passage's id. PostgreSQL: a table `passages_fts` with one tsvector per passage (words labelled A, bigrams B) and
`passages_df` with the number of passages each term occurs in, as far as `passages_df_fresh` was counted into it. On
both, a passage that goes takes its entry along in the same statement, whoever deleted it.

Pictures: `pictures_fts`, by asset id, what each was ordered as, cut by us. It is asked which pictures hold all of some
terms, newest first, so it keeps neither positions nor texts: 100,000 pictures take some megabytes.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

#: Names that Alembic must not compare with the tables of storage/tables.py.
PREFIXES = ("passages_fts", "passages_df", "passages_vocab", "pictures_fts")

# Our tokens are separated by blanks alone: the characters below are part of a token ("c++", "3.5%", "wi-fi").
# secure-delete: without it the tokens of a deleted document stay in the file until pages are merged.
_SQLITE = (
    """create virtual table passages_fts using fts5(
        w, b, tokenize = "unicode61 remove_diacritics 0 tokenchars '.-+#%_&'")""",
    "insert into passages_fts (passages_fts, rank) values ('secure-delete', 1)",
    "create virtual table passages_vocab using fts5vocab (passages_fts, 'row')",
    """create trigger passages_fts_follow after delete on passages
        begin delete from passages_fts where rowid = old.id; end""",
    """create virtual table pictures_fts using fts5(
        w, tokenize = "unicode61 remove_diacritics 0", content = '', contentless_delete = 1, detail = none)""",
    """create trigger pictures_fts_follow after delete on assets
        begin delete from pictures_fts where rowid = old.id; end""",
)

_POSTGRESQL = (
    """create table passages_fts (
        id integer primary key references passages (id) on delete cascade,
        ts tsvector not null)""",
    # fastupdate gathers new entries and files them in order, some hundred passages at a time.
    "create index passages_fts_ts on passages_fts using gin (ts)",
    "create table passages_df (term text primary key, n integer not null)",
    # What was put in and taken out, not counted yet: a passage has hundreds of terms, and most of them are in the next
    # one too. Counted for thousands of passages at a time, each term is updated once and not for every document.
    "create table passages_df_fresh (term text not null, n integer not null)",
    # Nobody is waited for: where another transaction is putting something in, a later turn counts.
    """create function passages_df_settle() returns void language plpgsql as $$
        begin
            begin
                lock table passages_df_fresh in access exclusive mode nowait;
            exception when lock_not_available then
                return;
            end;
            insert into passages_df as df (term, n)
                select term, sum(n) from passages_df_fresh group by term having sum(n) <> 0
                on conflict (term) do update set n = df.n + excluded.n;
            delete from passages_df where n <= 0;
            truncate passages_df_fresh;
        end $$""",
    """create function passages_df_note() returns void language plpgsql as $$
        begin
            if pg_relation_size('passages_df_fresh') > 16777216 then
                perform passages_df_settle();
            end if;
        end $$""",
    """create function passages_fts_added() returns trigger language plpgsql as $$
        begin
            insert into passages_df_fresh (term, n)
                select lexeme, count(*) from fresh, unnest(tsvector_to_array(fresh.ts)) as lexeme group by lexeme;
            perform passages_df_note();
            return null;
        end $$""",
    """create function passages_fts_removed() returns trigger language plpgsql as $$
        begin
            insert into passages_df_fresh (term, n)
                select lexeme, -count(*) from gone, unnest(tsvector_to_array(gone.ts)) as lexeme group by lexeme;
            perform passages_df_note();
            return null;
        end $$""",
    """create trigger passages_fts_added after insert on passages_fts
        referencing new table as fresh for each statement execute function passages_fts_added()""",
    """create trigger passages_fts_removed after delete on passages_fts
        referencing old table as gone for each statement execute function passages_fts_removed()""",
    """create table pictures_fts (
        id integer primary key references assets (id) on delete cascade,
        ts tsvector not null)""",
    "create index pictures_fts_ts on pictures_fts using gin (ts) with (fastupdate = off)",
)

_SQLITE_DROP = (
    "drop trigger if exists pictures_fts_follow",
    "drop table if exists pictures_fts",
    "drop trigger if exists passages_fts_follow",
    "drop table if exists passages_vocab",
    "drop table if exists passages_fts",
)

_POSTGRESQL_DROP = (
    "drop table if exists pictures_fts",
    "drop table if exists passages_fts",
    "drop function if exists passages_fts_added",
    "drop function if exists passages_fts_removed",
    "drop function if exists passages_df_note",
    "drop function if exists passages_df_settle",
    "drop table if exists passages_df_fresh",
    "drop table if exists passages_df",
)


def create(conn: Connection) -> None:
    """Create the index, empty. The tables of storage/tables.py must exist."""
    _execute(conn, _POSTGRESQL if conn.dialect.name == "postgresql" else _SQLITE)


def drop(conn: Connection) -> None:
    """Remove the index; harmless when there is none."""
    _execute(conn, _POSTGRESQL_DROP if conn.dialect.name == "postgresql" else _SQLITE_DROP)


def _execute(conn: Connection, statements: tuple[str, ...]) -> None:
    for statement in statements:
        conn.execute(text(statement))
