//! The search space: domains, nested parameters, constraints and the unit cube.
