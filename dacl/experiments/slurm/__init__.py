"""The cells of a table as jobs of a Slurm cluster, submitted through submitit."""
