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
INSERT INTO "answers" VALUES(1,'20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','I see 0','stop',100,7,8.10162199968544882722e-03,NULL,1.79599394807805538181e+09);
INSERT INTO "answers" VALUES(2,'20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','failed',NULL,NULL,NULL,NULL,NULL,'HTTP 400: too strange',1.79599394808629226685e+09);
INSERT INTO "answers" VALUES(3,'cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','I see 0','stop',100,7,1.3297395999870786909e-02,NULL,1.79599394810570836067e+09);
INSERT INTO "answers" VALUES(4,'cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','```json
["red car", "blue sky", "red car"]
```','stop',100,7,1.39377039999999396968e-02,NULL,1.79599394811325955385e+09);
INSERT INTO "answers" VALUES(5,'07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llava-next-video-7b','{"frames": 8, "max_tokens": 33, "short_edge": 336, "temperature": 0.0}','done','I see 0 0 0 0 0 1023 1023 1023','stop',100,7,3.68368599993118550628e-03,NULL,1.79599394811694455147e+09);
INSERT INTO "answers" VALUES(6,'55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','haiku','4a85c0ccd31aff098feabca3a20794afc93f86903f15e2ebf27849dcc53670b2','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','I see 0','stop',100,7,8.08709199964141589589e-03,NULL,1.79599394812492322917e+09);
INSERT INTO "answers" VALUES(7,'07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llava-next-video-7b','{"frames": 8, "max_tokens": 33, "short_edge": 336, "temperature": 0.0}','done','```json
["red car", "blue sky", "red car"]
```','stop',100,7,7.72112399999969056807e-03,NULL,1.79599394813277816766e+09);
INSERT INTO "answers" VALUES(8,'55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','list','87cd3959f0a2da0641178fc00032f1ececd4051f5c121e27aede1cf2153c515d','llama-3.2-11b-vision','{"max_tokens": 33, "temperature": 0.0}','done','```json
["red car", "blue sky", "red car"]
```','stop',100,7,3.6325179999039391987e-03,NULL,1.79599394813611721991e+09);
CREATE TABLE media (
        sha256 TEXT PRIMARY KEY, kind TEXT NOT NULL,
        facts TEXT,                          -- JSON; null where the file cannot be read
        warnings TEXT NOT NULL,              -- JSON array
        error TEXT,                          -- why it cannot be read
        seconds REAL NOT NULL DEFAULT 0      -- spent on it, over all runs
    ) STRICT;
INSERT INTO "media" VALUES('20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','image','{"width": 32, "height": 24, "duration_sec": null, "fps": null, "frames": null}','[]',NULL,4.61009939999712514691e-02);
INSERT INTO "media" VALUES('cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','image','{"width": 32, "height": 24, "duration_sec": null, "fps": null, "frames": null}','[]',NULL,0.0343050139999832);
INSERT INTO "media" VALUES('07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','video','{"width": 32, "height": 24, "duration_sec": 1.0, "fps": 10.0, "frames": 10}','[]',NULL,3.98113309997825126629e-02);
INSERT INTO "media" VALUES('55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','image','{"width": 32, "height": 24, "duration_sec": null, "fps": null, "frames": null}','[]',NULL,2.11761410005237848963e-02);
CREATE TABLE places (
        place TEXT PRIMARY KEY,              -- absolute path or URL
        stamp TEXT,                          -- null: nothing to tell by
        size INTEGER NOT NULL, sha256 TEXT NOT NULL, kind TEXT NOT NULL, problem TEXT
    ) STRICT;
INSERT INTO "places" VALUES('{ads}/0000.ppm','2317 1763700000123456789',2317,'20ca93a50e548a2e6bbc1aeab465be09adf3deafadbf4c44f31c5e919487eb19','image',NULL);
INSERT INTO "places" VALUES('{ads}/0001.ppm','2317 1763700000123456789',2317,'cecb5d2bf3953b1c55d92cf3d6355d4d26fad19f9f0c837da3c102c4511072c2','image',NULL);
INSERT INTO "places" VALUES('{ads}/clip.y4m','23137 1763700000123456789',23137,'07b8d031ec505945a4edc8f2fd3bd077a8e0fd1d04c23653a6e5742d5e5c9162','video',NULL);
INSERT INTO "places" VALUES('{ads}/0002.ppm','2317 1763700000123456789',2317,'55129707116d48a1040519d98babe06ac1553102d35481748a46a5521cb65051','image',NULL);
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
INSERT INTO "translations" VALUES(6,'fra_Latn','["fra_Latn: I see 0"]','[]');
INSERT INTO "translations" VALUES(6,'spa_Latn','["spa_Latn: I see 0"]','[]');
INSERT INTO "translations" VALUES(7,'fra_Latn','["fra_Latn: red car", "fra_Latn: blue sky"]','[]');
INSERT INTO "translations" VALUES(7,'spa_Latn','["spa_Latn: red car", "spa_Latn: blue sky"]','[]');
INSERT INTO "translations" VALUES(8,'fra_Latn','["fra_Latn: red car", "fra_Latn: blue sky"]','[]');
INSERT INTO "translations" VALUES(8,'spa_Latn','["spa_Latn: red car", "spa_Latn: blue sky"]','[]');
COMMIT;
PRAGMA user_version = 2;
