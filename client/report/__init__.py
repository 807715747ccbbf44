"""The report: a folder that shows results in a browser, from the disk, without a server or a network."""
