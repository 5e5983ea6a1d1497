"""How far the classes of embedded pixels are apart and how tight they are, in scores, intervals and a picture."""
