BEGIN TRANSACTION;
CREATE TABLE answers (
        id INTEGER PRIMARY KEY,
        sha256 TEXT NOT NULL, task TEXT NOT NULL, prompt_hash TEXT NOT NULL, model TEXT NOT NULL,
        params TEXT NOT NULL,                -- JSON: sampling parameters
        state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'failed')),
        text TEXT, finish_reason TEXT, prompt_tokens INTEGER, generated_tokens INTEGER, seconds REAL,
        error TEXT, updated REAL NOT NULL,
        UNIQUE (sha256, task, prompt_hash, model, params)
    ) STRICT;
INSERT INTO "answers" VALUES(1,'20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','I see 0','stop',100,7,4.5880598000167083228e-02,NULL,1.79599394556031298638e+09);
INSERT INTO "answers" VALUES(2,'20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','failed',NULL,NULL,NULL,NULL,NULL,'HTTP 400: too strange',1.79599394557373142245e+09);
INSERT INTO "answers" VALUES(3,'cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','I see 0','stop',100,7,5.71271999979217071086e-03,NULL,1.7959939455880897045e+09);
INSERT INTO "answers" VALUES(4,'55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','I see 0','stop',100,7,1.93474090001473086886e-02,NULL,1.79599394559936714169e+09);
INSERT INTO "answers" VALUES(5,'cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','```json
["red car", "blue sky", "red car"]
```','stop',100,7,4.42176599972299300134e-03,NULL,1.79599394561125063891e+09);
INSERT INTO "answers" VALUES(6,'55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','```json
["red car", "blue sky", "red car"]
```','stop',100,7,1.47516000001814973074e-02,NULL,1.79599394562572860722e+09);
INSERT INTO "answers" VALUES(7,'07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llava-next-video-7b','{"frames": 8, "max_tokens": 33, "short_edge": 336, "temperature": 0.0}','done','I see 0 0 0 0 0 1023 1023 1023','stop',100,7,2.30941260001600312534e-02,NULL,1.7959939456776809692e+09);
INSERT INTO "answers" VALUES(8,'07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llava-next-video-7b','{"frames": 8, "max_tokens": 33, "short_edge": 336, "temperature": 0.0}','done','```json
["red car", "blue sky", "red car"]
```','stop',100,7,8.84535000022879103198e-03,NULL,1.7959939456859416962e+09);
CREATE TABLE media (
        sha256 TEXT PRIMARY KEY, kind TEXT NOT NULL,
        facts TEXT,                          -- JSON; null where the file cannot be read
        warnings TEXT NOT NULL,              -- JSON array
        error TEXT,                          -- why it cannot be read
        seconds REAL NOT NULL DEFAULT 0      -- spent on it, over all runs
    ) STRICT;
INSERT INTO "media" VALUES('20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','image','{"width": 32, "height": 24, "duration_sec": null, "fps": null, "frames": null}','[]',NULL,9.37653609998960746452e-02);
INSERT INTO "media" VALUES('cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','image','{"width": 32, "height": 24, "duration_sec": null, "fps": null, "frames": null}','[]',NULL,3.68993399997634696774e-02);
INSERT INTO "media" VALUES('55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','image','{"width": 32, "height": 24, "duration_sec": null, "fps": null, "frames": null}','[]',NULL,6.86504099999183381441e-02);
INSERT INTO "media" VALUES('07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','video','{"width": 32, "height": 24, "duration_sec": 1.0, "fps": 10.0, "frames": 10}','[]',NULL,6.2248593999811419053e-02);
CREATE TABLE paths (
        path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        sha256 TEXT NOT NULL, kind TEXT NOT NULL, problem TEXT
    ) STRICT;
INSERT INTO "paths" VALUES('{ads}/0000.ppm',2317,1763700000123456789,'20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','image',NULL);
INSERT INTO "paths" VALUES('{ads}/0001.ppm',2317,1763700000123456789,'cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','image',NULL);
INSERT INTO "paths" VALUES('{ads}/0002.ppm',2317,1763700000123456789,'55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','image',NULL);
INSERT INTO "paths" VALUES('{ads}/clip.y4m',23137,1763700000123456789,'07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','video',NULL);
CREATE TABLE translations (
        answer INTEGER NOT NULL REFERENCES answers (id) ON DELETE CASCADE,
        language TEXT NOT NULL,
        texts TEXT NOT NULL,                 -- JSON array: one text, or one for each item of a list
        doubts TEXT NOT NULL,                -- JSON array: the translator's reasons to mistrust sentences
        PRIMARY KEY (answer, language)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "translations" VALUES(1,'fra_Latn','["fra_Latn: I see 0"]','[]');
INSERT INTO "translations" VALUES(1,'spa_Latn','["spa_Latn: I see 0"]','[]');
INSERT INTO "translations" VALUES(3,'fra_Latn','["fra_Latn: I see 0"]','[]');
INSERT INTO "translations" VALUES(3,'spa_Latn','["spa_Latn: I see 0"]','[]');
INSERT INTO "translations" VALUES(4,'fra_Latn','["fra_Latn: I see 0"]','[]');
INSERT INTO "translations" VALUES(4,'spa_Latn','["spa_Latn: I see 0"]','[]');
INSERT INTO "translations" VALUES(5,'fra_Latn','["fra_Latn: red car", "fra_Latn: blue sky"]','[]');
INSERT INTO "translations" VALUES(5,'spa_Latn','["spa_Latn: red car", "spa_Latn: blue sky"]','[]');
INSERT INTO "translations" VALUES(6,'fra_Latn','["fra_Latn: red car", "fra_Latn: blue sky"]','[]');
INSERT INTO "translations" VALUES(6,'spa_Latn','["spa_Latn: red car", "spa_Latn: blue sky"]','[]');
INSERT INTO "translations" VALUES(7,'fra_Latn','["fra_Latn: I see 0 0 0 0 0 1023 1023 1023"]','[]');
INSERT INTO "translations" VALUES(7,'spa_Latn','["spa_Latn: I see 0 0 0 0 0 1023 1023 1023"]','[]');
INSERT INTO "translations" VALUES(8,'fra_Latn','["fra_Latn: red car", "fra_Latn: blue sky"]','[]');
INSERT INTO "translations" VALUES(8,'spa_Latn','["spa_Latn: red car", "spa_Latn: blue sky"]','[]');
COMMIT;
PRAGMA user_version = 1;
