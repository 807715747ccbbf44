"""Where pictures and videos come from: folders, files, manifests, URLs."""
