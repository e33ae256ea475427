//! Compares tower-kr-session with other session layers: time, memory, instructions and allocations
//! of the same work in the same run.

pub mod candidate;
pub mod counts;
pub mod drive;
pub mod layouts;
pub mod population;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "peers")]
pub mod report;
pub mod routes;
pub mod scenario;
#[cfg(feature = "sql")]
pub mod sql;
pub mod stats;
pub mod stores;
pub mod tcp;
pub mod threads;
pub mod timing;
