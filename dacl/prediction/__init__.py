"""Trained models on scans that no dataset holds: files in, masks on the files' own grids out."""
