"""Cases, readers of raw layouts, and the prepared dataset that training and evaluation read."""

ACDC_PAGE = "https://www.creatis.insa-lyon.fr/Challenge/acdc/"
"""Where ACDC is downloaded, after registration."""
SYNAPSE_PAGE = "https://www.synapse.org/Synapse:syn3193805"
