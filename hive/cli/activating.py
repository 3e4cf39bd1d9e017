"""What `hive serve` and `hive first-proof` activate by."""

from functools import partial

from hive.activation import ProvenActivation
from hive.cli.gates import open_gates
from hive.config import HiveConfig
from hive.policy_loading import remembered_policy


def open_activator(config: HiveConfig) -> ProvenActivation:
    """Return what decides about first heartbeats on this host: its gates and its policy, both looked at each time.

    Raises:
        NotFoundError, FormatError: the host's own file of gates is missing or wrong.
    """
    return ProvenActivation(
        gates=open_gates(config), state=config.state_dir, policy=partial(remembered_policy, config)
    )
