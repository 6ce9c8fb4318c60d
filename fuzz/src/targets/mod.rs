//! One file per target.

pub mod apply;
pub mod capture;
pub mod config;
pub mod decimal;
pub mod exchange_info;
pub mod frame;
pub mod record;
pub mod ring;
