"""The stages of a run: each takes items of one type and gives those of later stages.

    LocalSources, LargeSource, RemoteSource -> Find -> Unprobed -> Probe -> Unloaded -> Load -> Question -> Ask
    -> Untranslated -> Translate                    |`-> Uncut -> LoadScenes ------------------|
                                                    |`-> SmallPictures -> LoadPictures --------|
                                                     `-> Unheard -> Listen -> Sound -> Hear    |
        (and Listen gives Unloaded or Uncut)                  Listener -> Tell <-'`-> Later -> LoadLater

Those that decode stand in `decode`, those that hear in `transcribe`, what waits for that in `wait_for_transcript`.
A stage may skip others, and gives nothing for a file that is finished. Finding (hashing, fetching) uses threads,
probing and loading processes (decoders may crash), asking and translating are tasks that wait for servers.
"""
