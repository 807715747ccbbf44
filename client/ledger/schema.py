"""The ledger's tables, as steps from each version to the next; a released step is never changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from client.checks.issues import check_stored
from client.errors import LedgerError
from client.tasks.plan import prompt_hash
from client.tasks.prompt import read_prompt
from client.tasks.tasks import BUILT_IN

if TYPE_CHECKING:
    import sqlite3

_CAPTIONS = """
    -- To browse: a row for each answer that stands in the results, as it came, and for each of its translations.
    CREATE VIEW captions AS
        WITH targets AS NOT MATERIALIZED (   -- each file, and the parts of each file
            SELECT sources.name AS file, sources.run AS last, gone, COALESCE(sources.sha256, uris.sha256) AS unit,
                NULL AS start_s, NULL AS end_s
            FROM sources LEFT JOIN uris USING (uri)
            UNION ALL
            SELECT sources.name, sources.run, gone, units.id, start_us / 1e6, end_us / 1e6
            FROM sources LEFT JOIN uris USING (uri) JOIN units ON content = COALESCE(sources.sha256, uris.sha256)
        ), done AS NOT MATERIALIZED (        -- by question, so that the answers to each are told from those to others
            SELECT answers.*, question, CASE
                WHEN question IS NOT NULL THEN question
                WHEN answers.task = 'ask' THEN prompt_hash  -- of before version 6: no text of it is left
                ELSE ''
            END AS about
            FROM answers LEFT JOIN prompts ON prompts.task = answers.task AND hash = prompt_hash
            WHERE state = 'done'
        ), asked AS NOT MATERIALIZED (       -- by each run
            SELECT runs.id AS run, json_extract(requests.value, '$.task') AS task,
                json_extract(requests.value, '$.prompt_hash') AS prompt_hash,
                json_extract(requests.value, '$.model') AS model, json_extract(requests.value, '$.params') AS params
            FROM runs JOIN plans ON plans.id = runs.plan,
                json_each(plans.plan, '$.requests') AS kinds, json_each(kinds.value) AS requests
        ), said AS NOT MATERIALIZED (        -- what the last run asks that named the file; else the newest
            SELECT * FROM targets JOIN done USING (unit) WHERE NOT EXISTS (
                SELECT * FROM done AS other
                WHERE other.unit = done.unit AND other.task = done.task AND other.about = done.about
                    AND other.id != done.id
                    AND (
                        EXISTS (SELECT * FROM asked WHERE (asked.run, asked.task, asked.prompt_hash, asked.model,
                            asked.params) = (last, other.task, other.prompt_hash, other.model, other.params)),
                        other.run, other.updated, other.id
                    ) > (
                        EXISTS (SELECT * FROM asked WHERE (asked.run, asked.task, asked.prompt_hash, asked.model,
                            asked.params) = (last, done.task, done.prompt_hash, done.model, done.params)),
                        done.run, done.updated, done.id
                    ))
        )
        SELECT file, task, question, 'eng_Latn' AS language, text, NULL AS verdict, start_s, end_s, model,
            substr(prompt_hash, 1, 12) AS prompt,
            strftime('%Y-%m-%dT%H:%M:%S+00:00', updated, 'unixepoch') AS answered_at, gone
        FROM said
        UNION ALL
        SELECT file, task, question, language, (SELECT group_concat(value, ', ') FROM json_each(texts)),
            CASE
                WHEN json_array_length(doubts) OR json_extract(verdicts, '$.doubtful') THEN 'doubtful'
                WHEN json_extract(verdicts, '$.retried') THEN 'retried'
                WHEN json_extract(verdicts, '$.ok') THEN 'ok'
            END,
            start_s, end_s, model, substr(prompt_hash, 1, 12),
            strftime('%Y-%m-%dT%H:%M:%S+00:00', updated, 'unixepoch'), gone
        FROM said JOIN translations ON answer = said.id;
    """
"""The view of step 6."""
_CAPTIONS_7 = _CAPTIONS.replace("text, NULL AS verdict,", "text, verdict,").replace(
    "updated, 'unix", "CAST(updated AS INT), 'unix"
)
_UNITS_SHOWN = "JOIN units ON content = COALESCE(sources.sha256, uris.sha256)"
_CAPTIONS_8 = _CAPTIONS_7.replace(_UNITS_SHOWN, _UNITS_SHOWN + " AND units.kind != 'digest'")
MIGRATIONS = (
    """
    -- What is at a path, so that an unchanged file need not be read again to know its content.
    CREATE TABLE paths (
        path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        sha256 TEXT NOT NULL, kind TEXT NOT NULL, problem TEXT
    ) STRICT;
    CREATE TABLE media (
        sha256 TEXT PRIMARY KEY, kind TEXT NOT NULL,
        facts TEXT,                          -- JSON; null where the file cannot be read
        warnings TEXT NOT NULL,              -- JSON array
        error TEXT,                          -- why it cannot be read
        seconds REAL NOT NULL DEFAULT 0      -- spent on it, over all runs
    ) STRICT;
    CREATE TABLE answers (
        id INTEGER PRIMARY KEY,
        sha256 TEXT NOT NULL, task TEXT NOT NULL, prompt_hash TEXT NOT NULL, model TEXT NOT NULL,
        params TEXT NOT NULL,                -- JSON: sampling parameters
        state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'failed')),
        text TEXT, finish_reason TEXT, prompt_tokens INTEGER, generated_tokens INTEGER, seconds REAL,
        error TEXT, updated REAL NOT NULL,
        UNIQUE (sha256, task, prompt_hash, model, params)
    ) STRICT;
    CREATE TABLE translations (
        answer INTEGER NOT NULL REFERENCES answers (id) ON DELETE CASCADE,
        language TEXT NOT NULL,
        texts TEXT NOT NULL,                 -- JSON array: one text, or one for each item of a list
        doubts TEXT NOT NULL,                -- JSON array: the translator's reasons to mistrust sentences
        PRIMARY KEY (answer, language)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- Places are URLs too: what tells one version of a content from the next is a text.
    CREATE TABLE places (
        place TEXT PRIMARY KEY,              -- absolute path or URL
        stamp TEXT,                          -- null: nothing to tell by
        size INTEGER NOT NULL, sha256 TEXT NOT NULL, kind TEXT NOT NULL, problem TEXT
    ) STRICT;
    INSERT INTO places SELECT path, size || ' ' || mtime_ns, size, sha256, kind, problem FROM paths;
    DROP TABLE paths;
    """,
    """
    -- The last run: what it asked of which sources, and how far it came with each.
    CREATE TABLE run (id INTEGER PRIMARY KEY CHECK (id = 1), plan TEXT NOT NULL, stats TEXT NOT NULL) STRICT;
    CREATE TABLE sources (
        position INTEGER PRIMARY KEY, name TEXT NOT NULL, place TEXT NOT NULL,
        columns TEXT,                        -- JSON object: what else a manifest says
        finished INTEGER NOT NULL DEFAULT 0,
        sha256 TEXT,                         -- of what was found, once finished; null where it cannot be read
        problem TEXT                         -- what this run could not do about it
    ) STRICT;
    """,
    """
    -- How sure the translator is of its sentences, JSON: {"ok": 5, "retried": 1}; null where it did not say.
    ALTER TABLE translations ADD COLUMN verdicts TEXT;
    """,
    """
    -- Each --redo begins a round, and what is answered bears its number. So one that is interrupted goes on, when it
    -- is given again, with what is of an earlier round.
    ALTER TABLE run ADD COLUMN round INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE answers ADD COLUMN round INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE redo (                      -- what has begun and not ended
        place TEXT NOT NULL, what TEXT NOT NULL, round INTEGER NOT NULL,
        PRIMARY KEY (place, what)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- An answer is about a unit: a whole file, a window of its time, its sound, or what is merged of other answers.
    -- Every run is kept, with all that it named; so are the texts of prompts.
    ALTER TABLE places RENAME TO uris;
    ALTER TABLE uris RENAME COLUMN place TO uri;
    ALTER TABLE uris RENAME COLUMN stamp TO fingerprint;
    ALTER TABLE media RENAME COLUMN seconds TO spent_s;
    ALTER TABLE media ADD COLUMN probe TEXT; -- JSON: what a look at its packets told, without decoding
    ALTER TABLE answers RENAME COLUMN sha256 TO unit;
    ALTER TABLE answers RENAME COLUMN round TO run;         -- that asked; 0: none that is known
    ALTER TABLE answers RENAME COLUMN seconds TO request_s; -- from sending it to the last byte of its answer
    ALTER TABLE answers ADD COLUMN tokens_per_s REAL;       -- as the server tells; null where it does not
    ALTER TABLE redo RENAME COLUMN place TO uri;
    ALTER TABLE redo RENAME COLUMN round TO run;            -- that began it: answers of earlier ones are asked again

    CREATE TABLE units (                     -- a whole file has no row: its unit is its content's sha256
        id TEXT PRIMARY KEY, content TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('window', 'audio', 'merge', 'live')),
        start_us INTEGER, end_us INTEGER,    -- half open, on the video's own clock
        inputs TEXT                          -- JSON array of units: of a merge, what it is made of
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX units_of_content ON units (content);
    CREATE TABLE prompts (
        task TEXT NOT NULL, hash TEXT NOT NULL, text TEXT NOT NULL, question TEXT, reader TEXT NOT NULL,
        max_tokens INTEGER, PRIMARY KEY (task, hash)
    ) STRICT;
    CREATE TABLE plans (                     -- each once, in the order of their first runs
        id INTEGER PRIMARY KEY, plan TEXT NOT NULL -- JSON
    ) STRICT;
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY, started REAL, finished REAL, plan INTEGER NOT NULL REFERENCES plans (id),
        stats TEXT NOT NULL
    ) STRICT;
    INSERT INTO plans SELECT 1, plan FROM run;
    INSERT INTO runs SELECT round, ended - json_extract(stats, '$.wall_time_sec'), ended, 1, stats
        FROM (SELECT *, CAST(strftime('%s', json_extract(stats, '$.finished_at')) AS REAL) AS ended FROM run);
    INSERT OR IGNORE INTO prompts SELECT
            json_extract(asked.value, '$.task'), json_extract(asked.value, '$.prompt_hash'),
            json_extract(asked.value, '$.prompt'), json_extract(asked.value, '$.question'),
            json_extract(asked.value, '$.answer'), json_extract(asked.value, '$.max_tokens')
        FROM run, json_each(run.plan, '$.requests') AS kinds, json_each(kinds.value) AS asked;

    ALTER TABLE sources RENAME TO old_sources;
    CREATE TABLE sources (                   -- all that any run named; their order is that in which they came
        id INTEGER PRIMARY KEY,
        uri TEXT NOT NULL, ordinal INTEGER NOT NULL, -- one uri may be named several times in a run: 0, 1, ...
        name TEXT NOT NULL,
        columns TEXT,                        -- JSON object: what else a manifest says
        run INTEGER, position INTEGER,       -- the last one that named it, and where; null: before version 6
        finished INTEGER NOT NULL DEFAULT 0, -- by that run
        sha256 TEXT,                         -- of what was found, once finished; null where it cannot be read
        problem TEXT,                        -- what that run could not do about it
        gone INTEGER NOT NULL DEFAULT 0,     -- a local file that was not there when the last run began
        UNIQUE (uri, ordinal)
    ) STRICT;
    CREATE INDEX sources_of_run ON sources (run, position);
    INSERT INTO sources (uri, ordinal, name, finished, sha256, problem)
        SELECT uri, 0, uri, 1, sha256, problem FROM uris
        WHERE uri NOT IN (SELECT place FROM old_sources) ORDER BY uri;
    INSERT INTO sources (uri, ordinal, name, columns, run, position, finished, sha256, problem)
        SELECT place, ROW_NUMBER() OVER (PARTITION BY place ORDER BY position) - 1, name, columns,
            (SELECT round FROM run), position, finished, sha256, problem
        FROM old_sources ORDER BY position;
    DROP TABLE old_sources;
    DROP TABLE run;
    """  # noqa: S608  # a constant
    + _CAPTIONS,
    """
    -- Answers are checked, as translations are; what a model thought before it answered stands beside its answer.
    ALTER TABLE answers ADD COLUMN verdict TEXT;   -- ok, retried, doubtful; null where there is no answer
    ALTER TABLE answers ADD COLUMN reasons TEXT;   -- JSON array
    ALTER TABLE answers ADD COLUMN reasoning TEXT;
    ALTER TABLE sources ADD COLUMN live_photo_of TEXT; -- the name of the picture whose moving part a video may be
    DROP VIEW captions;
    """
    + _CAPTIONS_7,
    """
    -- Many answers are merged in levels: a digest is of some of them.
    DROP VIEW captions;
    CREATE TABLE new_units (                 -- a whole file has no row: its unit is its content's sha256
        id TEXT PRIMARY KEY, content TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('window', 'audio', 'merge', 'digest', 'live')),
        start_us INTEGER, end_us INTEGER,    -- half open, on the video's own clock
        inputs TEXT                          -- JSON array of units: of a merge or digest, what it is made of
    ) STRICT, WITHOUT ROWID;
    INSERT INTO new_units SELECT * FROM units;
    DROP TABLE units;
    ALTER TABLE new_units RENAME TO units;
    CREATE INDEX units_of_content ON units (content);
    """  # noqa: S608  # constants
    + _CAPTIONS_8,
    """
    -- What people changed stands beside what models said.
    CREATE TABLE edits (
        unit TEXT NOT NULL, task TEXT NOT NULL, prompt_hash TEXT NOT NULL, model TEXT NOT NULL, params TEXT NOT NULL,
        language TEXT NOT NULL,              -- eng_Latn: of the answer itself
        texts TEXT NOT NULL,                 -- JSON array: one text, or one for each item of a list
        was TEXT NOT NULL,                   -- JSON array: the model's words that they stand for
        edited REAL NOT NULL,
        PRIMARY KEY (unit, task, prompt_hash, model, params, language)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE reviews (
        sha256 TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (state IN ('accepted', 'flagged')), note TEXT NOT NULL,
        reviewed REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
)
_PROMPTS_SINCE = 6
"""The version that keeps the texts of prompts."""
_CHECKED_SINCE = 7
"""The version whose answers have been checked."""
_ANSWERS = """
    SELECT answers.id, answers.text, prompts.text, question, reader FROM answers
    LEFT JOIN prompts ON prompts.task = answers.task AND hash = prompt_hash WHERE state = 'done'"""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a ledger, new or of any earlier version, to the newest one.

    Raises:
        LedgerError: it was written by a newer version of Babelview.
        sqlite3.Error: it cannot be written.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"the ledger is of version {version}, this Babelview knows up to {len(MIGRATIONS)}: update it"
        )
    for number, step in enumerate(MIGRATIONS[version:], version + 1):
        connection.executescript(f"BEGIN; {step} PRAGMA user_version = {number};")
        if number == _PROMPTS_SINCE:
            _recall_prompts(connection)
        if number == _CHECKED_SINCE:
            _check_answers(connection)
        connection.execute("COMMIT")


def _recall_prompts(connection: sqlite3.Connection) -> None:
    """Keep the texts of those built-in prompts that were ever asked, told by their hashes."""
    asked = set(connection.execute("SELECT DISTINCT task, prompt_hash FROM answers"))
    for path in sorted(BUILT_IN.glob("*/*.md")) if asked else ():
        task = path.parent.name
        prompt = read_prompt(path)
        if (task, prompt_hash(prompt.text)) in asked:
            connection.execute(
                "INSERT OR IGNORE INTO prompts (task, hash, text, reader, max_tokens) VALUES (?, ?, ?, ?, ?)",
                (task, prompt_hash(prompt.text), prompt.text, prompt.answer, prompt.max_tokens),
            )


def _check_answers(connection: sqlite3.Connection) -> None:
    """Give a verdict on each answer, by its text; one whose prompt is lost may be that to a question."""
    verdicts = []
    for number, text, prompt, question, reader in connection.execute(_ANSWERS):
        known = prompt is not None
        verdict, reasons = check_stored(text or "", prompt or "", question if known else "", reader or "text")
        verdicts.append((verdict, json.dumps(reasons), number))
    connection.executemany("UPDATE answers SET verdict = ?, reasons = ? WHERE id = ?", verdicts)
