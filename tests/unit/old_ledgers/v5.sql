BEGIN TRANSACTION;
CREATE TABLE answers (
        id INTEGER PRIMARY KEY,
        sha256 TEXT NOT NULL, task TEXT NOT NULL, prompt_hash TEXT NOT NULL, model TEXT NOT NULL,
        params TEXT NOT NULL,                -- JSON: sampling parameters
        state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'failed')),
        text TEXT, finish_reason TEXT, prompt_tokens INTEGER, generated_tokens INTEGER, seconds REAL,
        error TEXT, updated REAL NOT NULL, round INTEGER NOT NULL DEFAULT 0,
        UNIQUE (sha256, task, prompt_hash, model, params)
    ) STRICT;
INSERT INTO "answers" VALUES(1,'cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','I see 0','stop',100,7,9.24828100005470332689e-03,NULL,1.79599395600312209124e+09,0);
INSERT INTO "answers" VALUES(2,'cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','```json
["red car", "blue sky", "red car"]
```','stop',100,7,1.25949299990679719485e-03,NULL,1.79599395600585365296e+09,0);
INSERT INTO "answers" VALUES(3,'55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','I see 0','stop',100,7,1.54401300005702069029e-03,NULL,1.7959939560087625981e+09,0);
INSERT INTO "answers" VALUES(4,'20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','I see 0','stop',100,7,1.34278799987441743724e-03,NULL,1.79599395601089763642e+09,0);
INSERT INTO "answers" VALUES(5,'55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','```json
["red car", "blue sky", "red car"]
```','stop',100,7,1.20310100010101450607e-03,NULL,1.79599395601583886146e+09,0);
INSERT INTO "answers" VALUES(6,'20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','failed',NULL,NULL,NULL,NULL,NULL,'HTTP 400: too strange',1.79599395601778149601e+09,0);
INSERT INTO "answers" VALUES(7,'07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llava-next-video-7b','{"frames": 8, "max_tokens": 33, "short_edge": 336, "temperature": 0.0}','done','I see 0 0 0 0 0 1023 1023 1023','stop',100,7,4.83588299994153203442e-03,NULL,1.7959939560260691643e+09,0);
INSERT INTO "answers" VALUES(8,'07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llava-next-video-7b','{"frames": 8, "max_tokens": 33, "short_edge": 336, "temperature": 0.0}','done','```json
["red car", "blue sky", "red car"]
```','stop',100,7,8.4798200032309978269e-04,NULL,1.79599395602739810937e+09,0);
CREATE TABLE media (
        sha256 TEXT PRIMARY KEY, kind TEXT NOT NULL,
        facts TEXT,                          -- JSON; null where the file cannot be read
        warnings TEXT NOT NULL,              -- JSON array
        error TEXT,                          -- why it cannot be read
        seconds REAL NOT NULL DEFAULT 0      -- spent on it, over all runs
    ) STRICT;
INSERT INTO "media" VALUES('cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','image','{"width": 32, "height": 24, "duration_sec": null, "fps": null, "frames": null}','[]',NULL,6.57555068999954528408e-01);
INSERT INTO "media" VALUES('55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','image','{"width": 32, "height": 24, "duration_sec": null, "fps": null, "frames": null}','[]',NULL,1.79076610002084635198e-02);
INSERT INTO "media" VALUES('20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','image','{"width": 32, "height": 24, "duration_sec": null, "fps": null, "frames": null}','[]',NULL,6.6624464500000613043e-01);
INSERT INTO "media" VALUES('07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','video','{"width": 32, "height": 24, "duration_sec": 1.0, "fps": 10.0, "frames": 10}','[]',NULL,1.87073309998595505021e-02);
CREATE TABLE places (
        place TEXT PRIMARY KEY,              -- absolute path or URL
        stamp TEXT,                          -- null: nothing to tell by
        size INTEGER NOT NULL, sha256 TEXT NOT NULL, kind TEXT NOT NULL, problem TEXT
    ) STRICT;
INSERT INTO "places" VALUES('{ads}/0001.ppm','2317 1763700000123456789',2317,'cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','image',NULL);
INSERT INTO "places" VALUES('{ads}/0002.ppm','2317 1763700000123456789',2317,'55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','image',NULL);
INSERT INTO "places" VALUES('{ads}/0000.ppm','2317 1763700000123456789',2317,'20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','image',NULL);
INSERT INTO "places" VALUES('{ads}/clip.y4m','23137 1763700000123456789',23137,'07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','video',NULL);
CREATE TABLE redo (                      -- what has begun and not ended
        place TEXT NOT NULL, what TEXT NOT NULL, round INTEGER NOT NULL,
        PRIMARY KEY (place, what)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE run (id INTEGER PRIMARY KEY CHECK (id = 1), plan TEXT NOT NULL, stats TEXT NOT NULL, round INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "run" VALUES(1,'{"requests": {"image": [{"key": "haiku", "task": "haiku", "prompt": "Write a haiku.", "question": null, "answer": "text", "model": "llama-3.2-11b-vision", "temperature": 0.0, "max_tokens": 33, "params": "{\"max_tokens\": 33, \"temperature\": 0.0}", "prompt_hash": "4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2"}, {"key": "list", "task": "list", "prompt": "A JSON array of things.", "question": null, "answer": "list", "model": "llama-3.2-11b-vision", "temperature": 0.0, "max_tokens": 33, "params": "{\"max_tokens\": 33, \"temperature\": 0.0}", "prompt_hash": "87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d"}], "video": [{"key": "haiku", "task": "haiku", "prompt": "Write a haiku.", "question": null, "answer": "text", "model": "llava-next-video-7b", "temperature": 0.0, "max_tokens": 33, "params": "{\"frames\": 8, \"max_tokens\": 33, \"short_edge\": 336, \"temperature\": 0.0}", "prompt_hash": "4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2"}, {"key": "list", "task": "list", "prompt": "A JSON array of things.", "question": null, "answer": "list", "model": "llava-next-video-7b", "temperature": 0.0, "max_tokens": 33, "params": "{\"frames\": 8, \"max_tokens\": 33, \"short_edge\": 336, \"temperature\": 0.0}", "prompt_hash": "87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d"}]}, "models": {"image": "llama-3.2-11b-vision", "video": "llava-next-video-7b"}, "temperature": 0.0, "languages": ["fra_Latn", "spa_Latn"]}','{"finished_at": "2026-11-29T23:12:36+00:00", "models": {"image": "llama-3.2-11b-vision", "video": "llava-next-video-7b"}, "temperature": 0.0, "languages": ["fra_Latn", "spa_Latn"], "files": 4, "done": 3, "done_earlier": 0, "failures": 1, "unfinished": 0, "interrupted": false, "wall_time_sec": 0.697, "mean_time_per_file_sec": 0.174, "files_per_sec": 5.738, "requests": 8, "requests_failed": 1, "prompt_tokens": 700, "generated_tokens": 49, "tokens_per_sec": 70.3}',0);
CREATE TABLE sources (
        position INTEGER PRIMARY KEY, name TEXT NOT NULL, place TEXT NOT NULL,
        columns TEXT,                        -- JSON object: what else a manifest says
        finished INTEGER NOT NULL DEFAULT 0,
        sha256 TEXT,                         -- of what was found, once finished; null where it cannot be read
        problem TEXT                         -- what this run could not do about it
    ) STRICT;
INSERT INTO "sources" VALUES(0,'ads/0000.ppm','{ads}/0000.ppm',NULL,1,'20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','list: HTTP 400: too strange');
INSERT INTO "sources" VALUES(1,'ads/0001.ppm','{ads}/0001.ppm',NULL,1,'cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2',NULL);
INSERT INTO "sources" VALUES(2,'ads/0002.ppm','{ads}/0002.ppm',NULL,1,'55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051',NULL);
INSERT INTO "sources" VALUES(3,'ads/clip.y4m','{ads}/clip.y4m',NULL,1,'07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162',NULL);
CREATE TABLE translations (
        answer INTEGER NOT NULL REFERENCES answers (id) ON DELETE CASCADE,
        language TEXT NOT NULL,
        texts TEXT NOT NULL,                 -- JSON array: one text, or one for each item of a list
        doubts TEXT NOT NULL, verdicts TEXT,                -- JSON array: the translator's reasons to mistrust sentences
        PRIMARY KEY (answer, language)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "translations" VALUES(1,'fra_Latn','["fra_Latn: I see 0"]','[]','{}');
INSERT INTO "translations" VALUES(1,'spa_Latn','["spa_Latn: I see 0"]','[]','{}');
INSERT INTO "translations" VALUES(2,'fra_Latn','["fra_Latn: red car", "fra_Latn: blue sky"]','[]','{}');
INSERT INTO "translations" VALUES(2,'spa_Latn','["spa_Latn: red car", "spa_Latn: blue sky"]','[]','{}');
INSERT INTO "translations" VALUES(3,'fra_Latn','["fra_Latn: I see 0"]','[]','{}');
INSERT INTO "translations" VALUES(3,'spa_Latn','["spa_Latn: I see 0"]','[]','{}');
INSERT INTO "translations" VALUES(4,'fra_Latn','["fra_Latn: I see 0"]','[]','{}');
INSERT INTO "translations" VALUES(4,'spa_Latn','["spa_Latn: I see 0"]','[]','{}');
INSERT INTO "translations" VALUES(5,'fra_Latn','["fra_Latn: red car", "fra_Latn: blue sky"]','[]','{}');
INSERT INTO "translations" VALUES(5,'spa_Latn','["spa_Latn: red car", "spa_Latn: blue sky"]','[]','{}');
INSERT INTO "translations" VALUES(7,'fra_Latn','["fra_Latn: I see 0 0 0 0 0 1023 1023 1023"]','[]','{}');
INSERT INTO "translations" VALUES(7,'spa_Latn','["spa_Latn: I see 0 0 0 0 0 1023 1023 1023"]','[]','{}');
INSERT INTO "translations" VALUES(8,'fra_Latn','["fra_Latn: red car", "fra_Latn: blue sky"]','[]','{}');
INSERT INTO "translations" VALUES(8,'spa_Latn','["spa_Latn: red car", "spa_Latn: blue sky"]','[]','{}');
COMMIT;
PRAGMA user_version = 5;
