//! Numerical parts that the models share. Bits are the same on every machine: additions, multiplications,
//! divisions and square roots of IEEE 754 and `libm`, in a fixed order.

pub mod exponential;
pub mod hypervolume;
pub mod linalg;
pub mod minimize;
pub mod normal;
pub mod order;
pub mod pareto;
pub mod truncated;
