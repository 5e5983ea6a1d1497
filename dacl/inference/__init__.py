"""From a trained method and a volume to masks on the scan's own grid."""
