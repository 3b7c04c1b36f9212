"""How the processes of a run agree: the one file that imports JAX's experimental functions for it."""

from jax.experimental.multihost_utils import broadcast_one_to_all, reached_preemption_sync_point, sync_global_devices

__all__ = ["broadcast_one_to_all", "reached_preemption_sync_point", "sync_global_devices"]
