"""Directional inductive bias of neural networks: directions, dipoles, NADs, sweeps and interventions."""
