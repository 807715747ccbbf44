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
INSERT INTO "answers" VALUES(1,'20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','I see 0','stop',100,7,9.87096899962125462479e-03,NULL,1.79599395172031283383e+09);
INSERT INTO "answers" VALUES(2,'20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','failed',NULL,NULL,NULL,NULL,NULL,'HTTP 400: too strange',1.79599395172300100326e+09);
INSERT INTO "answers" VALUES(3,'cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','I see 0','stop',100,7,3.4418600002936727833e-03,NULL,1.79599395172447490699e+09);
INSERT INTO "answers" VALUES(4,'cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','```json
["red car", "blue sky", "red car"]
```','stop',100,7,2.06027399963204516097e-03,NULL,1.79599395172985577579e+09);
INSERT INTO "answers" VALUES(5,'07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llava-next-video-7b','{"frames": 8, "max_tokens": 33, "short_edge": 336, "temperature": 0.0}','done','I see 0 0 0 0 0 1023 1023 1023','stop',100,7,3.19683799989434191957e-03,NULL,1.79599395173004746434e+09);
INSERT INTO "answers" VALUES(6,'07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llava-next-video-7b','{"frames": 8, "max_tokens": 33, "short_edge": 336, "temperature": 0.0}','done','```json
["red car", "blue sky", "red car"]
```','stop',100,7,2.50065400041421526111e-03,NULL,1.79599395173238325119e+09);
INSERT INTO "answers" VALUES(7,'55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','I see 0','stop',100,7,2.05936300017128814943e-03,NULL,1.79599395173476934434e+09);
INSERT INTO "answers" VALUES(8,'55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','```json
["red car", "blue sky", "red car"]
```','stop',100,7,2.29015400009302538819e-03,NULL,1.79599395173629784588e+09);
CREATE TABLE media (
        sha256 TEXT PRIMARY KEY, kind TEXT NOT NULL,
        facts TEXT,                          -- JSON; null where the file cannot be read
        warnings TEXT NOT NULL,              -- JSON array
        error TEXT,                          -- why it cannot be read
        seconds REAL NOT NULL DEFAULT 0      -- spent on it, over all runs
    ) STRICT;
INSERT INTO "media" VALUES('20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','image','{"width": 32, "height": 24, "duration_sec": null, "fps": null, "frames": null}','[]',NULL,2.99234679996516206301e-02);
INSERT INTO "media" VALUES('cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','image','{"width": 32, "height": 24, "duration_sec": null, "fps": null, "frames": null}','[]',NULL,1.38138130005245329812e-02);
INSERT INTO "media" VALUES('07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','video','{"width": 32, "height": 24, "duration_sec": 1.0, "fps": 10.0, "frames": 10}','[]',NULL,1.90686529999766207765e-02);
INSERT INTO "media" VALUES('55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','image','{"width": 32, "height": 24, "duration_sec": null, "fps": null, "frames": null}','[]',NULL,7.14249900011054705828e-03);
CREATE TABLE places (
        place TEXT PRIMARY KEY,              -- absolute path or URL
        stamp TEXT,                          -- null: nothing to tell by
        size INTEGER NOT NULL, sha256 TEXT NOT NULL, kind TEXT NOT NULL, problem TEXT
    ) STRICT;
INSERT INTO "places" VALUES('{ads}/0000.ppm','2317 1763700000123456789',2317,'20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','image',NULL);
INSERT INTO "places" VALUES('{ads}/0001.ppm','2317 1763700000123456789',2317,'cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','image',NULL);
INSERT INTO "places" VALUES('{ads}/clip.y4m','23137 1763700000123456789',23137,'07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','video',NULL);
INSERT INTO "places" VALUES('{ads}/0002.ppm','2317 1763700000123456789',2317,'55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','image',NULL);
CREATE TABLE run (id INTEGER PRIMARY KEY CHECK (id = 1), plan TEXT NOT NULL, stats TEXT NOT NULL) STRICT;
INSERT INTO "run" VALUES(1,'{"requests": {"image": [{"key": "haiku", "task": "haiku", "prompt": "Write a haiku.", "question": null, "answer": "text", "model": "llama-3.2-11b-vision", "temperature": 0.0, "max_tokens": 33, "params": "{\"max_tokens\": 33, \"temperature\": 0.0}", "prompt_hash": "4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2"}, {"key": "list", "task": "list", "prompt": "A JSON array of things.", "question": null, "answer": "list", "model": "llama-3.2-11b-vision", "temperature": 0.0, "max_tokens": 33, "params": "{\"max_tokens\": 33, \"temperature\": 0.0}", "prompt_hash": "87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d"}], "video": [{"key": "haiku", "task": "haiku", "prompt": "Write a haiku.", "question": null, "answer": "text", "model": "llava-next-video-7b", "temperature": 0.0, "max_tokens": 33, "params": "{\"frames\": 8, \"max_tokens\": 33, \"short_edge\": 336, \"temperature\": 0.0}", "prompt_hash": "4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2"}, {"key": "list", "task": "list", "prompt": "A JSON array of things.", "question": null, "answer": "list", "model": "llava-next-video-7b", "temperature": 0.0, "max_tokens": 33, "params": "{\"frames\": 8, \"max_tokens\": 33, \"short_edge\": 336, \"temperature\": 0.0}", "prompt_hash": "87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d"}]}, "models": {"image": "llama-3.2-11b-vision", "video": "llava-next-video-7b"}, "temperature": 0.0, "languages": ["fra_Latn", "spa_Latn"]}','{"finished_at": "2026-11-29T23:12:31+00:00", "models": {"image": "llama-3.2-11b-vision", "video": "llava-next-video-7b"}, "temperature": 0.0, "languages": ["fra_Latn", "spa_Latn"], "files": 4, "done": 3, "done_earlier": 0, "failures": 1, "unfinished": 0, "interrupted": false, "wall_time_sec": 0.664, "mean_time_per_file_sec": 0.166, "files_per_sec": 6.026, "requests": 8, "prompt_tokens": 700, "generated_tokens": 49, "tokens_per_sec": 73.8}');
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
        doubts TEXT NOT NULL,                -- JSON array: the translator's reasons to mistrust sentences
        PRIMARY KEY (answer, language)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "translations" VALUES(1,'fra_Latn','["fra_Latn: I see 0"]','[]');
INSERT INTO "translations" VALUES(1,'spa_Latn','["spa_Latn: I see 0"]','[]');
INSERT INTO "translations" VALUES(3,'fra_Latn','["fra_Latn: I see 0"]','[]');
INSERT INTO "translations" VALUES(3,'spa_Latn','["spa_Latn: I see 0"]','[]');
INSERT INTO "translations" VALUES(4,'fra_Latn','["fra_Latn: red car", "fra_Latn: blue sky"]','[]');
INSERT INTO "translations" VALUES(4,'spa_Latn','["spa_Latn: red car", "spa_Latn: blue sky"]','[]');
INSERT INTO "translations" VALUES(5,'fra_Latn','["fra_Latn: I see 0 0 0 0 0 1023 1023 1023"]','[]');
INSERT INTO "translations" VALUES(5,'spa_Latn','["spa_Latn: I see 0 0 0 0 0 1023 1023 1023"]','[]');
INSERT INTO "translations" VALUES(6,'fra_Latn','["fra_Latn: red car", "fra_Latn: blue sky"]','[]');
INSERT INTO "translations" VALUES(6,'spa_Latn','["spa_Latn: red car", "spa_Latn: blue sky"]','[]');
INSERT INTO "translations" VALUES(7,'fra_Latn','["fra_Latn: I see 0"]','[]');
INSERT INTO "translations" VALUES(7,'spa_Latn','["spa_Latn: I see 0"]','[]');
INSERT INTO "translations" VALUES(8,'fra_Latn','["fra_Latn: red car", "fra_Latn: blue sky"]','[]');
INSERT INTO "translations" VALUES(8,'spa_Latn','["spa_Latn: red car", "spa_Latn: blue sky"]','[]');
COMMIT;
PRAGMA user_version = 3;
